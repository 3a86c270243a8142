import pytest
from rsreward_qwen_vl.scene_rows import scene_row
from rsreward_tools.score.options import Options
from rsreward_tools.score.records import RecordFiles
from rsreward_tools.score.rows import read_rows
from rsreward_tools.score.totals import score_file
from tiny_grpo import SIZE, build_trainer, length_reward
from trl import GRPOTrainer

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")


def log_truth(completions, target, width, height, log_extra, **columns):
    """Has TRL write the truth beside its completions, as docs/score.md says."""
    for name, values in (("target", target), ("width", width), ("height", height)):
        log_extra(name, values)
    return [0.0] * len(completions)


def test_the_completions_that_trl_logs_are_read_as_they_are(tmp_path):
    rewards = [length_reward, log_truth]
    trainer = build_trainer(tmp_path, GRPOTrainer, reward_funcs=rewards, log_completions=True, max_steps=2)
    trainer.train()
    dumps = tmp_path / "completions"
    options = Options("qwen3-vl", by=("step",))
    rows = [row for chunk in RecordFiles(dumps).chunks(options) for row in read_rows(chunk, options, None)]
    last = [c if isinstance(c, str) else c[0]["content"] for c in trainer._logs["completion"]]  # TRL 1.0 logs texts
    assert [row.completion for row in rows if row.groups == (2,)] == last
    truths = [scene_row(seed, 1, SIZE)["target"] for seed in range(8)]
    assert all(row.target[0] in truths and row.width == SIZE for row in rows)
    found = score_file(dumps, options)
    assert {step: values["rows"] for step, values in found["groups"].items()} == {"1": 8, "2": 8}
    assert found["broken_rows"] == 0
