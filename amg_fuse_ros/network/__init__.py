"""AMG-Fuse as the paper defines it, and nano: torch modules, no ROS, no I/O but weights files."""

from amg_fuse_ros.network.amg_fuse import SIZES, AMGFuse, FusionOutput
from amg_fuse_ros.network.checkpoint import WeightsError, load_weights, read_card, save_weights
from amg_fuse_ros.network.fusion_network import FusionNetwork, NetworkSize
from amg_fuse_ros.network.mask import fusion_mask
from amg_fuse_ros.network.nano import Nano
from amg_fuse_ros.network.sizes import SIZE_NAMES, make_network

__all__ = [
    "SIZES",
    "SIZE_NAMES",
    "AMGFuse",
    "FusionNetwork",
    "FusionOutput",
    "Nano",
    "NetworkSize",
    "WeightsError",
    "fusion_mask",
    "load_weights",
    "make_network",
    "read_card",
    "save_weights",
]
