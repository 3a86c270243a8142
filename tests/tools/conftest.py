"""The command `rsreward`, run in this process."""

import sys
from subprocess import CompletedProcess

import pytest
from rsreward_tools.cli.main import main


@pytest.fixture
def rsreward(monkeypatch, capsys):
    """A function that runs the command with some arguments: its exit code, and what it printed."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["rsreward", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        return CompletedProcess(arguments, stop.value.code or 0, *capsys.readouterr())

    return run
