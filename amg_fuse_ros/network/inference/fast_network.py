"""The network as a CPU runs it fastest: the readable one's weights, rearranged; the same function.

:class:`FastNetwork` takes a loaded :class:`~amg_fuse_ros.network.AMGFuse` and gives what its
``fuse`` gives. All features lie in planes (see :mod:`.layout`), every step is a compiled kernel
over bands of rows or over channels, and memory is reused from frame to frame.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from amg_fuse_ros.network.amg_fuse import SIZE_MULTIPLE, AMGFuse
from amg_fuse_ros.network.blocks import reflect_to_multiple
from amg_fuse_ros.network.inference import feed_forward as ffn
from amg_fuse_ros.network.inference.convolution import (
    convolve_1x1,
    convolve_3x3,
    shuffle_down,
    shuffle_up,
)
from amg_fuse_ros.network.inference.histogram_attention import add_histogram_attention
from amg_fuse_ros.network.inference.layout import Array, content, row_stride
from amg_fuse_ros.network.inference.mask_exchange import exchange
from amg_fuse_ros.network.inference.weights import Dense, Exchange, Histogram, Residual
from amg_fuse_ros.network.inference.workspace import LEVELS, Workspace
from amg_fuse_ros.network.streams import Streams
from amg_fuse_ros.network.threads import in_steps

_BAND = 16
_STREAMS = Streams._fields


class FastNetwork:
    """Runs a network's ``fuse`` on the CPU.

    Not for several threads at once: they would share working memory.

    Args:
        network: In evaluation mode. Its weights are copied.
        dtype: ``np.float32`` or ``np.float64``.
    """

    def __init__(self, network: AMGFuse, dtype: type = np.float32) -> None:
        self._dtype, self._size = dtype, network.size
        parts: dict[str, Any] = dict(network.named_children())

        def dense(name: str) -> list[Dense]:
            return [Dense.of(_last(parts[f"{name}_{s}"]), dtype) for s in _STREAMS]

        def level(name: str) -> tuple[list[Residual], list[Histogram]]:
            residuals = [Residual.of(parts[f"{name}_{s}"][0], dtype) for s in ("vi", "ir")]
            return residuals, [Histogram.of(b, dtype) for b in parts[f"{name}_f"]]

        self._embed = [Dense.of(parts[f"patch_embed_{s}"].proj, dtype) for s in ("vi", "ir")]
        self._down = [dense(f"down{i}_{i + 1}") for i in (1, 2, 3)]
        self._up = [dense(f"up{i + 1}_{i}") for i in (1, 2, 3)]
        self._reduce = [None, dense("reduce_chan_level2"), dense("reduce_chan_level3")]
        self._encoder = [level(f"encoder_level{i}") for i in (1, 2, 3)] + [level("latent")]
        self._decoder = [level(f"decoder_level{i}") for i in (1, 2, 3)]
        self._refinement = [Histogram.of(b, dtype) for b in parts["refinement_f"]]
        self._output = Dense.of(parts["output_f"], dtype)
        self._exchange = [
            Exchange.of(mask, attention, dtype)  # type: ignore[arg-type]
            for mask, attention in zip(
                network.mask_processors[:7], network.CA_processors[:7], strict=True
            )
        ]
        self._space = Workspace(0, 0, dtype)

    def fuse(self, visible: Tensor, thermal: Tensor) -> Tensor:
        """The fused image, B 3 H W, unclamped, as :meth:`AMGFuse.fuse` gives it.

        Args:
            visible: RGB, B 3 H W, in [0, 1].
            thermal: B 1 H W, in [0, 1].
        """
        height, width = visible.shape[-2:]
        pair: list[Array] = [
            reflect_to_multiple(x, SIZE_MULTIPLE).numpy().astype(self._dtype, copy=False)
            for x in (visible, thermal)
        ]
        vi, ir = pair
        size = (vi.shape[-2], vi.shape[-1])
        if size != (self._space.height, self._space.width):
            self._space.resize(*size, self._bytes_needed(*size))
        fused = np.stack([self._fuse(v, i) for v, i in zip(vi, ir, strict=True)])
        return torch.from_numpy(fused[..., :height, :width])

    def _bytes_needed(self, height: int, width: int) -> int:
        """What a frame takes in the workspace, rounded up."""
        size = np.dtype(self._dtype).itemsize
        held = passing = 0
        for level in range(LEVELS):
            channels = self._size.dim << level
            plane = (height >> level) + 10  # rows that a sequence may need more, and overruns
            plane *= row_stride(width >> level) * size
            held += 10 * channels * plane  # both halves of three streams, those halved, spare
            passing = max(passing, 16 * channels * plane)  # attention on up to twice as many
        return held + passing

    def _fuse(self, visible: Array, thermal: Array) -> Array:
        space = self._space
        with space.scope():
            x = self._level(0, (visible, thermal))
            # The sources' features are not needed any more.
            refined = self._blocks(x[2], self._refinement, 0, spare=x[1], y=x[0])
            image = space.planes(0, 3)
            self._convolve(refined, self._output, image, 0)
            return content(image, space.width).copy()

    def _level(self, level: int, above: Sequence[Array]) -> list[Array]:
        """Encoder of a level, the levels below it, and its decoder.

        Args:
            level: Which.
            above: The three streams of the level above; for the first one both images.

        Returns:
            The three streams' planes, which are taken in the workspace.
        """
        space, channels = self._space, self._size.dim << level
        # The decoder reads the encoder's features behind its own: so they are put there. Before
        # that, its half is where the encoder begins.
        joined = [space.planes(level, 2 * channels) for _ in _STREAMS]
        x, e = [j[:channels] for j in joined], [j[channels:] for j in joined]
        if level == 0:
            self._embed_images(above, x)
        else:
            for stream, dense, target in zip(above, self._down[level - 1], x, strict=True):
                self._downsample(stream, dense, target, level - 1)
        residuals, blocks = self._encoder[level]
        for source, block, target in zip(x, residuals, e, strict=False):
            self._residual(source, block, target, level)
        if level == 0:
            self._add(e)
        else:
            with space.scope():
                self._blocks(x[2], blocks, level, y=e[2])
        exchange(e, self._exchange[level], space, level)
        if level == LEVELS - 1:
            return e
        with space.scope():
            deep = self._level(level + 1, e)
            for low, dense, high in zip(deep, self._up[level], joined, strict=True):
                self._upsample(low, dense, high[:channels], level)
        x, reduce = joined, self._reduce[level]
        if reduce is not None:
            x = [space.planes(level, channels) for _ in _STREAMS]
            for source, dense, target in zip(joined, reduce, x, strict=True):
                self._convolve(source, dense, target, level)
        residuals, blocks = self._decoder[level]
        for stream, block in zip(x, residuals, strict=False):
            self._residual(stream, block, stream, level)
        with space.scope():
            f = self._blocks(x[2], blocks, level)
            exchange(
                [x[0], x[1], f], self._exchange[6 - level], space, level,
                fused=x[2], fused_only=level == 0,
            )  # fmt: skip
        return x

    def _embed_images(self, images: Sequence[Array], x: Sequence[Array]) -> None:
        with self._space.scope():
            padded = self._space.planes(0, 3)
            for image, dense, target in zip(images, self._embed, x, strict=False):
                content(padded, self._space.width)[: len(image)] = image
                self._convolve(padded[: len(image)], dense, target, 0)

    def _add(self, e: Sequence[Array]) -> None:
        """Level 1's fused stream begins as the sum of the other two."""
        in_steps(len(e[2]), 1, lambda _, c, __: np.add(e[0][c], e[1][c], out=e[2][c]))

    def _residual(self, x: Array, block: Residual, y: Array, level: int) -> None:
        """RSB: y = relu(x + conv(relu(conv(x)))); ``y`` may be ``x``."""
        with self._space.scope():
            inner = self._space.planes(level, len(x))
            self._convolve(x, block.first, inner, level, clamp=True)
            self._convolve(inner, block.second, y, level, residual=x, clamp=True)

    def _blocks(
        self,
        x: Array,
        blocks: Sequence[Histogram],
        level: int,
        *,
        spare: Array | None = None,
        y: Array | None = None,
    ) -> Array:
        """Histogram transformer blocks.

        Args:
            x: What goes in; overwritten.
            blocks: Weights.
            level: Of the features.
            spare: Planes like ``x`` for what lies between; taken when not given.
            y: Planes like ``x`` for the result; taken when not given.

        Returns:
            The result.
        """
        if spare is None and len(blocks) > 1:
            spare = self._space.planes(level, len(x))
        for i, block in enumerate(blocks):
            add_histogram_attention(x, block.attention, block.heads, self._space, level)
            if i < len(blocks) - 1:
                assert spare is not None
                target, spare = spare, x
            else:  # not taken before: the attention needs the most memory of all
                target = self._space.planes(level, len(x)) if y is None else y
            self._feed_forward(x, block, target, level)
            x = target
        return x

    def _feed_forward(self, x: Array, block: Histogram, y: Array, level: int) -> None:
        w, (height, width) = block.feed_forward, self._space.size(level)
        size = ffn.scratch_size(len(x), block.hidden, _BAND, row_stride(width))

        def run(thread: int, first: int, last: int) -> None:
            ffn.feed_forward_band(
                x, w.scale, w.bias, w.w_in, w.zeros, w.w3, w.w5, w.w3_1, w.w5_1, w.w_out, y,
                self._space.scratch("feed-forward", thread, level, size), width, first, last,
            )  # fmt: skip

        in_steps(height, _BAND, run)

    def _downsample(self, x: Array, dense: Dense, y: Array, level: int) -> None:
        """From ``level`` to level + 1."""
        height, width = self._space.size(level + 1)
        with self._space.scope():
            inner = self._space.planes(level, dense.outputs)
            self._convolve(x, dense, inner, level)
            in_steps(height, _BAND, lambda _, a, b: shuffle_down(inner, y, width, a, b))

    def _upsample(self, x: Array, dense: Dense, y: Array, level: int) -> None:
        """From level + 1 to ``level``."""
        height, width = self._space.size(level + 1)
        with self._space.scope():
            inner = self._space.planes(level + 1, dense.outputs)
            self._convolve(x, dense, inner, level + 1)
            in_steps(height, _BAND, lambda _, a, b: shuffle_up(inner, y, width, a, b))

    def _convolve(
        self, x: Array, dense: Dense, y: Array, level: int, *,
        residual: Array | None = None, clamp: bool = False,
    ) -> None:  # fmt: skip
        height, width = self._space.size(level)
        run = convolve_1x1 if dense.kernel == 1 else convolve_3x3
        r, add = (y, 0) if residual is None else (residual, 1)
        in_steps(
            height, _BAND,
            lambda _, a, b: run(
                x, dense.weights, dense.bias, r, y, width, a, b, add, int(clamp)
            ),
        )  # fmt: skip


def _last(module: torch.nn.Module) -> torch.nn.Module:
    """The convolution itself: of a down- or upsampling the body's first part."""
    body = getattr(module, "body", None)
    return module if body is None else body[0]
