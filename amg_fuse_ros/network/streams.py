"""The three streams that run side by side through the network."""

from typing import NamedTuple

from torch import Tensor


class Streams(NamedTuple):
    """Visible, thermal and fused features of one level, all B C H W."""

    vi: Tensor
    ir: Tensor
    f: Tensor
