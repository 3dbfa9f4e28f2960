"""What networks of every size have in common: a pair in, a fused image out."""

from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class NetworkSize:
    """What tells one size of the paper's network from another.

    Four values are levels 1, 2, 3 and latent; ``nano`` has none but its width.
    """

    name: str
    dim: int
    blocks: tuple[int, int, int, int]
    refinement_blocks: int
    heads: tuple[int, int, int, int]


class FusionNetwork(nn.Module):
    """A network that fuses pairs; what engines run and weights files hold."""

    def __init__(self, size: NetworkSize) -> None:
        super().__init__()
        self.size = size

    def fuse(self, visible: Tensor, thermal: Tensor) -> Tensor:
        """Fuse a batch of pairs.

        Args:
            visible: RGB, B 3 H W, in [0, 1]; any H and W.
            thermal: B 1 H W, in [0, 1].

        Returns:
            The fused image, B 3 H W, unclamped.

        Raises:
            ValueError: If the shapes are not those.
        """
        raise NotImplementedError


def check_pair(visible: Tensor, thermal: Tensor) -> None:
    """Refuse what is no batch of pairs.

    Raises:
        ValueError: If the shapes are not B 3 H W and B 1 H W of one size.
    """
    fits = (
        visible.ndim == 4
        and thermal.ndim == 4
        and visible.shape[1] == 3
        and thermal.shape[1] == 1
        and visible.shape[0] == thermal.shape[0]
        and visible.shape[2:] == thermal.shape[2:]
        and min(visible.shape) > 0
    )
    if not fits:
        raise ValueError(
            "expected visible B 3 H W and thermal B 1 H W of one size, "
            f"found {tuple(visible.shape)} and {tuple(thermal.shape)}"
        )
