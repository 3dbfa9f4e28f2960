"""The scale follows the latency: within the budget, quickly down, slowly up, never to and fro."""

import math
import random
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from amg_fuse_ros.fusion import MIN_SCALE
from amg_fuse_ros.latency_budget import (
    AIM,
    COMFORT,
    MISSES,
    SETTLING,
    SMALLEST_SCALE,
    STEPS,
    WINDOW,
    LatencyBudget,
)
from amg_fuse_ros.settings import BY_NAME

LONG = 1500
FEW = (SETTLING + MISSES) * len(STEPS)
"""Enough frames for a step down from every scale."""


def run(budget, cost, frames, start=0):
    """Feed frames whose latency in ms is ``cost(scale, frame)``; the scale after each."""
    return [
        budget.add(cost(budget.scale, frame) / 1000, budget.scale)
        for frame in range(start, start + frames)
    ]


def affine(constant, per_pixel):
    return lambda scale, _=0: constant + per_pixel * scale**2


def ascents(scales):
    return [i for i in range(1, len(scales)) if scales[i] > scales[i - 1]]


COSTS = st.floats(0.5, 2000)


@settings(deadline=None)
@given(budget_ms=COSTS, constant=COSTS, per_pixel=COSTS)
@example(budget_ms=100.0, constant=5.0, per_pixel=2200.0)
def test_it_settles_on_the_largest_scale_that_is_comfortable(budget_ms, constant, per_pixel):
    budget, cost = LatencyBudget(budget_ms), affine(constant, per_pixel)
    scales = run(budget, cost, LONG)
    assert len(set(scales[LONG // 2 :])) == 1
    found = scales[-1]
    fits = [s for s in STEPS if cost(s) <= budget_ms]
    if not fits:
        assert found == STEPS[-1]
        assert budget.exceeded
        return
    assert cost(found) <= budget_ms
    assert not budget.exceeded
    if found < STEPS[0]:
        larger = STEPS[STEPS.index(found) - 1]
        assert cost(larger) > COMFORT * budget_ms * (1 - 1e-9)


@st.composite
def rising_costs(draw):
    """Any cost that grows with the scale, linear or not."""
    grown = sorted(draw(st.lists(COSTS, min_size=len(STEPS), max_size=len(STEPS))), reverse=True)
    table = dict(zip(STEPS, grown, strict=True))
    return lambda scale, _=0: table[scale]


@settings(deadline=None)
@given(budget_ms=COSTS, cost=rising_costs())
def test_whatever_the_cost_of_a_scale_the_budget_is_kept_in_the_end(budget_ms, cost):
    budget = LatencyBudget(budget_ms)
    scales = run(budget, cost, LONG)
    missed = [cost(scale) > budget_ms for scale in scales]
    if cost(STEPS[-1]) > budget_ms:
        assert budget.exceeded
        assert scales[-1] == STEPS[-1]
    else:
        # A scale that failed is tried again, ever more rarely.
        assert sum(missed[LONG // 2 :]) <= 0.05 * LONG / 2


@settings(deadline=None)
@given(budget_ms=COSTS, cost=rising_costs(), noise=st.floats(0, 0.3), seed=st.integers(0, 99))
def test_it_never_goes_up_twice_within_a_window(budget_ms, cost, noise, seed):
    chance = random.Random(seed)

    def noisy(scale, _):
        return cost(scale) * (1 + noise * chance.uniform(-1, 1))

    up = ascents(run(LatencyBudget(budget_ms), noisy, 600))
    assert all(later - earlier >= WINDOW for earlier, later in pairwise(up))


@settings(deadline=None)
@given(cost=rising_costs(), budget_ms=COSTS)
def test_at_constant_cost_a_scale_that_failed_is_tried_ever_more_rarely(cost, budget_ms):
    up = ascents(run(LatencyBudget(budget_ms), cost, LONG))
    assert len(up) <= 4 * len(STEPS)


@settings(deadline=None)
@given(
    constant=st.floats(0, 20),
    per_pixel=st.floats(20, 80),
    slower=st.floats(1.5, 20),
    calm=st.integers(WINDOW, 5 * WINDOW),
)
def test_an_engine_that_becomes_slower_is_followed_within_few_frames(
    constant, per_pixel, slower, calm
):
    budget, cost = LatencyBudget(100.0), affine(constant, per_pixel)
    assert set(run(budget, cost, calm)) == {1.0}

    def slow(scale, frame=0):
        return slower * cost(scale, frame)

    run(budget, slow, FEW)
    if slow(STEPS[-1]) > 100:
        assert budget.scale == STEPS[-1]
    else:
        assert slow(budget.scale) <= 100


def test_an_engine_that_recovers_is_followed_too_but_slowly():
    budget = LatencyBudget(100.0)
    run(budget, affine(10, 300), 200)
    assert budget.scale == 0.5
    scales = run(budget, affine(10, 60), 10 * WINDOW)
    assert scales[WINDOW // 2] == 0.5
    assert scales[-1] == 1.0
    assert sorted(set(scales)) == [0.5, 0.75, 1.0]


@pytest.mark.parametrize("outliers", [1, 2])
def test_rare_hiccups_change_nothing(outliers):
    budget = LatencyBudget(100.0)
    scales = run(budget, lambda _, frame: 500 if frame % WINDOW < outliers else 50, 1000, start=10)
    assert set(scales) == {1.0}


def test_a_step_goes_as_far_as_is_needed_and_no_further():
    far, near = LatencyBudget(100.0), LatencyBudget(100.0)
    assert run(far, affine(0, 700), SETTLING + MISSES)[-1] == 3 / 8
    assert run(near, affine(0, 120), SETTLING + MISSES)[-1] == 3 / 4


def test_the_constant_part_is_learned_and_the_other_scales_are_expected_from_it():
    budget, cost = LatencyBudget(100.0), affine(60, 80)
    run(budget, cost, 100)
    assert budget.scale < 1
    for scale in STEPS:
        assert budget.expected_ms(scale) == pytest.approx(cost(scale))


def test_frames_right_after_a_change_say_nothing():
    budget = LatencyBudget(100.0)
    run(budget, affine(0, 150), SETTLING + MISSES)
    assert budget.scale == 0.75
    assert run(budget, lambda *_: 30_000, SETTLING) == [0.75] * SETTLING  # a build, and its queue
    assert budget.p95_ms is None
    assert set(run(budget, affine(0, 150), 3 * WINDOW)) == {0.75}


def test_late_frames_of_another_scale_and_times_that_are_none_say_nothing():
    budget = LatencyBudget(100.0)
    for seconds, scale in [(9.0, 0.5), (math.nan, 1.0), (-5.0, 1.0), (math.inf, 1.0)] * 20:
        assert budget.add(seconds, scale) == 1.0
    assert budget.p95_ms is None


def test_without_a_budget_the_scale_stays_the_largest():
    budget = LatencyBudget(0.0, largest=0.8)
    assert set(run(budget, lambda *_: 1e6, 100)) == {0.8}
    assert not budget.exceeded
    assert budget.words == ""


def test_the_budget_may_change_while_it_runs():
    budget, cost = LatencyBudget(0.0), affine(0, 200)
    run(budget, cost, 50)
    budget.budget_ms = 100.0
    run(budget, cost, 100)
    assert budget.scale == 0.5
    budget.budget_ms = 0.0
    assert run(budget, cost, 10)[-1] == 1.0


@settings(deadline=None)
@given(budget_ms=COSTS, largest=st.floats(0.05, 1))
def test_setting_what_is_set_already_changes_nothing(budget_ms, largest):
    budget = LatencyBudget(budget_ms, largest=largest)
    run(budget, lambda *_: 2 * budget_ms, SETTLING + MISSES)
    scale = budget.scale
    assert (budget.budget_ms, budget.largest) == (budget_ms, largest)
    budget.budget_ms, budget.largest = budget_ms, largest
    assert budget.scale == scale


@settings(deadline=None)
@given(largest=st.floats(0.001, 1))
def test_the_largest_scale_bounds_all_and_none_is_too_small_for_a_fuser(largest):
    budget = LatencyBudget(1.0, largest=largest)
    scales = run(budget, affine(0, 1e6), 50)
    assert max(scales) == budget.largest
    assert budget.largest == max(largest, SMALLEST_SCALE)
    assert min(scales) >= MIN_SCALE
    budget.largest = 0.5 if largest != 0.5 else 0.6
    assert budget.scale == budget.largest


def test_a_budget_that_cannot_be_met_is_told_and_taken_back_when_it_can():
    budget = LatencyBudget(100.0)
    run(budget, affine(150, 100), 50)
    assert budget.exceeded
    assert "missed at the smallest scale" in budget.words
    run(budget, affine(20, 50), WINDOW)
    assert not budget.exceeded
    assert "missed" not in budget.words


def test_words_name_budget_scale_and_latency():
    budget = LatencyBudget(100.0)
    assert budget.words == "budget 100 ms, scale 1, p95 not known yet"
    run(budget, lambda *_: 42, 10)
    assert budget.words == "budget 100 ms, scale 1, p95 42 ms"


@pytest.mark.parametrize("steps", [(), (0.5, 1.0), (1.0, 1.0), (1.5, 1.0), (1.0, 0.0)])
def test_steps_that_do_not_descend_within_the_image_are_refused(steps):
    with pytest.raises(ValueError, match="steps"):
        LatencyBudget(100.0, steps)


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf])
def test_a_budget_that_is_none_is_refused_and_the_old_one_kept(value):
    budget = LatencyBudget(50.0)
    with pytest.raises(ValueError, match="expected 0"):
        budget.budget_ms = value
    assert budget.budget_ms == 50


def test_the_smallest_scale_is_what_a_fuser_takes_and_the_thresholds_fit():
    assert SMALLEST_SCALE == MIN_SCALE
    assert COMFORT < AIM < 1
    assert BY_NAME["latency_budget_ms"].live
