"""The tasks as lmms-eval 0.7 uses them; `make smoke-lmms` runs them in lmms-eval itself."""

import importlib
import json
from pathlib import Path

import pytest
import rsreward_lmms_eval
import torch
import yaml
from PIL import Image
from rsreward_lmms_eval import grounding
from rsreward_tools.data.example import Example, write_examples
from rsreward_tools.errors import InputError

from rsreward import grounding_metrics, parse_boxes

FOLDER = Path(rsreward_lmms_eval.__file__).parent
TASKS = {"dior_rsvg": "dior_rsvg", "opt_rsvg": "opt_rsvg", "vrsbench": "vrsbench", "rrsis_d": "plain"}
ANSWERS = ["<answer>[100, 100, 500, 490]</answer>", "I see none.", "[0, 0, 300, 300]", "[-5, 100, 1200, 500]"]


class Loader(yaml.SafeLoader):
    """Reads `!function module.name` as lmms-eval does: from the file beside the YAML."""


Loader.add_constructor("!function", lambda loader, node: getattr(grounding, node.value.removeprefix("grounding.")))


def task(name):
    read = yaml.load((FOLDER / f"{name}.yaml").read_text(), Loader)  # noqa: S506
    return yaml.load((FOLDER / read["include"]).read_text(), Loader) | read  # noqa: S506


def write_table(folder, name, boxes=None):
    known = {"width": 600, "height": 400, "oriented": None, "category": "ship", "unique": True, "split": "test"}
    examples = [
        Example(
            image=f"{i}.png",
            query=f"ship {i}",
            boxes=boxes or [[60, 40, 300, 200 + i]],
            dataset=name,
            source_id=f"{i}",
            **known,
        )
        for i in range(len(ANSWERS))
    ]
    (folder / "tables" / name).mkdir(parents=True)
    write_examples(folder / "tables" / name / "test.parquet", examples)
    (folder / "images" / name).mkdir(parents=True)
    for example in examples:
        Image.new("RGB", (600, 400)).save(folder / "images" / name / example.image)


@pytest.fixture(autouse=True)
def told(tmp_path, monkeypatch):
    grounding.frame.cache_clear()
    for name, value in {"TABLES": tmp_path / "tables", "IMAGES": tmp_path / "images", "SPACE": "qwen3-vl"}.items():
        monkeypatch.setenv(f"RSREWARD_{name}", str(value))


@pytest.mark.parametrize("name", TASKS)
def test_a_task_counts_as_its_benchmark_does(tmp_path, name):
    write_table(tmp_path, name)
    found = task(name)
    assert found["task"] == f"rsreward_{name}"
    assert (FOLDER / found["dataset_kwargs"]["data_files"]["test"]).exists()
    docs = found["process_docs"](None)
    rows = [found["process_results"](doc, [answer]) for doc, answer in zip(docs, ANSWERS, strict=True)]
    json.dumps(rows)  # lmms-eval writes them
    sizes = {"width": 600, "height": 400}
    target = torch.tensor([[60.0, 40.0, 300.0, 200.0 + i] for i in range(4)])
    expected = grounding_metrics(
        parse_boxes(ANSWERS, space="qwen3-vl", **sizes), target, convention=TASKS[name], **sizes
    )
    expected.pop("rows")
    counted = {
        each["metric"]: each["aggregation"]([row[each["metric"]] for row in rows]) for each in found["metric_list"]
    }
    assert counted == pytest.approx(expected, abs=1e-6)
    assert 0 < counted["miou"] < 1


def test_a_question_is_its_image_and_the_template_of_the_recipe(tmp_path, monkeypatch):
    write_table(tmp_path, "dior_rsvg")
    doc = task("dior_rsvg")["process_docs"](None)[1]
    assert [image.size for image in grounding.visual(doc)] == [(600, 400)]
    assert grounding.text(doc, lmms_eval_specific_kwargs=None).startswith("Locate ship 1. First reason")
    monkeypatch.setenv("RSREWARD_TEMPLATE", "Where is {query}?")
    assert grounding.text(doc) == "Where is ship 1?"
    assert doc[task("dior_rsvg")["doc_to_target"]] == "[60.0, 40.0, 300.0, 201.0]"


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("TABLES", None, "set RSREWARD_TABLES"),
        ("TABLES", "nowhere", "there is no file"),
        ("IMAGES", "nowhere", "nowhere/dior_rsvg is not a folder"),
        ("SPACE", None, "set RSREWARD_SPACE to the coordinate space"),
        ("SPACE", "qwen9-vl", "unknown coordinate space 'qwen9-vl'"),
        ("MAX_PIXELS", "many", "RSREWARD_SPACE and its options are wrong"),
        ("THINK_IN_PROMPT", "maybe", "RSREWARD_THINK_IN_PROMPT to true or false"),
    ],
)
def test_what_is_told_wrongly_is_named_before_the_first_answer(tmp_path, monkeypatch, variable, value, sentence):
    write_table(tmp_path, "dior_rsvg")
    monkeypatch.delenv(f"RSREWARD_{variable}", raising=False)
    if value:
        monkeypatch.setenv(f"RSREWARD_{variable}", value)
    with pytest.raises(InputError, match=sentence):
        grounding.dior_rsvg(None)


def test_a_question_with_several_boxes_is_refused(tmp_path):
    write_table(tmp_path, "vrsbench", boxes=[[0, 0, 9, 9], [10, 10, 20, 20]])
    with pytest.raises(InputError, match="the question 0 has several boxes or none"):
        grounding.vrsbench(None)


def test_the_tasks_are_loaded_by_their_file_too():
    """lmms-eval imports grounding.py by its path, so nothing in it may be relative to the package."""
    spec = importlib.util.spec_from_file_location("grounding", FOLDER / "grounding.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert set(TASKS) <= set(vars(module))
