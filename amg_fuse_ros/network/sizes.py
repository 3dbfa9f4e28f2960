"""The sizes that there are, by name."""

from amg_fuse_ros.network.amg_fuse import SIZES, AMGFuse
from amg_fuse_ros.network.fusion_network import FusionNetwork
from amg_fuse_ros.network.nano import Nano

SIZE_NAMES = ("nano", *sorted(SIZES, key=lambda name: SIZES[name].dim))
"""From the smallest to the largest."""


def make_network(size: str) -> FusionNetwork:
    """A network with fresh weights.

    Args:
        size: ``"nano"`` (0.5 M parameters, for CPUs), ``"tiny"`` (4.9 M, the paper's real-time
            one) or ``"full"`` (60 M).

    Raises:
        ValueError: If there is no such size.
    """
    if size not in SIZE_NAMES:
        raise ValueError(f"expected a network size among {list(SIZE_NAMES)}, found {size!r}")
    return Nano() if size == "nano" else AMGFuse.from_size(size)
