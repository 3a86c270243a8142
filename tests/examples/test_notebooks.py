"""The notebooks run, and show what they are kept with."""

import base64
import importlib.util
import io
import json
import re
from pathlib import Path

import pytest
from PIL import Image

EXAMPLES = Path(__file__).parents[2] / "examples"
SPEC = importlib.util.spec_from_file_location("run_notebooks", EXAMPLES / "run_notebooks.py")
run_notebooks = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(run_notebooks)

NOTEBOOKS = sorted(path.name for path in EXAMPLES.glob("*.ipynb"))
TRAINS = "own_data.ipynb"  # its losses and times are of the machine; the others show the same numbers everywhere


def read(name):
    return json.loads((EXAMPLES / name).read_text(encoding="utf-8"))


def texts(notebook):
    """The words and numbers that each cell shows, and their kinds. Rulers and blanks vary with the version of rich."""
    shown = []
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            data = output.get("data", {"text/plain": output.get("text")})
            shown.append((sorted(data), re.findall(r"[-+]?[\w.]+", "".join(data["text/plain"]))))
    return shown


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_and_shows_what_it_is_kept_with(name, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "130")
    kept = read(name)
    done = run_notebooks.run(kept, tmp_path)
    assert [kinds for kinds, _ in texts(done)] == [kinds for kinds, _ in texts(kept)]
    if name != TRAINS:
        assert texts(done) == texts(kept)
    else:
        assert (tmp_path / "runs/grpo/model.safetensors").exists()
        assert texts(done)[-1] == texts(kept)[-1]  # the metrics of a model that learnt nothing


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_small_and_its_outputs_are_kept(name):
    notebook = read(name)
    assert (EXAMPLES / name).stat().st_size < 100_000
    paths = "/home/", "/tmp/", "/work/"  # noqa: S108
    assert not [path for path in paths if path in (EXAMPLES / name).read_text()]
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert sum(bool(cell["outputs"]) for cell in code) >= len(code) / 2
    pictures = [
        output["data"]["image/png"]
        for cell in code
        for output in cell["outputs"]
        if "image/png" in output.get("data", {})
    ]
    assert len(pictures) == 1
    with Image.open(io.BytesIO(base64.b64decode(pictures[0]))) as picture:
        assert len(picture.convert("RGB").getcolors(1 << 20)) > 10


def cell(*source):
    return {"cell_type": "code", "source": list(source)}


def test_what_a_cell_raises_is_raised_with_its_number(tmp_path):
    with pytest.raises(ZeroDivisionError) as failure:
        run_notebooks.run({"cells": [cell("a = 0"), cell("1 / a")]}, tmp_path)
    assert failure.value.__notes__ == ["in cell 1"]


def test_a_command_that_fails_is_raised_and_names_are_put_in(tmp_path):
    book = {"cells": [cell("name = 'none.jsonl'\n", "!rsreward score {name}")]}
    with pytest.raises(Exception, match=r"none\.jsonl"):
        run_notebooks.run(book, tmp_path)
