"""What the commands show while they work: messages and progress, on the error stream."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

console = Console(stderr=True, highlight=False, soft_wrap=True)


def say(style: str, label: str, text: object) -> None:
    """Show a line that begins with a label in a style of rich, such as ``"bold red"``."""
    # Text rather than markup: brackets in the names of files are no tags.
    console.print(Text.assemble((label, style), " ", str(text)))


class _Lines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        say("dim", "engine:", record.getMessage())


def show_engine_log() -> None:
    """Show what engines log while they are built or loaded, which may take long."""
    logger = logging.getLogger("amg_fuse_ros.engine")
    logger.setLevel(logging.INFO)
    if not any(isinstance(handler, _Lines) for handler in logger.handlers):
        logger.addHandler(_Lines())


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on terminals; the context gives what to call with the done and the total."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    shown = console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=not shown) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
