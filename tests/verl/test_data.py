"""Rows as verl's own dataset reads them."""

import json

import pyarrow.parquet as pq
import pytest
from datasets import Features, List, load_dataset
from datasets import Image as ImageFeature
from PIL import Image
from rsreward_qwen_vl.model.tiny import build_processor, train_tokenizer
from rsreward_qwen_vl.scene_rows import scene_row
from rsreward_tools.cli.main import app
from rsreward_tools.data.scenes import generate_scene
from rsreward_tools.data.scenes.dataset import write_scenes
from rsreward_tools.data.verl_rows import SCHEMA, verl_row, write_parquet
from rsreward_tools.errors import InputError
from rsreward_verl.reward import compute_score
from typer.testing import CliRunner
from verl.utils.dataset.rl_dataset import RLHFDataset
from verl_rows import rsvg_config

FIRST = 50_000_000  # the seed of the first scene


@pytest.fixture(scope="module", params=[[], ["--paths"]], ids=["embedded", "paths"])
def written(request, tmp_path_factory):
    root, out = tmp_path_factory.mktemp("scenes"), tmp_path_factory.mktemp("rows") / "verl"
    write_scenes(root, {"train": 3, "val": 2}, level=2, size=56, seed=5)
    for split in ("train", "val"):
        arguments = [root / f"{split}.parquet", "--images", root, "--out", out / f"{split}.parquet", *request.param]
        CliRunner().invoke(app, ["data", "verl", *map(str, arguments)], catch_exceptions=False)
    return out


def read(file, cache):
    tokenizer = train_tokenizer(["Locate the left ship."], vocab_size=320)
    processor = build_processor(tokenizer, "qwen2.5-vl", 56)
    config = rsvg_config("data.filter_overlong_prompts=False", f"+data.cache_dir={cache}").data
    return RLHFDataset(str(file), tokenizer, config, processor)


def test_verls_dataset_reads_image_text_and_truth(written, tmp_path):
    rows = read(written / "train.parquet", tmp_path)
    assert len(rows) == 3
    for index, row in enumerate(rows):
        scene = scene_row(FIRST + index, 2, 56)
        [message] = row["raw_prompt"]
        image, text = message["content"]
        assert image["image"].convert("RGB").tobytes() == scene["images"][0].tobytes()
        assert generate_scene(FIRST + index, 2).query in text["text"]
        truth = row["reward_model"]["ground_truth"]
        assert json.loads(truth) == {"bbox": scene["target"], "width": 56, "height": 56}
        right = f"<think>a</think><answer>{scene['target']}</answer>"
        assert compute_score(row["data_source"], right, truth)["score"] == pytest.approx(2.1)
        assert (row["index"], row["ability"], row["extra_info"]["split"]) == (index, "visual_grounding", "train")


def test_the_schema_is_the_same_however_images_are_kept_and_targets_look(written, tmp_path):
    some = Image.new("RGB", (8, 8)), "a <image> of a ship"
    kinds = [[1, 2, 3, 4], [1, 2, 3, 4, 0.5], [[1, 2, 3, 4]] * 2, []]
    rows = [verl_row(*some, box, data_source="a", split="val", index=i) for i, box in enumerate(kinds)]
    write_parquet(rows, tmp_path / "kinds.parquet")
    schemas = [pq.read_schema(f) for f in (tmp_path / "kinds.parquet", *sorted(written.glob("*.parquet")))]
    features = Features.from_arrow_schema(SCHEMA)
    assert [Features.from_arrow_schema(schema) for schema in schemas] == [features] * 3
    assert features["images"] == List(ImageFeature())
    assert features.arrow_schema.equals(SCHEMA, check_metadata=True)
    assert len(read(tmp_path / "kinds.parquet", tmp_path)[0]["raw_prompt"][0]["content"]) == 2
    both = [str(tmp_path / "kinds.parquet"), str(written / "val.parquet")]
    assert len(load_dataset("parquet", data_files=both, cache_dir=str(tmp_path))["train"]) == 6


def test_training_and_validation_share_no_scene(written, tmp_path):
    train, val = (read(written / f"{split}.parquet", tmp_path) for split in ("train", "val"))
    truths = [{row["reward_model"]["ground_truth"] for row in rows} for rows in (train, val)]
    assert truths[0].isdisjoint(truths[1])


def test_a_writer_that_was_cut_off_leaves_no_file_under_the_name(tmp_path):
    def rows():
        yield verl_row(Image.new("RGB", (8, 8)), "a", [1, 2, 3, 4], data_source="a", split="val", index=0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_parquet(rows(), tmp_path / "rows.parquet")
    assert not (tmp_path / "rows.parquet").exists()


def test_mistakes_are_told(tmp_path):
    write_scenes(tmp_path, {"train": 1}, level=1, size=56)
    next((tmp_path / "images").glob("*.png")).unlink()
    arguments = ["data", "verl", str(tmp_path / "train.parquet"), "--images", str(tmp_path), "--out"]
    with pytest.raises(InputError, match="Is --images right"):
        CliRunner().invoke(app, [*arguments, str(tmp_path / "rows.parquet")], catch_exceptions=False)
    assert not (tmp_path / "rows.parquet").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        CliRunner().invoke(app, [*arguments, str(tmp_path / "file" / "rows.parquet")], catch_exceptions=False)
