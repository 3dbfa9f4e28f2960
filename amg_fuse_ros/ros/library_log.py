"""What the library logs, in the node's log: engines that are built or loaded may take long."""

import logging

from rclpy.impl.rcutils_logger import RcutilsLogger

LIBRARY = "amg_fuse_ros"


class _Forward(logging.Handler):
    def __init__(self, logger: RcutilsLogger) -> None:
        super().__init__(logging.INFO)
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        # A line for each severity: rclpy ties a severity to the line that first logged with it.
        if record.levelno >= logging.ERROR:
            self._logger.error(record.getMessage())
        elif record.levelno >= logging.WARNING:
            self._logger.warning(record.getMessage())
        else:
            self._logger.info(record.getMessage())


def forward_library_log(logger: RcutilsLogger) -> None:
    """Send what the library logs to ``logger``; a second call replaces the first."""
    library = logging.getLogger(LIBRARY)
    for handler in list(library.handlers):
        if isinstance(handler, _Forward):
            library.removeHandler(handler)
    library.setLevel(logging.INFO)
    library.addHandler(_Forward(logger))
