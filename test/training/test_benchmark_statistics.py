from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from training.benchmark.statistics import (
    EXACT_UP_TO,
    bootstrap_interval,
    holm,
    paired_p_values,
    smallest_p,
)

SCORES = st.floats(-3, 3, allow_nan=False, width=32)


def tables(least=1, most=10):
    shapes = st.tuples(st.integers(least, most), st.integers(1, 3))
    return shapes.flatmap(lambda shape: arrays(np.float64, shape, elements=SCORES))


@settings(max_examples=40, deadline=None)
@given(tables(least=2))
def test_an_interval_lies_within_the_scores_and_around_their_mean(scores):
    low, high = bootstrap_interval(scores)
    slack = 1e-9
    assert (scores.min(axis=0) - slack <= low).all()
    assert (high <= scores.max(axis=0) + slack).all()
    assert (low <= scores.mean(axis=0) + slack).all()
    assert (scores.mean(axis=0) <= high + slack).all()


@settings(max_examples=20, deadline=None)
@given(tables(least=2), st.floats(0.1, 10), st.floats(-5, 5))
def test_an_interval_moves_and_stretches_with_the_scores(scores, scale, shift):
    moved = bootstrap_interval(scores * scale + shift)
    for found, end in zip(moved, bootstrap_interval(scores), strict=True):
        np.testing.assert_allclose(found, end * scale + shift, atol=1e-6)


def test_equal_scores_leave_no_room():
    low, high = bootstrap_interval(np.full((5, 1), 0.3))
    np.testing.assert_allclose([low[0], high[0]], 0.3)


def test_one_image_has_no_interval():
    assert np.isnan(bootstrap_interval(np.ones((1, 2)))).all()


@pytest.mark.parametrize("images", [6, 12, 40])
def test_the_interval_holds_the_true_mean_about_as_often_as_it_says(images):
    # Columns are resampled alike but hold independent draws: a simulation in one call.
    draws = np.random.default_rng(1).normal(0.5, 0.1, (images, 500))
    low, high = bootstrap_interval(draws)
    assert np.mean((low <= 0.5) & (high >= 0.5)) == pytest.approx(0.95, abs=0.03)


@settings(max_examples=40, deadline=None)
@given(tables(most=8))
def test_few_pairs_are_tested_by_every_pattern_of_signs(differences):
    n = len(differences)
    patterns = np.array(list(product([1, -1], repeat=n)))
    sums = np.abs(patterns @ differences)
    observed = np.abs(differences.sum(axis=0)) - 1e-9 * np.abs(differences).sum(axis=0)
    np.testing.assert_allclose(paired_p_values(differences), (sums >= observed).mean(axis=0))


@settings(max_examples=40, deadline=None)
@given(tables(most=25), st.floats(0.1, 100))
def test_a_p_value_knows_neither_who_is_first_nor_the_unit(differences, scale):
    p = paired_p_values(differences)
    assert ((p > 0) & (p <= 1)).all()
    np.testing.assert_array_equal(p, paired_p_values(-differences))
    np.testing.assert_allclose(p, paired_p_values(scale * differences), atol=1e-3)


@pytest.mark.parametrize("images", [1, 2, 6, EXACT_UP_TO, EXACT_UP_TO + 1])
def test_the_smallest_p_value_is_that_of_always_being_ahead(images):
    always_ahead = np.linspace(1, 2, images)[:, None]
    p = float(paired_p_values(always_ahead)[0])
    assert smallest_p(images) <= p <= max(smallest_p(images), 5e-5)


def test_no_difference_is_no_finding():
    assert paired_p_values(np.zeros((30, 1)))[0] == 1
    assert paired_p_values(np.zeros((0, 2))).tolist() == [1, 1]


@pytest.mark.parametrize("images", [10, 20])
def test_noise_is_called_a_difference_as_rarely_as_promised(images):
    noise = np.random.default_rng(2).normal(0, 1, (images, 600))
    assert np.mean(paired_p_values(noise) < 0.05) == pytest.approx(0.05, abs=0.025)


def test_a_difference_that_is_there_is_found():
    differences = np.random.default_rng(3).normal(0.03, 0.02, (20, 1))
    assert paired_p_values(differences)[0] < 0.001


def test_holm_adjusts_as_in_the_textbook():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03]), [0.03, 0.06, 0.06])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_lies_between_no_correction_and_bonferronis_and_keeps_the_order(p_values):
    p = np.array(p_values)
    adjusted = holm(p)
    assert (adjusted >= p).all()
    assert (adjusted <= np.minimum(1, p * len(p)) + 1e-12).all()
    assert (np.diff(adjusted[np.argsort(p, kind="stable")]) >= 0).all()
