"""Each fault over every command: nothing lost, nothing half-written, one sentence, the house's exit codes."""

import os
import random
import shutil
import signal

import pytest
from every_command import COMMANDS, NOBODY_MAY_MOUNT, Started, files_of, full_disk, lay_out, read_only, start_server

STOPS = 3  # of each command, by each signal


def over(chosen):
    """A test for each command of which something is so."""
    names = [name for name, command in COMMANDS.items() if chosen(command)]
    return pytest.mark.parametrize(
        "name", [pytest.param(name, marks=pytest.mark.slow if COMMANDS[name].slow else ()) for name in names]
    )


@pytest.fixture(scope="module")
def inputs(scenes, tiny, chains, tmp_path_factory):
    start_server()
    return lay_out(tmp_path_factory.mktemp("commands"), scenes, tiny, chains)


@pytest.fixture(scope="module")
def whole_of(inputs, tmp_path_factory):
    """A function that gives a folder in which a command has run to its end, and the seconds that it took."""
    ended = {}

    def run(name):
        if name not in ended:
            folder = shutil.copytree(inputs, tmp_path_factory.mktemp("whole") / "f")
            started = Started(folder, COMMANDS[name])
            code, told = started.end()
            assert code == 0, told
            assert {f"out/{file}" for file in COMMANDS[name].writes} <= files_of(folder).keys()
            ended[name] = folder, started.seconds
        return ended[name]

    return run


@pytest.fixture
def folder(inputs, tmp_path):
    return shutil.copytree(inputs, tmp_path / "f")


def one_sentence(told):
    """The last line is ours; what other packages print comes before it."""
    *before, last = told.strip().splitlines() or [""]
    return last.startswith("rsreward: ") and "Traceback" not in told and not any("rsreward: " in b for b in before)


def check_files(name, folder, whole, ended=False):
    """Inputs are as they were; what has its own name is whole, but a journal may end early."""
    command, found, expected = COMMANDS[name], files_of(folder), files_of(whole)
    assert found.keys() >= {file for file in expected if ended or file.startswith("in/")}
    for file, content in found.items():
        if file.removeprefix("out/") in command.journals and not ended:
            assert expected[file].startswith(content), file
        elif file.startswith("in/") or command.repeats:
            assert content == expected[file], file


@pytest.mark.slow
@over(lambda command: True)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_stopped_at_any_moment_it_leaves_whole_files_and_then_ends_as_if_it_had_not_been(
    name, number, whole_of, folder
):
    whole, seconds = whole_of(name)
    draw = random.Random(f"{name} {number}")  # noqa: S311
    for _ in range(STOPS if COMMANDS[name].repeats else 1):
        started = Started(folder, COMMANDS[name])
        started.send(number, draw.uniform(0, seconds))
        code, told = started.end()
        assert code in (0, -9 if number == signal.SIGKILL else 130), told
        assert code != 130 or told.strip().splitlines()[-1].startswith("rsreward: stopped"), told
        check_files(name, folder, whole)
    code, told = Started(folder, COMMANDS[name]).end()
    assert code == 0, told
    check_files(name, folder, whole, ended=True)


@over(lambda command: command.writes)
@pytest.mark.parametrize("size", [40, 20_000])
def test_on_a_full_disk_there_is_one_sentence_and_no_half_file(name, size, whole_of, folder):
    whole, _ = whole_of(name)
    fits = max(map(len, files_of(whole / "out").values())) <= size
    code, told = Started(folder, COMMANDS[name], full_disk(size)).end()
    assert code == (0 if fits else 2), told
    assert fits or one_sentence(told), told
    check_files(name, folder, whole)
    assert not list(folder.rglob("*.part"))


@over(lambda command: command.writes)
def test_a_second_run_on_a_full_disk_leaves_what_the_first_wrote(name, whole_of, tmp_path):
    folder = shutil.copytree(whole_of(name)[0], tmp_path / "again")
    before = files_of(folder)
    code, told = Started(folder, COMMANDS[name], full_disk(10)).end()
    assert code == 2, told
    assert one_sentence(told), told
    assert files_of(folder) == before


@over(lambda command: command.writes)
def test_a_folder_that_cannot_be_written_to_is_told_in_a_sentence(name, folder):
    before = files_of(folder)
    code, told = Started(folder, COMMANDS[name], read_only(folder / "out")).end()
    if code == NOBODY_MAY_MOUNT:
        pytest.skip("this system lets nobody mount")
    assert code == 2, told
    assert one_sentence(told), told
    assert files_of(folder) == before


@over(lambda command: command.writes)
def test_of_two_runs_in_one_folder_one_ends_well_and_the_other_too_or_is_refused(name, whole_of, folder):
    whole, _ = whole_of(name)
    ends = [run.end() for run in [Started(folder, COMMANDS[name]) for _ in range(2)]]
    assert sorted(code for code, _ in ends) in ([0, 0], [0, 2]), ends
    assert all("another run is writing to" in told for code, told in ends if code), ends
    check_files(name, folder, whole, ended=True)
    assert not list(folder.rglob("*.part"))


@over(lambda command: command.reads)
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_is_not_a_regular_file_is_not_read(name, kind, folder):
    for file in COMMANDS[name].reads:
        content = (folder / file).read_bytes()
        put(kind, folder / file)
        code, told = Started(folder, COMMANDS[name]).end()
        assert code == 2, (file, told)
        assert one_sentence(told), (file, told)
        assert "is a device, a pipe or a socket" in told, file
        (folder / file).unlink()
        (folder / file).write_bytes(content)


@over(lambda command: command.writes)
def test_what_is_not_a_regular_file_is_not_replaced(name, inputs, tmp_path):
    for number, file in enumerate(COMMANDS[name].writes):
        folder = shutil.copytree(inputs, tmp_path / str(number))
        path = folder / "out" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        put(("pipe", "device")[number % 2], path)
        before = path.lstat()
        code, told = Started(folder, COMMANDS[name]).end()
        assert code == 2, (file, told)
        assert one_sentence(told), (file, told)
        assert path.lstat().st_ino == before.st_ino, file


def put(kind, path):
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
