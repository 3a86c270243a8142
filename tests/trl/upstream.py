"""TRL's own tests of its GRPO trainer, as they are and with ours in its place; what passes there must pass here.

    git clone https://github.com/huggingface/trl /tmp/trl
    python tests/trl/upstream.py /tmp/trl [-k EXPRESSION]

TRL's tests load tiny models from the hub by name. Here stand-ins lie in folders of these names, in the folder that the
tests run in. Tests of models without a stand-in, of images among them, fail both times. The tests have no boxes, so the
IoU of a completion is drawn from its text. It takes some ten minutes of one CPU core.
"""

import json
import os
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

TESTS = ("TestGetHighEntropyMask", "TestGRPORolloutDispatch", "TestGRPOTrainer")
OURS = "RSREWARD_IN_TRLS_PLACE"
PHRASES = ("Better than", "Explicit is", "Simple is", "Flat is", "Sparse is", "Readability", "Errors should")
MODELS = {  # the name in TRL's tests, and the classes of transformers
    "tiny-Qwen2ForCausalLM-2.5": ("Qwen2Config", "Qwen2ForCausalLM"),
    "tiny-Qwen2ForSequenceClassification-2.5": ("Qwen2Config", "Qwen2ForSequenceClassification"),
    "tiny-Qwen3ForCausalLM": ("Qwen3Config", "Qwen3ForCausalLM"),
    "tiny-Qwen3ForSequenceClassification": ("Qwen3Config", "Qwen3ForSequenceClassification"),
    "tiny-LlamaForCausalLM-3.2": ("LlamaConfig", "LlamaForCausalLM"),
    "tiny-LlamaForSequenceClassification-3.2": ("LlamaConfig", "LlamaForSequenceClassification"),
    "tiny-MistralForCausalLM-0.2": ("MistralConfig", "MistralForCausalLM"),
}


def make_stand_ins(folder: Path) -> None:
    """Random models of one tokenizer, and the two kinds of prompts of TRL's data set."""
    import transformers
    from rsreward_qwen_vl.model.tiny import train_tokenizer

    tokenizer = train_tokenizer(PHRASES, vocab_size=320)
    sizes = {"hidden_size": 8, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    ids = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id, "bos_token_id": None}
    for name, (config, model) in MODELS.items():
        labels = {"num_labels": 1} if "Sequence" in model else {}
        made = getattr(transformers, config)(
            vocab_size=len(tokenizer), num_key_value_heads=2, head_dim=4, **sizes, **ids, **labels
        )
        getattr(transformers, model)(made).save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    zen = folder / "zen"
    zen.mkdir()
    lines = ["---", "configs:"]
    for name in ("standard_prompt_only", "conversational_prompt_only"):
        lines += [f"- config_name: {name}", "  data_files:"]
        for split, phrases in (("train", PHRASES[:5]), ("test", PHRASES[5:])):
            prompts = [[{"role": "user", "content": p}] if name.startswith("conv") else p for p in phrases]
            (zen / f"{name}-{split}.jsonl").write_text("".join(json.dumps({"prompt": p}) + "\n" for p in prompts))
            lines += [f"  - split: {split}", f"    path: {name}-{split}.jsonl"]
    (zen / "README.md").write_text("\n".join([*lines, "---", ""]))


def take_its_place() -> None:
    """`trl.GRPOTrainer` becomes ours, with IoUs drawn from the texts and no reward function of boxes."""
    import torch
    import trl
    from rsreward_trl import BoxReward, SpatialConsistencyGRPOTrainer, completion_text, trainer

    class Drawn(BoxReward):
        def __init__(self) -> None:
            self.reading, self.watch = SimpleNamespace(columns=()), None

        def ious(self, completions, **columns):
            drawn = [zlib.crc32(completion_text(c).encode()) % 100 for c in completions]
            return torch.tensor(drawn, dtype=torch.float32) / 100

    plain = trainer._Consistency.__init__

    def init(self, of, *args):
        own = of.reward_funcs
        of.reward_funcs = [*own, Drawn()]
        plain(self, of, *args)
        of.reward_funcs = own

    trainer._Consistency.__init__ = init
    trl.GRPOTrainer = SpatialConsistencyGRPOTrainer


def run(checkout: Path, folder: Path, ours: str, arguments: list[str]) -> dict[str, str]:
    """The outcome of each test."""
    report = folder / f"report{ours}.xml"
    paths = [str(Path(__file__).parent), str(checkout), *sys.path]  # TRL itself is the installed one, see `main`
    environment = os.environ | {OURS: ours, "HF_HUB_OFFLINE": "1", "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    tests = [f"{checkout}/tests/test_grpo_trainer.py::{name}" for name in TESTS]
    options = ["-p", "upstream", "-q", "--tb=line", "-c", os.devnull, f"--rootdir={checkout}", f"--junitxml={report}"]
    options += ["-p", "no:cacheprovider", "-W", "ignore"]
    command = [sys.executable, "-m", "pytest", *options, *tests, *arguments]
    subprocess.run(command, cwd=folder, env=environment, check=False)
    outcomes = {}
    for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314
        kinds = {child.tag for child in case} & {"failure", "error", "skipped"}
        outcomes[f"{case.get('classname').split('.')[-1]}.{case.get('name')}"] = kinds.pop() if kinds else "passed"
    return outcomes


def main(checkout: str, *arguments: str) -> int:
    with tempfile.TemporaryDirectory() as name:
        folder, tests = Path(name), Path(name) / "checkout"
        (folder / "trl-internal-testing").mkdir()
        make_stand_ins(folder / "trl-internal-testing")
        tests.mkdir()
        (tests / "tests").symlink_to(Path(checkout).resolve() / "tests")  # without the checkout's package `trl`
        upstream, ours = (run(tests, folder, place, list(arguments)) for place in ("", "1"))
    for which, outcomes in (("upstream", upstream), ("ours", ours)):
        print(which, {kind: list(outcomes.values()).count(kind) for kind in sorted(set(outcomes.values()))})
    lost = [test for test, outcome in upstream.items() if outcome == "passed" and ours.get(test) != "passed"]
    print("pass upstream and not here:", *lost or ["none"], sep="\n  ")
    return bool(lost)


if OURS in os.environ:  # loaded by pytest
    from trl import import_utils

    import_utils.__getattr__ = lambda name: lambda: False  # "is_..._available", of a checkout of another release
    if os.environ[OURS]:
        take_its_place()
if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
