import hashlib
import json
import math
from pathlib import Path

import cv2
import naive_metrics
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.metrics import METRICS, score

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "metrics.json").read_text())


def procedural(name):
    """Thermal, visible and fused uint8 images, drawn by integer arithmetic alone."""
    width, height = {"even": (64, 48), "odd": (57, 61), "least": (41, 41)}[name]
    y, x = np.mgrid[:height, :width]
    disc = (x - width // 3) ** 2 + (y - height // 2) ** 2 < 90
    thermal = np.where(disc, 230, 40 + x // 4 + (x * y * 7 + y * 31) % 11)
    visible = (x * 3 + y * 2) % 97 + 80 * ((x // 9 + y // 7) % 2) + (x * 13 + y * 29) % 17
    fused = {
        "even": (thermal + visible + 1) // 2,
        "odd": np.maximum(thermal, visible),
        "least": np.where(x > y, thermal, visible),
    }[name]
    return tuple(image.astype(np.uint8) for image in (thermal, visible, fused))


THERMAL, VISIBLE, FUSED = procedural("even")
GREY_128 = np.full_like(FUSED, 128)
BLACK = np.zeros_like(FUSED)


@st.composite
def triples(draw, contrast=1):
    """Noise, steps, flat areas, single bright pixels, whole flat images."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    height, width = draw(st.integers(41, 50)), draw(st.integers(41, 50))

    def image():
        kind = draw(st.sampled_from(["noise", "steps", "patch", "spark", "flat"]))
        low = draw(st.integers(0, 255 - contrast))
        high = draw(st.integers(low + contrast, 255))
        if kind == "noise":
            return rng.integers(low, high + 1, (height, width), dtype=np.uint8)
        drawn = np.full((height, width), low, np.uint8)
        if kind == "steps":
            drawn[:, :: draw(st.integers(2, 20))] = high
        elif kind == "patch":
            drawn[9:30, 5:25] = rng.integers(low, high + 1, (21, 20))
        elif kind == "spark":
            drawn[draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))] = high
        return drawn

    return image(), image(), image()


@pytest.mark.shared
@pytest.mark.parametrize("case", GOLDEN["programs"], ids=lambda case: case["id"])
def test_the_scores_are_those_of_the_fields_own_programs(case, shared_dir):
    triple = []
    for role in ("a", "b", "fused"):
        path = shared_dir / "golden" / "metrics" / case[role]
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        digest = hashlib.sha256(f"{image.shape[1]}x{image.shape[0]}:".encode() + image.tobytes())
        assert digest.hexdigest() == case["sha256"][role]
        triple.append(image)
    assert score(*triple) == pytest.approx({key: case[key] for key in METRICS}, rel=1e-6)


@pytest.mark.parametrize("name", GOLDEN["procedural"])
def test_the_scores_of_drawn_images_are_the_recorded_ones(name):
    assert score(*procedural(name)) == pytest.approx(GOLDEN["procedural"][name], rel=1e-6)


@settings(max_examples=40, deadline=None)
@given(triples(contrast=32))
def test_the_scores_are_those_of_the_formulas_taken_literally(triple):
    # Q_CB and VIF of nearly flat images are quotients of rounding noise in any formulation.
    assert score(*triple) == pytest.approx(naive_metrics.score(*triple), rel=1e-4, abs=1e-4)


@settings(max_examples=40, deadline=None)
@given(triples())
def test_any_images_have_finite_scores_that_do_not_depend_on_the_order_of_the_sources(triple):
    a, b, f = triple
    found = score(a, b, f)
    assert all(math.isfinite(value) for value in found.values())
    assert score(b, a, f) == pytest.approx(found, rel=1e-4, abs=1e-6)


def test_a_perfect_fusion_of_equal_sources_reaches_the_known_maxima():
    expected = {"q_mi": 2, "q_g": 0.98665909, "q_m": 3, "vif": 1, "q_cb": 1, "ssim": 1}
    found = score(VISIBLE, VISIBLE, VISIBLE)
    assert {key: found[key] for key in expected} == pytest.approx(expected, abs=1e-7)
    assert found["qabf"] == pytest.approx(0.9753, abs=2e-4)


def test_the_metrics_come_in_the_order_of_the_papers_tables_and_can_be_had_one_by_one():
    assert list(METRICS) == ["q_mi", "q_g", "q_m", "vif", "q_cb", "ssim", "qabf"]
    one_by_one = {key: metric(THERMAL, VISIBLE, FUSED) for key, metric in METRICS.items()}
    assert one_by_one == score(THERMAL, VISIBLE, FUSED)
    assert [metric.label for metric in METRICS.values()] == [
        "Q_MI", "Q_G", "Q_M", "VIF", "Q_CB", "SSIM", "Q^AB/F",
    ]  # fmt: skip


# Image types


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_on_either_scale_score_exactly_as_the_same_uint8_images(dtype):
    triple = THERMAL, VISIBLE, FUSED
    expected = score(*triple)
    assert score(*(image.astype(dtype) for image in triple)) == expected
    unit = [image.astype(dtype) / dtype(255) for image in triple]
    assert score(*unit, value_range=1) == expected


def test_a_floating_fused_image_in_0_to_1_may_stand_beside_uint8_sources():
    expected = score(THERMAL, VISIBLE, FUSED)
    assert score(THERMAL, VISIBLE, FUSED / 255, value_range=1) == expected


def test_grey_stored_as_three_equal_channels_is_grey():
    triple = THERMAL, VISIBLE, FUSED
    expected = score(*triple)
    assert score(*(np.stack([image] * 3, axis=-1) for image in triple)) == expected
    assert score(*(image[:, :, None] / 255 for image in triple), value_range=1) == expected


def test_uint8_colour_is_scored_by_its_8_bit_bt601_luma():
    colour = np.stack([VISIBLE, VISIBLE[::-1], VISIBLE[:, ::-1]], axis=-1)
    luma = cv2.cvtColor(colour, cv2.COLOR_RGB2GRAY)
    assert np.abs(luma - colour @ np.array([0.299, 0.587, 0.114])).max() < 0.51
    assert score(THERMAL, colour, FUSED) == score(THERMAL, luma, FUSED)


def test_float_colour_keeps_the_fractions_of_its_luma():
    colour = np.stack([VISIBLE, VISIBLE[::-1], VISIBLE[:, ::-1]], axis=-1).astype(float)
    luma = colour @ np.array([0.299, 0.587, 0.114])
    assert score(THERMAL, colour, FUSED) == score(THERMAL, luma, FUSED)
    assert score(THERMAL, colour, FUSED) != score(THERMAL, np.rint(luma), FUSED)


def test_memory_layout_does_not_matter():
    views = [np.asfortranarray(image)[::-1, ::-1] for image in (THERMAL, VISIBLE, FUSED)]
    copies = [np.ascontiguousarray(view) for view in views]
    assert score(*views) == score(*copies)


# Degenerate images. Values follow the formulas; what those leave at 0/0 counts as 0.

CASES = {
    "fused is grey": ((THERMAL, VISIBLE, GREY_128), {"q_mi": 0, "vif": 0, "q_cb": 0}),
    "fused is black": ((THERMAL, VISIBLE, BLACK), {"q_mi": 0, "vif": 0, "q_cb": 0}),
    "thermal is grey, fused is visible": (
        (GREY_128, VISIBLE, VISIBLE), {"q_mi": 1, "q_m": 3, "vif": 1, "q_cb": 1},
    ),
    "thermal is black, fused is visible": (
        (BLACK, VISIBLE, VISIBLE), {"q_mi": 1, "q_m": 3, "vif": 1, "q_cb": 1},
    ),
    "both sources are grey": (
        (GREY_128, GREY_128, FUSED), {"q_mi": 0, "q_m": 0, "vif": 1, "q_cb": 0},
    ),
    "all are grey": (
        (GREY_128, GREY_128, GREY_128),
        {"q_mi": 0, "q_g": 0.98665909, "q_m": 0, "vif": 1, "q_cb": 0, "ssim": 1},
    ),
    "all are black": (
        (BLACK, BLACK, BLACK),
        {"q_mi": 0, "q_g": 0.98665909, "q_m": 0, "vif": 1, "q_cb": 0, "ssim": 1, "qabf": 0},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_flat_images_have_the_documented_values(case):
    triple, expected = CASES[case]
    found = score(*triple)
    assert {key: found[key] for key in expected} == pytest.approx(expected, abs=1e-7)
    assert all(math.isfinite(value) for value in found.values())


@pytest.mark.parametrize("key", METRICS)
def test_each_metric_refuses_images_of_different_sizes(key):
    with pytest.raises(ValueError, match=r"one size, found thermal 64x48, visible 64x48, fused 6"):
        METRICS[key](THERMAL, VISIBLE, FUSED[:-1])


@pytest.mark.parametrize("key", METRICS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_each_metric_refuses_values_that_are_not_finite(key, bad):
    broken = FUSED.astype(float)
    broken[3, 4] = bad
    with pytest.raises(ValueError, match="fused: expected finite values"):
        METRICS[key](THERMAL, VISIBLE, broken)


@pytest.mark.parametrize("key", METRICS)
def test_each_metric_works_down_to_its_least_size_and_says_so_below(key):
    metric = METRICS[key]
    least = metric.minimum_side
    assert math.isfinite(metric(*(image[:least, :least] for image in (THERMAL, VISIBLE, FUSED))))
    if least > 1:
        with pytest.raises(ValueError, match=rf"at least {least} pixels .* 50x{least - 1}"):
            metric(*(image[: least - 1, :50] for image in (THERMAL, VISIBLE, FUSED)))


def test_a_float_image_that_may_be_on_either_scale_is_refused_rather_than_guessed_at():
    with pytest.raises(ValueError, match=r"visible: .* pass value_range=1 or value_range=255"):
        score(THERMAL, VISIBLE / 255, FUSED)
    score(THERMAL, VISIBLE / 255, FUSED, value_range=255)


@pytest.mark.parametrize(
    ("image", "value_range", "message"),
    [
        (FUSED.astype(float) * 2, None, r"values in 0\.\.255"),
        (FUSED.astype(float) - 100, None, r"values in 0\.\.255"),
        (FUSED.astype(float), 1, r"values in 0\.\.1, .*value_range"),
        (FUSED.astype(float), 100, "value_range: expected 255 or 1, found 100"),
        (FUSED.astype(np.uint16), None, "expected uint8 or floating values, found uint16"),
        (FUSED > 100, None, "expected uint8 or floating values, found bool"),
        (np.stack([FUSED] * 4, axis=-1), None, r"H W 3 \(RGB\), found \(48, 64, 4\)"),
        (np.stack([FUSED] * 3), None, r"H W 3 \(RGB\), found \(3, 48, 64\)"),
        (FUSED[:0], None, "with pixels"),
    ],
)
def test_other_images_are_refused_with_what_was_expected_and_found(image, value_range, message):
    with pytest.raises(ValueError, match=message):
        score(THERMAL, VISIBLE, image, value_range=value_range)
