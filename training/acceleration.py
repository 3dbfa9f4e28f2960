"""What lets a CPU train the network several times as fast; the functions stay the same."""

import importlib.util

from torch import nn

from training.fast_attention import accelerate_attention
from training.fast_convolution import accelerate_convolutions
from training.fast_feed_forward import accelerate_feed_forward


def accelerate(network: nn.Module) -> None:
    """Swap the fast formulations into ``network``, in place; parameters and keys stay.

    Convolutions and feed-forwards are compiled by numba, and stay as they are where it is not
    installed.
    """
    accelerate_attention(network)
    if importlib.util.find_spec("numba") is not None:
        accelerate_convolutions(network)
        accelerate_feed_forward(network)
