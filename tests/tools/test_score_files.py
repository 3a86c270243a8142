"""Files that `rsreward score` and `compare` should not read or write, and what a stop or a full disk leaves."""

import json
import os
import resource
import signal
import socket
import subprocess

import pytest
from rsreward_tools.errors import InputError
from rsreward_tools.pages.score import ScoreReport
from rsreward_tools.score import records
from rsreward_tools.score.compare import compare_files
from rsreward_tools.score.options import Options
from rsreward_tools.score.totals import score_file
from score_files import COMMAND, GOOD, written


@pytest.fixture(params=["pipe", "socket", "device"])
def special(request, tmp_path):
    """What is there and is not a regular file."""
    if request.param == "device":
        return "/dev/zero"
    path = tmp_path / request.param
    if request.param == "pipe":
        os.mkfifo(path)
        return path
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))
    return path


def test_devices_pipes_and_sockets_are_neither_read_nor_replaced(tmp_path, rsreward, special):
    file = written(tmp_path, GOOD)
    before = os.stat(special)
    for arguments in (
        ("score", special),
        ("score", file, "--out", special),
        ("score", file, "--html", special),
        ("compare", file, special),
    ):
        result = rsreward(*arguments)
        assert (result.returncode, result.stderr.count("\n"), result.stdout) == (2, 1, "")
        assert f"{special} is a device, a pipe or a socket" in result.stderr
    assert os.stat(special) == before


def test_a_pipe_in_a_folder_of_dumps_is_refused(tmp_path, rsreward):
    written(tmp_path, GOOD, name="1.jsonl")
    os.mkfifo(tmp_path / "2.jsonl")
    assert "2.jsonl is a device, a pipe or a socket" in rsreward("score", tmp_path).stderr


def test_a_pipe_among_the_images_is_not_waited_for(tmp_path, rsreward):
    file, page = written(tmp_path, GOOD | {"image": "pipe.png"}), tmp_path / "page.html"
    os.mkfifo(tmp_path / "pipe.png")
    result = rsreward("score", file, "--html", page, "--images", tmp_path)
    assert result.returncode == 0, result.stderr
    assert "pipe.png cannot be read as an image" in page.read_text()


@pytest.mark.parametrize("length", [1000, 1001, 1999, 2000, 2001, 5000])
def test_a_line_without_end_is_a_broken_row_and_the_next_is_read(tmp_path, monkeypatch, length):
    monkeypatch.setattr(records, "LONGEST_LINE", 1000)
    long = '{"completion": "' + "a" * (length - 18) + '"}'
    assert len(long) == length
    found = score_file(written(tmp_path, GOOD, long, GOOD, long))
    assert (found["rows"], found["broken_rows"]) == (2, 2)
    assert "rows.jsonl, line 2 is longer than" in found["broken"][0]
    assert "rows.jsonl, line 4 is longer than" in found["broken"][1]


def test_groups_may_be_numbers_of_any_length(tmp_path):
    names = ["9" * 5000, "8" * 5000, "10", "9", "0", "007"]
    found = score_file(written(tmp_path, *[GOOD | {"log": name} for name in names]), Options(by=("log",)))
    assert list(found["groups"]) == ["0", "007", "9", "10", "8" * 5000, "9" * 5000]


@pytest.mark.parametrize("written_to", ["out", "html"])
def test_on_a_full_disk_there_is_one_sentence_and_no_file(tmp_path, rsreward, written_to):
    file = written(tmp_path, *[GOOD] * 500)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, limits[1]))
    try:
        result = rsreward("score", file, f"--{written_to}", tmp_path / "written")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert f"{tmp_path / 'written'} cannot be written: File too large." in result.stderr
    assert list(tmp_path.iterdir()) == [file]


def test_two_runs_with_one_out_do_not_write_into_one_file(tmp_path):
    out = tmp_path / "scored.jsonl"
    few, many = (written(tmp_path, *[GOOD] * count, name=f"{count}.jsonl") for count in (3, 2000))
    started = []

    def meanwhile(done, size):
        if not started:
            started.append(score_file(few, out=out))
            assert len(out.read_text().splitlines()) == 3

    score_file(many, out=out, report=meanwhile)
    assert [json.loads(line)["line"] for line in out.read_text().splitlines()] == list(range(1, 2001))
    assert sorted(tmp_path.iterdir()) == sorted([few, many, out])


@pytest.mark.parametrize("workers", [1, 2])
def test_a_stop_is_one_sentence_and_leaves_whole_lines_under_another_name(tmp_path, workers):
    file, out = written(tmp_path, *[GOOD] * 400_000), tmp_path / "scored.jsonl"
    command = [COMMAND, "score", file, "--out", out, "--workers", str(workers)]
    run = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # what is started by nohup ignores it
    )  # fmt: skip
    while not (parts := [part for part in tmp_path.glob("*.part") if part.stat().st_size]):
        assert run.poll() is None
    os.killpg(run.pid, signal.SIGINT)  # as a terminal does it, to all processes of the command
    stdout, stderr = run.communicate()
    assert (run.returncode, stdout) == (130, "")
    assert stderr == f"rsreward: stopped. What was written until then is in {parts[0]}.\n"
    assert not out.exists()
    assert 0 < len([json.loads(line) for line in parts[0].read_text().splitlines()]) < 400_000


def test_the_number_of_processes_changes_nothing(tmp_path):
    rows = [
        GOOD
        | {"target": [0, 0, 500, 250 + i % 90], "width": 900, "height": 700 + i % 5, "log": i % 7, "prompt": i % 400}
        for i in range(2500)
    ]
    a = written(tmp_path, *rows[:50], "{", *rows[50:], GOOD, name="a.jsonl")
    b = written(tmp_path, *[row | {"completion": "[9, 9, 400, 300]"} for row in rows[:50]], "", "{", *rows[50:], GOOD)
    options = Options("qwen3-vl", by=("log", "@region"), cluster="prompt")
    alone, together = (tmp_path / "alone", tmp_path / "together")
    results = []
    for folder, workers in ((alone, 1), (together, 3)):
        folder.mkdir()
        page = ScoreReport(folder / "page.html")
        results.append(score_file(a, options, out=folder / "out", workers=workers, watch=page.watch))
        page.write(results[-1], {"file": "a", "by": "log"})
    assert results[0] == results[1]
    assert results[0]["broken_rows"] == 2
    for name in ("out", "page.html"):
        assert (alone / name).read_bytes() == (together / name).read_bytes()
    assert compare_files(a, b, options, workers=3) == compare_files(a, b, options)


def test_a_mistake_that_a_worker_finds_is_one_sentence_too(tmp_path):
    rows = [GOOD | {"target": [[0, 0, 1, 1]]}]
    with pytest.raises(InputError, match="for one box a row"):
        score_file(written(tmp_path, *rows), Options(by=("@size",)), out=tmp_path / "out", workers=2)
    assert not list(tmp_path.glob("out*"))
