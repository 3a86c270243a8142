"""Commands that stop with one sentence."""

import sys

import pytest
from rsreward_tools.cli.main import main


def refused(monkeypatch, capsys, folder, *arguments):
    """What a command that is started in a folder and stops with exit code 2 says, in one line."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["rsreward", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        main()
    told = capsys.readouterr()
    assert (stop.value.code, told.err.count("\n"), told.out) == (2, 1, "")
    return told.err
