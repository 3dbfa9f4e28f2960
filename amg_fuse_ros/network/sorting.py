"""Stable sort along the last axis: values and indices, the network's most particular operation.

The histogram blocks sort long rows (N = H W). On the CPU a radix sort of key-index pairs is about
ten times as fast as ``torch.sort`` there; it gives exactly what ``torch.sort(stable=True)`` gives:
equal values (0.0 and -0.0 among them) keep their order, NaN come last. Where numba is not
installed, for other types than float32 and float64 and on other devices, ``torch.sort`` does the
work.
"""

import importlib.util

import torch
from torch import Tensor

from amg_fuse_ros.network.threads import in_parallel

_HAS_NUMBA = importlib.util.find_spec("numba") is not None

_BITS = {torch.float32: "uint32", torch.float64: "uint64"}
"""Types that the radix sort takes, and what their bits are read as."""


@torch.library.custom_op("amg_fuse::stable_sort", mutates_args=())
def _stable_sort(x: Tensor) -> tuple[Tensor, Tensor]:
    bits = _BITS.get(x.dtype)
    if not _HAS_NUMBA or x.device.type != "cpu" or bits is None or x.numel() == 0:
        values, indices = torch.sort(x, dim=-1, stable=True)
        return values, indices
    from amg_fuse_ros.network.radix_sort import argsort_rows

    rows = x.detach().contiguous().view(-1, x.shape[-1])
    values = torch.empty_like(rows)
    indices = torch.empty(rows.shape, dtype=torch.int64)
    arrays = (
        rows.numpy().view(bits),
        rows.numpy(),
        values.numpy(),
        indices.numpy(),
    )
    in_parallel(rows.shape[0], lambda part: argsort_rows(*(a[part] for a in arrays)))
    return values.view(x.shape), indices.view(x.shape)


@_stable_sort.register_fake
def _(x: Tensor) -> tuple[Tensor, Tensor]:
    return torch.empty_like(x, memory_format=torch.contiguous_format), torch.empty(
        x.shape, dtype=torch.int64, device=x.device
    )


def _remember(ctx: torch.autograd.function.FunctionCtx, inputs: object, output: tuple) -> None:
    del inputs
    ctx.save_for_backward(output[1])


def _backward(
    ctx: torch.autograd.function.FunctionCtx, grad_values: Tensor, _: Tensor | None
) -> Tensor:
    (indices,) = ctx.saved_tensors  # type: ignore[attr-defined]
    return torch.empty_like(grad_values).scatter(-1, indices, grad_values)


_stable_sort.register_autograd(_backward, setup_context=_remember)


def stable_sort(x: Tensor, dim: int = -1) -> tuple[Tensor, Tensor]:
    """Sort ascending along ``dim``, the last axis or the one before it.

    Args:
        x: Floating tensor of any shape.
        dim: -1 or -2; columns are sorted as the rows of the transposed tensor.

    Returns:
        Values and int64 indices, both of ``x``'s shape; differentiable in the values.

    Raises:
        ValueError: If ``dim`` is another one.
    """
    if dim == -1:
        values, indices = _stable_sort(x)
        return values, indices
    if dim != -2:
        raise ValueError(f"expected dim -1 or -2, found {dim}")
    values, indices = _stable_sort(x.transpose(-2, -1))
    return values.transpose(-2, -1), indices.transpose(-2, -1)
