"""Pseudo ground truth by a fusion network that was trained without labels, after EMMA.

Zhao et al., "Equivariant Multi-Modality Image Fusion", CVPR 2024. No true fused image is known,
but two things hold for one: each camera's image can be sensed from it (pseudo-sensing networks
A_i and A_v), and when it moves, turns or flips, the fusion of what is then sensed moves, turns or
flips alike (equivariance). Everything works on luminance, B 1 H W in [0, 1]; the networks are
compact ones of this project.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from amg_fuse_ros.network.checkpoint import WeightsError, check_keys, fingerprint, read_tensors
from training.image_distance import l1_and_gradient
from training.pseudo_truth.luminance import LUMA, fuse_in_luminance
from training.pseudo_truth.protocol import FloatImage
from training.unet import CompactUNet

EQUIVARIANCE_WEIGHT = 0.1
"""Weight of the equivariance term beside the two sensing terms, as in the published code."""

Sense = Callable[[Tensor], Tensor]
Fuse = Callable[[Tensor, Tensor], Tensor]
Transform = Callable[[Tensor], Tensor]


class EmmaFusion(nn.Module):
    """F = w VI + (1 - w) IR + d, share w and detail d by a U-Net; a fresh one gives the mean."""

    def __init__(self) -> None:
        super().__init__()
        self.unet = CompactUNet(2, 2, widths=(16, 32, 64), blocks=(1, 1, 2))

    def forward(self, visible: Tensor, thermal: Tensor) -> Tensor:
        """Two B 1 H W of any size to one; not clamped."""
        share, detail = self.unet(torch.cat((visible, thermal), dim=1)).chunk(2, dim=1)
        return torch.lerp(thermal, visible, torch.sigmoid(share)) + detail


class PseudoSensing(nn.Module):
    """A: what one of the cameras would have seen of a fused image; a fresh one gives the image."""

    def __init__(self) -> None:
        super().__init__()
        self.unet = CompactUNet(1, 1, widths=(12, 24, 48), blocks=(1, 1, 2))

    def forward(self, fused: Tensor) -> Tensor:
        """B 1 H W of any size to the same shape; not clamped."""
        y: Tensor = fused + self.unet(fused)
        return y


class Emma(nn.Module):
    """The three networks that are trained, and kept, together."""

    def __init__(self) -> None:
        super().__init__()
        self.fuse = EmmaFusion()
        self.sense_thermal = PseudoSensing()
        self.sense_visible = PseudoSensing()

    def sensing_terms(self, fused: Tensor, visible: Tensor, thermal: Tensor) -> dict[str, Tensor]:
        """Losses of A_i and A_v on fused images of other methods: mean squared errors.

        Args:
            fused: Fusions of the pair by any method, B 1 H W.
            visible: Luminance of the visible image, B 1 H W.
            thermal: Thermal image, B 1 H W.
        """
        return {
            "thermal": F.mse_loss(self.sense_thermal(fused), thermal),
            "visible": F.mse_loss(self.sense_visible(fused), visible),
        }

    def fusion_terms(
        self, visible: Tensor, thermal: Tensor, transform: Transform
    ) -> dict[str, Tensor]:
        """Losses of the fusion; A_i and A_v stay as they are, gradients run through them.

        d(A_i(F), IR) + d(A_v(F), VI) + 0.1 d(T F, fuse(A_v(T F), A_i(T F))), where d adds the
        mean absolute differences of values and of gradients.

        Args:
            visible: Luminance of the visible image, B 1 H W.
            thermal: Thermal image, B 1 H W.
            transform: T, see :func:`random_transform`.
        """
        self.sense_thermal.requires_grad_(False)
        self.sense_visible.requires_grad_(False)
        fused = self.fuse(visible, thermal)
        equivariance = equivariance_loss(
            transform(fused), self.fuse, self.sense_visible, self.sense_thermal
        )
        return {
            "thermal": l1_and_gradient(self.sense_thermal(fused), thermal),
            "visible": l1_and_gradient(self.sense_visible(fused), visible),
            "equivariance": EQUIVARIANCE_WEIGHT * equivariance,
        }


def equivariance_loss(
    transformed: Tensor, fuse: Fuse, sense_visible: Sense, sense_thermal: Sense
) -> Tensor:
    """d(T F, fuse(A_v(T F), A_i(T F))): zero where sensing and fusing give the image back.

    Args:
        transformed: T F, a fused image that was moved, B 1 H W.
        fuse: Visible and thermal luminance to the fused one.
        sense_visible: A_v.
        sense_thermal: A_i.
    """
    fused_again = fuse(sense_visible(transformed), sense_thermal(transformed))
    return l1_and_gradient(fused_again, transformed)


def random_transform(rng: np.random.Generator) -> Transform:
    """A shift (cyclic), a rotation (by any angle, borders mirrored) or a flip, evenly drawn.

    The result maps B C H W to the same shape; apply it to several tensors to move them alike.
    """
    kind = rng.integers(3)
    if kind == 0:
        down, right = rng.uniform(0, 1, 2)
        return lambda x: x.roll((int(down * x.shape[-2]), int(right * x.shape[-1])), dims=(-2, -1))
    if kind == 1:
        angle = rng.uniform(0, 2 * np.pi)
        return lambda x: rotate(x, angle)
    axes = [(-1,), (-2,), (-2, -1)][rng.integers(3)]
    return lambda x: x.flip(axes)


def rotate(x: Tensor, angle: float) -> Tensor:
    """Turn B C H W about its centre by ``angle`` radians; what comes from outside is mirrored."""
    height, width = x.shape[-2:]
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    # Coordinates run from -1 to 1 along each side, so the ratio of the sides keeps it rigid.
    matrix = x.new_tensor([[cos, -sin * height / width, 0.0], [sin * width / height, cos, 0.0]])
    grid = F.affine_grid(matrix.expand(len(x), 2, 3), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, padding_mode="reflection", align_corners=False)


def luminance(visible: Tensor) -> Tensor:
    """BT.601 luma of B 3 H W RGB, B 1 H W."""
    return (visible * visible.new_tensor(LUMA).view(3, 1, 1)).sum(dim=1, keepdim=True)


def load_emma(path: str | Path) -> Emma:
    """Load what ``python -m training.pseudo_truth fit`` has written.

    Returns:
        The networks in evaluation mode on the CPU, without need of gradients.

    Raises:
        FileNotFoundError: If there is no such file.
        WeightsError: If it is damaged or holds something else.
    """
    path = Path(path)
    state = read_tensors(path)
    with torch.device("meta"):
        emma = Emma()
    if not any(key.startswith("fuse.") for key in state):
        first = ", ".join(list(state)[:3])
        raise WeightsError(f"{path}: expected EMMA's keys (fuse.*, sense_*), found {first}, ...")
    check_keys(state, emma.state_dict(), "EMMA's three networks", path)
    emma.load_state_dict(state, assign=True)
    return emma.eval().requires_grad_(False)


class EmmaPseudoTruth:
    """A trained :class:`EmmaFusion` as a generator of pseudo ground truth.

    Attributes:
        name: ``"emma"``.
        version: Hash of the fusion's weights.

    Args:
        path: File written by ``python -m training.pseudo_truth fit``.

    Raises:
        FileNotFoundError: If there is no such file.
        WeightsError: If it is damaged or holds something else.
    """

    def __init__(self, path: str | Path) -> None:
        self._fuse = load_emma(path).fuse.to(memory_format=torch.channels_last)
        self.name = "emma"
        self.version = fingerprint(self._fuse.state_dict())

    def __call__(self, visible: FloatImage, thermal: FloatImage) -> FloatImage:
        """Fuse the luminance of a clean pair; colours are the visible image's.

        Args:
            visible: H x W x 3 RGB, float32 in [0, 1].
            thermal: H x W, float32 in [0, 1].

        Returns:
            H x W x 3 RGB, float32 in [0, 1].

        Raises:
            ValueError: shapes that are no pair.
        """
        return fuse_in_luminance(visible, thermal, self._fuse_planes)

    def _fuse_planes(self, y: FloatImage, thermal: FloatImage) -> FloatImage:
        with torch.inference_mode():
            planes = (torch.from_numpy(plane)[None, None] for plane in (y, thermal))
            fused: FloatImage = self._fuse(*planes)[0, 0].numpy()
        return fused
