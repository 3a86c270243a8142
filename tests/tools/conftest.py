"""The command `rsreward`, run in this process; a published data set, prepared; a folder with an image."""

import sys
from subprocess import CompletedProcess

import pytest
from layouts import write_voc
from PIL import Image
from rsreward_tools.cli.main import main
from rsreward_tools.data.published import prepare


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
