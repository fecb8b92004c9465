"""Work shared out to processes, its results in order, with memory and life spans under control."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import islice
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


def ordered(function: Callable[[Job], Result], jobs: Iterable[Job], workers: int) -> Iterator[Result]:
    """`function(job)` for every job, in the order of the jobs; with one worker in this process.

    At most two results a worker wait to be taken, so a slow taker never fills the memory. When this process dies,
    however it dies, its workers end too.
    """
    if workers == 1:
        yield from map(function, jobs)
        return
    jobs = iter(jobs)
    with ProcessPoolExecutor(workers, initializer=_end_with_parent) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            waiting.extend(pool.submit(function, job) for job in islice(jobs, 2 * workers))
            while waiting:
                result = waiting.popleft().result()
                waiting.extend(pool.submit(function, job) for job in islice(jobs, 1))
                yield result
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _end_with_parent() -> None:
    """A killed parent tells nobody: without this its workers would wait for work forever.

    Ctrl-C is the parent's to answer: its workers finish what they are at.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
