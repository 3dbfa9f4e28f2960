"""Working memory on a stack."""

import numpy as np
import pytest

from amg_fuse_ros.network.histogram_block import HistogramBlock
from amg_fuse_ros.network.inference.histogram_attention import add_histogram_attention
from amg_fuse_ros.network.inference.layout import content, planes
from amg_fuse_ros.network.inference.weights import Histogram
from amg_fuse_ros.network.inference.workspace import Workspace


@pytest.fixture
def space():
    made = Workspace(16, 24, np.float32, 1 << 20)
    made._stack[:] = 0xFF
    return made


def test_what_is_taken_at_the_same_time_lies_side_by_side(space):
    first, second = space.take(100), space.take(100, np.int32)
    first[:], second[:] = 1, 2
    assert (first == 1).all()
    assert second.dtype == np.int32


def test_what_a_scope_took_is_taken_again_behind_it(space):
    with space.scope():
        first = space.take(100)
    assert space.taken == 0
    assert np.shares_memory(space.take(100), first)


def test_an_error_frees_its_scope_too(space):
    def fail():
        with space.scope():
            space.take(100)
            raise MemoryError

    with pytest.raises(MemoryError):
        fail()
    assert space.taken == 0


@pytest.mark.parametrize("level", [0, 1, 3])
def test_planes_have_a_border_of_zeros_whatever_was_there(space, level):
    taken = space.planes(level, 5)
    height, width = space.size(level)
    content(taken, width)[:] = 0
    assert taken.shape == planes(5, height, width, np.float32).shape
    assert not taken.any()


def test_more_than_the_capacity_is_memory_of_its_own(space):
    little, much = space.take(100), space.take(1 << 20)
    assert len(much) == 1 << 20
    assert not np.shares_memory(little, much)
    assert space.most_taken > 1 << 20


def test_scratch_keeps_what_it_held_until_the_layout_changes(space):
    scratch = space.scratch("a", 0, "one layout", 10)
    assert not scratch.any()
    scratch[:] = 1
    assert space.scratch("a", 0, "one layout", 10).all()
    assert not space.scratch("a", 1, "one layout", 10).any()
    assert not space.scratch("a", 0, "another", 10).any()


def test_the_attention_takes_no_more_than_six_planes_a_channel_and_two_of_offsets():
    height, width, channels = 64, 96, 16
    space = Workspace(height, width, np.float32)
    x = planes(channels, height, width, np.float32)
    weights = Histogram.of(HistogramBlock(channels, 4), np.float32).attention
    add_histogram_attention(x, weights, 4, space, 0)
    assert space.most_taken < 8 * x.nbytes
