"""Loads the network as a node's settings ask for, and says so in its log."""

from time import monotonic
from typing import TYPE_CHECKING

from rclpy.impl.rcutils_logger import RcutilsLogger

from amg_fuse_ros.resolution import Resolution
from amg_fuse_ros.ros.image_messages import CONVERTER
from amg_fuse_ros.ros.library_log import forward_library_log
from amg_fuse_ros.ros.synchronizer import SYNCHRONIZER
from amg_fuse_ros.settings import Settings, gain_settings

if TYPE_CHECKING:
    from amg_fuse_ros.fusion import Fuser


def load_fuser(settings: Settings, logger: RcutilsLogger) -> "Fuser":
    """Load weights, make the engine, try it once; the calibration comes with the pairs.

    Args:
        settings: The node's.
        logger: Of the node.

    Raises:
        Exception: What `Fuser.from_options` raises where something is missing or does not fit.
    """
    logger.info("loading the network ...")
    began = monotonic()
    forward_library_log(logger)
    from amg_fuse_ros.fusion import Fuser  # torch takes seconds to import

    s = settings
    fuser = Fuser.from_options(
        weights=str(s["network.weights"]),
        size=str(s["network.size"]),
        engine=str(s["engine"]),
        device=str(s["device"]),
        precision=str(s["precision"]),
        scale=float(s["network.scale"]),
        mask_form=str(s["mask.form"]),
        gain=gain_settings(s),
        steady=True,
        fallback=str(s["engine_fallback"]),
        shared=True,  # with the nodes of other cameras in this process
    )
    resolution = str(s["network.warm_up"])
    fuser.warm_up(Resolution.parse(resolution) if resolution else None)
    fuser.reset()
    engine = fuser.engine
    chosen = s["network.size"] == "auto" and not s["network.weights"]
    why = f" (auto, on {engine.device})" if chosen else ""
    logger.info(
        f"network ready after {monotonic() - began:.1f} s: size {fuser.size}{why}, "
        f"engine {engine.name}, "
        f"{engine.precision} on {engine.device}, scale {fuser.scale:g}; "
        f"messages by {CONVERTER}, pairs by {SYNCHRONIZER}"
    )
    return fuser
