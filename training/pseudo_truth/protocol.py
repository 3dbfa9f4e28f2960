"""What every generator of pseudo ground truth offers."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

FloatImage = NDArray[np.float32]


class PseudoTruth(Protocol):
    """Fuses a clean pair into the image that the network is to come near."""

    @property
    def name(self) -> str:
        """Short name, as configurations spell it."""
        ...

    @property
    def version(self) -> str:
        """Changes whenever the same pair would give another image (weights included)."""
        ...

    def __call__(self, visible: FloatImage, thermal: FloatImage) -> FloatImage:
        """Fuse one pair.

        Args:
            visible: H x W x 3 RGB, float32 in [0, 1].
            thermal: H x W, float32 in [0, 1].

        Returns:
            H x W x 3 RGB, float32 in [0, 1].
        """
        ...
