"""The sort equals a stable torch.sort, whatever lies in the rows."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from amg_fuse_ros.network.sorting import stable_sort

SPECIAL = [0.0, -0.0, float("inf"), -float("inf"), float("nan"), 1.0, -1.0, 1e-40, -1e-40]


def assert_sorts_like_torch(x: torch.Tensor, dim: int = -1) -> None:
    values, indices = stable_sort(x, dim)
    expected_values, expected_indices = torch.sort(x, dim=dim, stable=True)
    torch.testing.assert_close(indices, expected_indices, rtol=0, atol=0)
    torch.testing.assert_close(values, expected_values, rtol=0, atol=0, equal_nan=True)
    assert torch.equal(torch.signbit(values), torch.signbit(expected_values))


@settings(max_examples=150, deadline=None)
@given(
    hnp.arrays(
        "float32",
        hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=12),
        elements=st.one_of(st.sampled_from(SPECIAL), st.floats(width=32)),
    )
)
def test_any_floats_in_any_shape_sort_like_torch(array):
    assert_sorts_like_torch(torch.from_numpy(array))
    assert_sorts_like_torch(torch.from_numpy(array).double())


@settings(max_examples=50, deadline=None)
@given(hnp.arrays("float64", st.integers(1, 40), elements=st.floats(width=64)))
def test_any_doubles_sort_like_torch(array):
    assert_sorts_like_torch(torch.from_numpy(array))


@pytest.mark.parametrize("length", [1, 2, 255, 4095, 4096, 70_001])
def test_rows_of_any_length_with_many_ties_sort_like_torch(length):
    generator = torch.Generator().manual_seed(length)
    x = torch.randn(3, length, generator=generator)
    x[1] = (x[1] * 3).round()
    x[2, : len(SPECIAL)] = torch.tensor(SPECIAL)[:length]
    assert_sorts_like_torch(x)
    assert_sorts_like_torch(x.double())


def test_short_rows_of_values_close_together_beside_one_far_away_sort_like_torch():
    generator = torch.Generator().manual_seed(5)
    x = 1 + 1e-5 * torch.rand(4, 640, generator=generator)
    x[0, 17], x[1, 0], x[2, 639], x[3, 300] = -1e30, float("inf"), 0.0, float("nan")
    assert_sorts_like_torch(x)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(2, 700), st.floats(-6, 6), st.sampled_from([0, 3, 50]))
def test_short_rows_of_any_spread_sort_like_torch(seed, length, exponent, steps):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(3, length, generator=generator) * 10**exponent
    x[1] = x[1].cumsum(0)
    x[2] += 1
    assert_sorts_like_torch((x * steps).round() / steps if steps else x)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_types_sort_as_well(dtype):
    x = torch.randn(2, 3, 50, generator=torch.Generator().manual_seed(1)).to(dtype)
    assert_sorts_like_torch(x)


def test_columns_of_a_tensor_that_is_not_contiguous_sort_like_torch():
    x = torch.randn(2, 8, 9, 4, generator=torch.Generator().manual_seed(2))
    assert_sorts_like_torch(x.to(memory_format=torch.channels_last)[:, :4], dim=-2)


def test_another_axis_is_refused():
    with pytest.raises(ValueError, match="-1 or -2"):
        stable_sort(torch.rand(2, 3), dim=0)


def test_gradients_go_back_to_where_the_values_came_from():
    x = torch.randn(3, 17, generator=torch.Generator().manual_seed(3)).requires_grad_()
    weight = torch.rand(3, 17, generator=torch.Generator().manual_seed(4))
    (gradient,) = torch.autograd.grad((stable_sort(x)[0] * weight).sum(), x)
    (expected,) = torch.autograd.grad((torch.sort(x, stable=True)[0] * weight).sum(), x)
    torch.testing.assert_close(gradient, expected, rtol=0, atol=0)


def test_the_operation_keeps_torchs_rules_for_custom_operations():
    x = torch.randn(2, 5, generator=torch.Generator().manual_seed(5)).requires_grad_()
    torch.library.opcheck(torch.ops.amg_fuse.stable_sort.default, (x,))
