"""What every engine offers."""

from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from amg_fuse_ros.network import FusionNetwork

FloatImage = NDArray[np.float32]


class EngineError(RuntimeError):
    """An engine that failed; the message says what to do about it."""


class EngineUnavailableError(EngineError):
    """An engine that cannot run on this machine; the message says what it needs."""


class Engine(Protocol):
    """Runs the fusion network on one pair at a time."""

    def __init__(self, network: "FusionNetwork", device: str, precision: str) -> None:
        """Get ready to run ``network``; see :func:`amg_fuse_ros.engine.create_engine`."""

    @property
    def name(self) -> str:
        """Its key in ``ENGINES``."""

    @property
    def device(self) -> str:
        """Where it computes, as ``"cpu"`` or ``"cuda:0"``."""

    @property
    def precision(self) -> str:
        """``"fp32"``, ``"bf16"``, ``"fp16"`` or ``"fp64"``."""

    def fuse(self, visible: FloatImage, thermal: FloatImage) -> FloatImage:
        """Fuse one pair.

        Args:
            visible: RGB, H W 3, float32 in [0, 1].
            thermal: H W, float32 in [0, 1].

        Returns:
            The fused image, RGB, H W 3, float32, clamped to [0, 1].
        """
