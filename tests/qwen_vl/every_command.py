"""Every command of `rsreward` with what it reads and writes, in processes that can be stopped or starved."""

import ctypes
import json
import os
import resource
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing import Pipe, forkserver, get_context, set_start_method
from multiprocessing.connection import Connection
from pathlib import Path

import own_files
import score_files
from layouts import write_voc
from rsreward_tools.cli.main import main
from small import CPU

LONGEST = 300  # seconds after which a command counts as hanging
NOBODY_MAY_MOUNT = 77
MODEL = ["--model_name_or_path", "in/tiny", "--images", "in/scenes"]
TRAIN = ["--per_device_train_batch_size", 4, "--max_steps", 1, "--save_steps", 1, *CPU]
OWN = ["data", "prepare", "own", "in/own.jsonl", "--images", "in/scenes", "--split", "train", "--out", "out/data"]
EVALUATE = ["evaluate", "in/tiny", "--images", "in/scenes", "--max-new-tokens", 2, "--batch-size", 2]
GRPO = ["grpo", "--num_generations", 4, "--max_completion_length", 4, "--gallery_steps", 1, "--output_dir", "out/grpo"]
SCENES, TEST, TRAINED_ON = ["--images", "in/scenes"], "in/scenes/test.parquet", "in/scenes/train.parquet"


@dataclass(frozen=True)
class Command:
    """A command in a folder that holds `in`, which is only read, and `out`.

    Attributes:
        arguments: with the files by their places in the folder.
        reads: files among them.
        writes: files that it writes by itself, below `out`; a model's are its trainer's.
        journals: files that grow line by line, below `out`.
        repeats: whether another run writes the same bytes.
        slow: takes seconds.
    """

    arguments: list
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    journals: tuple[str, ...] = ()
    repeats: bool = True
    slow: bool = False


