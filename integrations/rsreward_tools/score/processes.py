"""Work on many chunks by several processes."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_all_start_methods, get_context
from signal import SIG_IGN, SIGINT, signal
from typing import TypeVar

from ..errors import InputError

T = TypeVar("T")
R = TypeVar("R")


def in_order(work: Callable[[T], R], tasks: Iterable[T], workers: int) -> Iterator[R]:
    """The result of each task, in their order, however many processes work on them; few are under way at a time.

    Raises:
        InputError: if there is no worker, or one is killed.
    """
    if workers < 1:
        raise InputError(f"--workers must be at least 1, got {workers}.")
    if workers == 1:
        yield from map(work, tasks)
        return
    context = get_context("forkserver" if "forkserver" in get_all_start_methods() else "spawn")
    if context.get_start_method() == "forkserver":
        context.set_forkserver_preload(["rsreward_tools.score.measure"])  # imports torch once, for all of them
    pool = ProcessPoolExecutor(workers, context, initializer=signal, initargs=(SIGINT, SIG_IGN))  # Ctrl-C is for us
    waiting: deque[Future[R]] = deque()
    try:
        for task in tasks:
            waiting.append(pool.submit(work, task))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool:
        raise InputError("a worker process was killed, perhaps for want of memory: give fewer --workers.") from None
    finally:
        pool.shutdown(cancel_futures=True)
