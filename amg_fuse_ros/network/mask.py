"""The mask M of equations 3 and 5: how much of each pixel comes from the visible camera.

Equation 3 says F = M VI + (1 - M) IR; solved for M that is the quotient (F - IR) / (VI - IR),
and equation 5 takes VI - IR + F as its denominator, a clamp to [0, 1] and a steep sigmoid.
The quotient is singular where VI - IR + F is near 0 and takes both signs there before the clamp:
rounding is amplified at such places, and so are gradients in training.
"""

import torch
from torch import Tensor

SHARPNESS = 5.0
EPSILON = 1e-8


def feature_mask(fused: Tensor, visible: Tensor, thermal: Tensor, eps: float = EPSILON) -> Tensor:
    """Equation 5: sigmoid(5 (clamp((F - IR) / (VI - IR + F + eps), 0, 1) - 0.5)).

    Tensors of equal (or broadcastable) shape, features or images; the result lies in
    [sigmoid(-2.5), sigmoid(2.5)], about 0.076 to 0.924.
    """
    return _gate(fused - thermal, visible - thermal + fused, eps)


def fusion_mask(
    fused: Tensor, visible: Tensor, thermal: Tensor, *, published_form: bool = False
) -> Tensor:
    """Mask of a fused image: how much of each pixel comes from the visible camera (equation 5).

    Args:
        fused: Fused image F, B 3 H W, in [0, 1].
        visible: Visible image VI, B 3 H W, in [0, 1].
        thermal: Thermal image IR, B 1 H W (repeated to three channels) or B 3 H W, in [0, 1].
        published_form: Take F - VI as numerator, as the authors' published code does, instead
            of the paper's F - IR.

    Returns:
        B 3 H W, about 0.076 to 0.924.

    Raises:
        ValueError: If the shapes do not fit together.
    """
    if (
        fused.shape != visible.shape
        or thermal.shape[-2:] != fused.shape[-2:]
        or thermal.shape[-3] not in (1, fused.shape[-3])
    ):
        raise ValueError(
            "expected fused and visible of one shape B 3 H W and thermal B 1 H W, "
            f"found {tuple(fused.shape)}, {tuple(visible.shape)} and {tuple(thermal.shape)}"
        )
    numerator = fused - visible if published_form else fused - thermal
    return _gate(numerator, visible - thermal + fused, EPSILON)


def _gate(numerator: Tensor, denominator: Tensor, eps: float) -> Tensor:
    quotient = numerator / (denominator + eps)
    return torch.sigmoid(SHARPNESS * (quotient.clamp(0, 1) - 0.5))
