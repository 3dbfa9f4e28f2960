"""What engines tell while they get ready: log lines, so that nothing is silent for long."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

LOGGER = logging.getLogger("amg_fuse_ros.engine")
"""The node and the command line show what is logged here."""

PERIOD_S = 4.0

_lock = threading.Lock()
_under_way = 0


@contextmanager
def told(what: str, period_s: float = PERIOD_S) -> Iterator[None]:
    """Log that ``what`` goes on: at its begin, every few seconds, and at its end."""
    global _under_way  # noqa: PLW0603
    LOGGER.info("%s ...", what)
    began, over = time.monotonic(), threading.Event()

    def go_on() -> None:
        while not over.wait(period_s):
            LOGGER.info("%s: %.0f s so far", what, time.monotonic() - began)

    thread = threading.Thread(target=go_on, name="amg_fuse_progress", daemon=True)
    thread.start()
    with _lock:
        _under_way += 1
    try:
        yield
    finally:
        with _lock:
            _under_way -= 1
        over.set()
        thread.join()
    LOGGER.info("%s: done after %.1f s", what, time.monotonic() - began)


def is_building() -> bool:
    """Whether any engine of this process is being built or loaded: who waits for it is not hung."""
    return _under_way > 0
