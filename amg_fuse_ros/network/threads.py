"""Threads for compiled loops beside torch's own.

numba's parallel loops bring a second OpenMP runtime into the process. Its threads and torch's spin
while they wait, each in the way of the other: on two cores under load a training step took 3 to
30 s instead of 1.5 s. Plain threads that sleep while they wait have no such quarrel; the loops
release the interpreter's lock.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise

import torch


def in_parallel(count: int, work: Callable[[slice], object]) -> None:
    """Cut ``range(count)`` into one slice for each of torch's threads and do all at once.

    ``work`` is called with each slice, in this thread and in others; it should release the
    interpreter's lock.
    """
    threads = max(1, min(torch.get_num_threads(), count))
    bounds = [count * i // threads for i in range(threads + 1)]
    slices = [slice(a, b) for a, b in pairwise(bounds)]
    others = [_pool(threads - 1).submit(work, part) for part in slices[1:]] if threads > 1 else []
    work(slices[0])
    for other in others:
        other.result()


def in_steps(count: int, step: int, work: Callable[[int, int, int], object]) -> None:
    """Cut ``range(count)`` into pieces of ``step``, which torch's threads take one by one.

    ``work`` is called with the number of the thread (0 for this one), and the first and the last
    (exclusive) of the piece. Which thread takes which piece is left to chance: what ``work`` does
    must not depend on it.
    """
    starts = range(0, count, step)
    threads = max(1, min(torch.get_num_threads(), len(starts)))
    waiting = iter(starts)  # taking the next one is atomic

    def take(thread: int) -> None:
        for first in waiting:
            work(thread, first, min(first + step, count))

    others = [_pool(threads - 1).submit(take, i) for i in range(1, threads)]
    take(0)
    for other in others:
        other.result()


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="amg_fuse")
