"""A network's weights, taken out of its modules in the order in which the kernels read them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from amg_fuse_ros.network.cross_attention import MaskedCrossAttention
from amg_fuse_ros.network.histogram_block import HistogramBlock
from amg_fuse_ros.network.inference.layout import Array, pack_bias, pack_dense
from amg_fuse_ros.network.inference.vectors import OUTPUTS


@dataclass(frozen=True)
class Dense:
    """A dense convolution."""

    weights: Array
    bias: Array
    outputs: int
    kernel: int

    @classmethod
    def of(cls, module: nn.Module, dtype: type) -> "Dense":
        """Take over a 1x1 or 3x3 ``nn.Conv2d``."""
        if not isinstance(module, nn.Conv2d):
            raise TypeError(f"expected a Conv2d, found {type(module).__name__}")
        weight = array(module.weight, dtype)
        bias = np.zeros(len(weight), dtype) if module.bias is None else array(module.bias, dtype)
        return cls(pack_dense(weight), pack_bias(bias), len(weight), weight.shape[-1])


@dataclass(frozen=True)
class Residual:
    """A ResBlock's two convolutions."""

    first: Dense
    second: Dense

    @classmethod
    def of(cls, block: Any, dtype: type) -> "Residual":
        """Take over a ``ResBlock``."""
        inner = block.block
        return cls(Dense.of(inner[0], dtype), Dense.of(inner[2], dtype))


@dataclass(frozen=True)
class FeedForward:
    """Layer norm and dual-scale feed-forward."""

    scale: Array
    bias: Array
    w_in: Array
    zeros: Array
    w3: Array
    w5: Array
    w3_1: Array
    w5_1: Array
    w_out: Array


@dataclass(frozen=True)
class Attention:
    """Layer norm and histogram attention."""

    scale: Array
    bias: Array
    qkv: Dense
    depthwise: Array
    temperature: NDArray[np.float64]
    out_ranked: Dense
    """The projection's rows for the first half of the channels."""
    out_rest: Dense


@dataclass(frozen=True)
class Histogram:
    """A histogram transformer block."""

    attention: Attention
    feed_forward: FeedForward
    heads: int
    hidden: int

    @classmethod
    def of(cls, block: HistogramBlock, dtype: type) -> "Histogram":
        """Take over a block."""
        attn, ffn, half = block.attn, block.ffn, block.attn.project_out.in_channels // 2
        out = array(attn.project_out.weight, dtype)
        w_in, hidden = array(ffn.project_in.weight, dtype), ffn.dwconv3x3_1.out_channels
        attention = Attention(
            array(block.norm1.body.weight, dtype),
            array(block.norm1.body.bias, dtype),
            Dense.of(attn.qkv, dtype),
            array(attn.qkv_dwconv.weight, dtype).reshape(-1, 9),
            array(attn.temperature, np.float64),
            _without_bias(out[:half]),
            _without_bias(out[half:]),
        )
        feed_forward = FeedForward(
            array(block.norm2.body.weight, dtype),
            array(block.norm2.body.bias, dtype),
            np.concatenate([pack_dense(w_in[:hidden]), pack_dense(w_in[hidden:])]),
            np.zeros(2 * hidden + OUTPUTS, dtype),
            array(ffn.dwconv3x3.weight, dtype).reshape(2 * hidden, 9),
            array(ffn.dwconv5x5.weight, dtype).reshape(2 * hidden, 25),
            array(ffn.dwconv3x3_1.weight, dtype).reshape(hidden, 18),
            array(ffn.dwconv5x5_1.weight, dtype).reshape(hidden, 50),
            pack_dense(array(ffn.project_out.weight, dtype)),
        )
        return cls(attention, feed_forward, attn.heads, hidden)


@dataclass(frozen=True)
class Exchange:
    """A mask processor and the mask-guided cross-attention of the same level."""

    mask: Residual
    heads: int
    temperature: NDArray[np.float64]
    wq_vi: Dense
    wq_ir: Dense
    wk: Dense
    wv: Dense
    dq_vi: Array
    dq_ir: Array
    dk: Array
    dv: Array
    out_vi: NDArray[np.float64]
    out_ir: NDArray[np.float64]
    out_f: NDArray[np.float64]
    squeeze: NDArray[np.float64]
    excite: NDArray[np.float64]

    @classmethod
    def of(cls, mask: Any, attention: MaskedCrossAttention, dtype: type) -> "Exchange":
        """Take over both."""
        kv, dkv = array(attention.kv.weight, dtype), array(attention.kv_dwconv.weight, dtype)
        c = len(kv) // 2

        def matrix(module: nn.Module) -> NDArray[np.float64]:
            return array(module.weight, np.float64)[:, :, 0, 0]

        return cls(
            Residual.of(mask[0], dtype),
            attention.heads,
            array(attention.temperature, np.float64),
            Dense.of(attention.q_vi, dtype),
            Dense.of(attention.q_ir, dtype),
            _without_bias(kv[:c]),
            _without_bias(kv[c:]),
            array(attention.q_dwconv_vi.weight, dtype).reshape(-1, 9),
            array(attention.q_dwconv_ir.weight, dtype).reshape(-1, 9),
            dkv[:c].reshape(-1, 9),
            dkv[c:].reshape(-1, 9),
            matrix(attention.project_out_vi),
            matrix(attention.project_out_ir),
            matrix(attention.project_out_f),
            matrix(attention.se[1]),
            matrix(attention.se[3]),
        )


def array(tensor: object, dtype: type) -> Any:
    """A parameter as a contiguous array of its own."""
    assert isinstance(tensor, Tensor)
    return np.array(tensor.detach().cpu().numpy(), dtype, order="C")


def dense_from_matrix(matrix: Array, dtype: type) -> Dense:
    """A 1x1 convolution from its matrix, O C."""
    return _without_bias(np.ascontiguousarray(matrix, dtype)[:, :, None, None])


def _without_bias(weight: Array) -> Dense:
    return Dense(
        pack_dense(weight),
        pack_bias(np.zeros(len(weight), weight.dtype)),
        len(weight),
        weight.shape[-1],
    )
