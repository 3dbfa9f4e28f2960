"""Multiplications that a network does, by torch's own counter."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

SIDE = 224
"""Side of the square images that the field counts at."""


@dataclass(frozen=True)
class Macs:
    """Multiply-accumulate operations: of convolutions, and of the attention's matrix products."""

    convolutions: int
    products: int

    def __add__(self, other: "Macs") -> "Macs":
        return Macs(self.convolutions + other.convolutions, self.products + other.products)


def count_macs(run: Callable[[], Any]) -> Macs:
    """Count the operations of a call; torch counts two for one multiply-accumulate.

    The paper gives those of convolutions alone: for tiny at 224x224 20.972 G. Sums, activations,
    sorting and normalisation are in neither number.
    """
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        run()
    counts = {str(key): value // 2 for key, value in counter.get_flop_counts()["Global"].items()}
    convolutions = sum(value for key, value in counts.items() if "convolution" in key)
    return Macs(convolutions, sum(counts.values()) - convolutions)


def fusion_macs(network: Any, side: int = SIDE) -> tuple[Macs, Macs]:
    """Count for a fusion network: all three images, as papers count, and the fused image alone.

    Args:
        network: An :class:`amg_fuse_ros.network.AMGFuse`.
        side: Of the square pair, pixels.
    """
    device = next(network.parameters()).device
    visible = torch.rand(1, 3, side, side, device=device)
    thermal = torch.rand(1, 1, side, side, device=device)
    return (
        count_macs(lambda: network(visible, thermal)),
        count_macs(lambda: network.fuse(visible, thermal)),
    )


def restorer_macs(network: Any, side: int = SIDE) -> Macs:
    """Count for a restorer of visible images."""
    device = next(network.parameters()).device
    return count_macs(lambda: network(torch.rand(1, 3, side, side, device=device)))
