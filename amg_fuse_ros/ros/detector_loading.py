"""Loads the detector's network as a node's settings ask for, and says so in its log."""

from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from rclpy.impl.rcutils_logger import RcutilsLogger

from amg_fuse_ros.resolution import Resolution
from amg_fuse_ros.setting import Settings
from amg_fuse_ros.weights.detector import shipped_detector

if TYPE_CHECKING:
    from amg_fuse_ros.detection import Detector

MOST_NAMES = 12
"""Class names that fit into a line of the log."""


def model_path(settings: Settings) -> Path:
    """The network that a node's settings name, by default the shipped one.

    Raises:
        FileNotFoundError: None is named and none is shipped.
    """
    return Path(str(settings["model"])) if settings["model"] else shipped_detector()


def load_detector(settings: Settings, logger: RcutilsLogger) -> "Detector":
    """Load the network and run it once.

    Args:
        settings: The node's.
        logger: Of the node.

    Raises:
        Exception: What `Detector.load` raises where something is missing or does not fit.
    """
    began = monotonic()
    path = model_path(settings)
    size = Resolution.parse(str(settings["warm_up"]))
    logger.info(f"loading {path} ...")
    from amg_fuse_ros.detection import Detector  # torch takes seconds to import

    detector = Detector.load(path, str(settings["device"]), bool(settings["half"]))
    detector.warm_up((size.height, size.width))
    names = list(detector.names.values())
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    logger.info(
        f"network ready after {monotonic() - began:.1f} s: on {detector.device}, "
        f"{'with masks, ' if detector.segments else ''}{len(names)} classes: "
        f"{', '.join(names[:MOST_NAMES])}{more}"
    )
    return detector
