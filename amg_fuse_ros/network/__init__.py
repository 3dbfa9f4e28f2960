"""AMG-Fuse as the paper defines it: torch modules, no ROS, no I/O but weights files."""

from amg_fuse_ros.network.amg_fuse import SIZES, AMGFuse, FusionOutput, NetworkSize
from amg_fuse_ros.network.checkpoint import WeightsError, load_weights, read_card, save_weights
from amg_fuse_ros.network.mask import fusion_mask

__all__ = [
    "SIZES",
    "AMGFuse",
    "FusionOutput",
    "NetworkSize",
    "WeightsError",
    "fusion_mask",
    "load_weights",
    "read_card",
    "save_weights",
]