def _below(folder: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{folder}/{name}" for name in names)


COMMANDS = {
    "score": Command(
        ["score", "in/rows.jsonl", "--out", "out/scored.jsonl", "--html", "out/page.html"],
        ("in/rows.jsonl",), ("scored.jsonl", "page.html"),
    ),
    "compare": Command(["compare", "in/rows.jsonl", "in/others.jsonl"], ("in/rows.jsonl", "in/others.jsonl")),
    "report": Command(["report", "out/run"], _below("out/run", "plan.json", "history.json"), ("run/report.html",)),
    "landscape": Command(
        ["landscape", "--out", "out/a.png", "--out", "out/a.csv", "--reward", "iou"], (), ("a.png", "a.csv"),
    ),
    "data prepare dior_rsvg": Command(
        ["data", "prepare", "dior_rsvg", "in/voc", "--out", "out/data"], ("in/voc/train.txt",),
        _below("data", "train.parquet", "val.parquet", "test.parquet", "report.json", "README.md"),
    ),
    "data prepare own": Command(OWN, ("in/own.jsonl",), _below("data", "train.parquet", "report.json", "README.md")),
    "data scenes": Command(
        ["data", "scenes", "out/scenes", "--train", 4, "--val", 0, "--test", 2, "--size", 64], (),
        _below("scenes", "train.parquet", "test.parquet", "images/2-0.png"),
    ),
    "data verl": Command(["data", "verl", TEST, *SCENES, "--out", "out/verl.parquet"], (TEST,), ("verl.parquet",)),
    "data inspect": Command(["data", "inspect", TEST, *SCENES, "--out", "out/sheet.png"], (TEST,), ("sheet.png",)),
    "data overlap": Command(["data", "overlap", TEST, TRAINED_ON], (TEST, TRAINED_ON)),
    "cot": Command(
        ["cot", TRAINED_ON, *SCENES, "--out", "out/cot", "--space", "qwen3-vl"], (TRAINED_ON,),
        _below("cot", "cot.parquet", "report.json", "asked.json", "chains.jsonl"), ("cot/chains.jsonl",),
    ),
    "evaluate": Command(
        [*EVALUATE, "--data", TEST, "--out", "out/eval"], (TEST,),
        _below("eval", "results.json", "scores.jsonl", "frame.json", "asked.json", "completions.jsonl"),
        ("eval/completions.jsonl",), slow=True,
    ),
    "sft": Command(
        ["sft", "--data", "in/cot.parquet", "--output_dir", "out/sft", *MODEL, *TRAIN], ("in/cot.parquet",),
        _below("sft", "plan.json", "history.json", "README.md"), repeats=False, slow=True,
    ),
    "grpo": Command(
        [*GRPO, "--data", TRAINED_ON, *MODEL, *TRAIN], (TRAINED_ON,),
        _below("grpo", "plan.json", "history.json", "README.md", "gallery/step_00001.png", "gallery/step_00001.json"),
        repeats=False, slow=True,
    ),
}  # fmt: skip


def lay_out(folder: Path, scenes: Path, tiny: Path, chains: Path) -> Path:
    """What the commands read, and an `out` with the run that `report` tells of."""
    inputs, run = folder / "in", folder / "out/run"
    inputs.mkdir()
    shutil.copytree(scenes, inputs / "scenes")
    shutil.copytree(tiny, inputs / "tiny")
    shutil.copy(chains, inputs / "cot.parquet")
    write_voc(inputs / "voc")
    score_files.written(inputs, *[score_files.GOOD] * 300)
    score_files.written(inputs, *[score_files.GOOD | {"completion": "none"}] * 300, name="others.jsonl")
    image = min((inputs / "scenes/images").iterdir()).name
    own_files.lines(inputs, *[own_files.ROW | {"image": f"images/{image}", "bbox": [1, 2, 30, 40]}] * 3)
    run.mkdir(parents=True)
    (run / "plan.json").write_text('{"stage": "sft"}')
    (run / "history.json").write_text(json.dumps([{"step": i, "loss": 1 / i} for i in range(1, 5)]))
    return folder


def start_server() -> None:
    """A process that has imported everything and has not trained: commands are forks of it.

    One that runs already is of another test, and has imported less. It is killed, for it would end by itself only with
    the last child of this process that a test has forked, such as a loader of torch.
    """
    if (earlier := forkserver._forkserver._forkserver_pid) is not None:
        os.kill(earlier, signal.SIGKILL)
    forkserver._forkserver._stop()
    forkserver.set_forkserver_preload(["every_command", "rsreward_qwen_vl.plan", "rsreward_qwen_vl.demo_report"])


class Started:
    """A command that runs.

    Args:
        folder: where.
        command: what.
        before: is done first, in its process.
    """

    def __init__(self, folder: Path, command: Command, before: Callable[[], None] | None = None):
        self.out, self.err, started = (Pipe(duplex=False) for _ in range(3))
        ends = [pipe[1] for pipe in (self.out, self.err, started)]
        self.process = get_context("forkserver").Process(target=_run, args=(folder, command.arguments, before, *ends))
        self.process.start()
        for end in ends:
            end.close()
        os.read(started[0].fileno(), 1)
        self.began = time.monotonic()

    def send(self, number: int, after: float) -> None:
        time.sleep(max(0.0, self.began + after - time.monotonic()))
        if self.process.is_alive():
            os.kill(self.process.pid, number)

    def end(self) -> tuple[int, str]:
        """The exit code, negative for a signal, and what was said on stderr."""
        _read(self.out[0])
        told = _read(self.err[0])
        self.process.join()
        self.seconds = time.monotonic() - self.began
        return self.process.exitcode, told


def _read(pipe: Connection) -> str:
    parts = []
    while part := os.read(pipe.fileno(), 1 << 16):
        parts.append(part)
    return b"".join(parts).decode(errors="replace")


def _run(folder: Path, arguments: list, before: Callable[[], None] | None, *ends: Connection) -> None:
    code = 70
    try:
        for number, end in enumerate(ends[:2], 1):
            os.dup2(end.fileno(), number)
            end.close()
        sys.stdin, sys.stdout, sys.stderr = open(os.devnull), open(1, "w"), open(2, "w")  # noqa: SIM115
        os.chdir(folder)
        sys.argv = ["rsreward", *map(str, arguments)]
        set_start_method("fork", force=True)  # as in a process that was not started by a server
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.alarm(LONGEST)
        if before:
            before()
        os.write(ends[2].fileno(), b".")
        main()
    except SystemExit as end:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        code = end.code if isinstance(end.code, int) else int(bool(end.code))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def files_of(folder: Path) -> dict[str, bytes]:
    """What lies in a folder, but for what an interrupted run left under a name of its own."""
    found = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".part"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def full_disk(size: int) -> Callable[[], None]:
    """No file can become larger than so many bytes."""
    return partial(resource.setrlimit, resource.RLIMIT_FSIZE, (size, size))


def read_only(folder: Path) -> Callable[[], None] | None:
    """A folder that cannot be written to. The superuser heeds no modes: it is mounted anew, for one process alone."""
    if os.geteuid():
        folder.chmod(0o555)
        return None
    return partial(_mount_read_only, os.fsencode(folder))


def _mount_read_only(folder: bytes) -> None:
    libc, private, bind, only_read = ctypes.CDLL(None), 1 << 18 | 1 << 14, 1 << 12, 1 << 12 | 1 << 5 | 1
    steps = [(b"none", b"/", private), (folder, folder, bind), (folder, folder, only_read)]
    if libc.unshare(0x20000) or any(libc.mount(what, where, b"", flags, None) for what, where, flags in steps):
        os._exit(NOBODY_MAY_MOUNT)
