"""How many workers a machine carries, and what each may take of it."""

import os
import sys
from pathlib import Path


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def workers_that_fit(bytes_each: int) -> int:
    """As many workers as there are cores, and as the memory that is free now can hold.

    Args:
        bytes_each: Memory that one worker needs.
    """
    free = _available_memory()
    return max(1, cores() if free is None else min(cores(), free // bytes_each))


def limit_threads(threads: int) -> None:
    """Let the numeric libraries of this process use so many threads, loaded yet or not."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(threads)
    # Those that are here already do not look again.
    for module, function in (("torch", "set_num_threads"), ("cv2", "setNumThreads")):
        if module in sys.modules:
            getattr(sys.modules[module], function)(threads)


def _available_memory() -> int | None:
    """Bytes that can be taken without swapping; ``None`` where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None
