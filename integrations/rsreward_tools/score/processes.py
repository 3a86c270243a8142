"""Work on many chunks by several processes."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from signal import SIG_BLOCK, SIG_UNBLOCK, SIGINT, pthread_sigmask
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
    context = get_context("forkserver")
    context.set_forkserver_preload(["rsreward_tools.score.measure"])  # imports torch once, for all of them
    pool = ProcessPoolExecutor(workers, context)
    pthread_sigmask(SIG_BLOCK, {SIGINT})  # its processes inherit this: Ctrl-C is for us
    pool.submit(int)  # starts the first of them
    pthread_sigmask(SIG_UNBLOCK, {SIGINT})
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
