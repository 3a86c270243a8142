"""The command `rsreward`, run in this process; a published data set, prepared; a folder with an image."""

import json
import sys
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from layouts import write_voc
from PIL import Image
from rsreward_tools.cli.main import main
from rsreward_tools.data.published import prepare
from score_files import written


@pytest.fixture
def rsreward(monkeypatch, capsys):
    """A function that runs the command with some arguments: its exit code, and what it printed."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["rsreward", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        return CompletedProcess(arguments, stop.value.code or 0, *capsys.readouterr())

    return run


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A data set with its root, prepared in `out`."""
    root = tmp_path_factory.mktemp("prepared")
    write_voc(root)
    prepare("dior_rsvg", root, root / "out")
    return root


@pytest.fixture
def folder(tmp_path):
    Image.new("RGB", (800, 600)).save(tmp_path / "a.png")
    return tmp_path


@pytest.fixture
def score(tmp_path, rsreward):
    """A function that scores rows, or a file: the metrics, the names of the findings, and what was said on stderr."""

    def run(source, *options):
        file = source if isinstance(source, Path) else written(tmp_path, *source)
        done = rsreward("score", file, "--json", *options)
        assert done.returncode == 0, done.stderr
        result = json.loads(done.stdout)
        assert result["broken_rows"] == 0, done.stderr
        return result["metrics"], [finding["finding"] for finding in result["frame"]], done.stderr

    return run


@pytest.fixture
def refused(tmp_path, rsreward):
    """A function that has rows, or a file, refused: the one sentence that says why."""

    def run(source, *options):
        file = source if isinstance(source, Path) else written(tmp_path, *source)
        done = rsreward("score", file, *options)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        return done.stderr

    return run
