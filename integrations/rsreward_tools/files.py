"""Files that commands write: never over an input, complete or not at all, and continued by a later run."""

import errno
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any

from .errors import InputError


def file_to_write(
    option: str, path: Path, inputs: Iterable[Path] = (), others: Mapping[str, Path] | None = None
) -> None:
    """Refuse a file to write that is a folder, a device, an input of the command, or the file of another option.

    Args:
        option: such as "--out".
        path: the file.
        inputs: the files that the command reads.
        others: files that it writes, by their options.
    """
    if path.is_dir():
        raise InputError(f"{option} {path} is a folder: name a file.")
    regular_file(path)
    for read in inputs:
        if same(path, read):
            raise InputError(f"{option} {path} is the input itself: choose another file.")
    for name, other in (others or {}).items():
        if same(path, other):
            raise InputError(f"{option} {path} is what {name} writes: choose another file.")


def refuse_file_as_folder(option: str, path: Path) -> None:
    """Refuse a path that must be a folder and is a file."""
    if path.exists() and not path.is_dir():
        raise InputError(f"{option} {path} must be a folder, and a file is there: choose another name.")


def folder_to_write(option: str, path: Path) -> None:
    """Create a folder.

    Raises:
        InputError: if it is a file, or cannot be created.
    """
    refuse_file_as_folder(option, path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{option} {path} cannot be made: {error.strerror}.") from None


@contextmanager
def alone_in(folder: Path, wait: bool = False) -> Iterator[None]:
    """Hold the lock of a folder. The system takes it back when the process ends, however it ends.

    Args:
        folder: the folder.
        wait: for the run that holds it.

    Raises:
        InputError: if another run is writing there.
    """
    from fcntl import LOCK_EX, LOCK_NB, flock  # not on Windows

    handle = os.open(folder, os.O_RDONLY)
    try:
        flock(handle, LOCK_EX if wait else LOCK_EX | LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise InputError(f"another run is writing to {folder}: wait for it, or give another folder.") from None
    except OSError:  # a file system without locks
        pass
    try:
        yield
    finally:
        os.close(handle)


def refuse_foreign_folder(option: str, folder: Path, mark: str, *files: str) -> None:
    """Refuse a folder in which another program wrote files of these names.

    Args:
        option: such as "--out".
        folder: the folder.
        mark: a file that this command writes into each of its folders. Without it the others are foreign.
        *files: the names.
    """
    for name in files:
        if (folder / name).exists() and not (folder / mark).exists():
            raise InputError(
                f"{option} {folder} holds a {name} that this command did not write: choose another folder."
            )


def same(a: Path, b: Path) -> bool:
    """Whether two paths lead to the same file, which need not exist."""
    return a.resolve() == b.resolve() or (a.exists() and b.exists() and a.samefile(b))


def resume_lines(path: Path, fields: tuple[str, ...]) -> list[dict[str, Any]]:
    """The rows of an earlier run. An incomplete last line is removed from the file.

    Args:
        fields: the fields of every row, in order.

    Raises:
        InputError: if the file holds something else. It is left unchanged.
    """
    if not regular_file(path).exists():
        return []
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    start, rest = f'{{"{fields[0]}"'.encode(), content[len(whole) :]
    try:
        rows = [json.loads(line) for line in whole.splitlines()]
        ours = all(isinstance(row, dict) and row.keys() >= set(fields) for row in rows)
    except (ValueError, RecursionError):
        ours = False
    if not ours or not (rest.startswith(start) or start.startswith(rest)):
        raise InputError(f"{path} is not what this command writes: move it away or give another --out.")
    if rest:
        with path.open("r+b") as file:
            file.truncate(len(whole))
    return rows


def same_settings(path: Path, settings: dict[str, Any]) -> None:
    """Write the settings of a run beside its results, and refuse to continue it with others.

    Raises:
        InputError: naming a setting that differs.
    """
    settings = json.loads(json.dumps(settings))
    regular_file(path)
    try:
        before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else settings
    except (ValueError, RecursionError):
        raise InputError(f"{path} is not what this command writes: move it away or give another --out.") from None
    for name in settings:
        if not isinstance(before, dict) or before.get(name) != settings[name]:
            raise InputError(f"{path.parent} holds results with another {name}: give another --out.")
    write_whole(path, json.dumps(settings, indent=1) + "\n")


def write_whole(path: Path, text: str) -> None:
    """Write a file so that other processes see it complete or not at all."""
    with writing(path) as part:
        part.write_text(text, encoding="utf-8")


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """The name under which to write a file; it gets its own name when it is complete.

    Until then it is called `NAME.XXXXXXXX.part`, differently in every run. An interrupted run leaves that file and says
    so in a note of the exception. A run that fails removes it.

    Raises:
        InputError: if it cannot be written, such as on a full disk, or is a device, a pipe or a socket.
    """
    regular_file(path)
    part = path.with_name(f"{path.name}.{token_hex(4)}.part")
    try:
        yield part
        part.replace(path)
    except Exception as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise InputError(f"{path} cannot be written: {error.strerror or error}.") from None
        raise
    except BaseException as stop:
        stop.add_note(f"What was written until then is in {part}.")
        raise


def disk_is_full(error: BaseException | None) -> bool:
    """Whether an error, or the one that it came from, says that no more can be written.

    safetensors and torch say so in words.

    >>> disk_is_full(RuntimeError("I/O error: No space left on device (os error 28)")), disk_is_full(KeyError(28))
    (True, False)
    """
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        if any(f"os error {number})" in str(error) for number in _FULL) or "file write failed" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


def regular_file(path: Path) -> Path:
    """The path, if it is a file, a folder or missing. Reading from a pipe or a device may never end.

    Raises:
        InputError: naming it.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise InputError(f"{path} is a device, a pipe or a socket: name a file.")
    return path


def size_of_input(path: Path) -> int:
    """The size of a file to read, in bytes.

    Raises:
        InputError: if it does not exist, or is not a regular file.
    """
    try:
        return regular_file(path).stat().st_size
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}.") from None


def read_file(path: Path) -> bytes:
    """The content of a file.

    Raises:
        FileNotFoundError: if it does not exist.
        InputError: if it is not a file, or cannot be read.
    """
    try:
        return regular_file(path).read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from None
