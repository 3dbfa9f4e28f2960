"""The local mask reads as the visible camera's share, without the grain of equation 5."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from amg_fuse_ros.imaging.local_mask import EPSILON, WINDOW, local_mask
from amg_fuse_ros.network import fusion_mask

SHAPE = (30, 40)
UNIT = st.floats(0, 1, width=32)


def grey(value, shape=SHAPE):
    return np.full((*shape, 3), value, np.float32)


def warm(value, shape=SHAPE):
    return np.full(shape, value, np.float32)


def blend(share, visible, thermal):
    """Equation 3: F = M VI + (1 - M) IR."""
    share = np.asarray(share, np.float32)[..., None]
    return share * visible + (1 - share) * thermal[..., None]


@pytest.mark.parametrize("share", [0, 0.2, 0.5, 0.9, 1])
@pytest.mark.parametrize(("visible", "thermal"), [(0.9, 0.1), (0.1, 0.8), (1, 0)])
def test_a_known_share_is_found(share, visible, thermal):
    vi, ir = grey(visible), warm(thermal)
    mask = local_mask(blend(share, vi, ir), vi, ir)
    assert mask.shape == SHAPE
    assert mask.dtype == np.float32
    np.testing.assert_allclose(mask, share, atol=EPSILON / (visible - thermal) ** 2)


@pytest.mark.parametrize("level", [0, 0.3, 1])
@pytest.mark.parametrize("fused", [0, 0.3, 1])
def test_where_the_cameras_agree_both_have_half(level, fused):
    mask = local_mask(grey(fused), grey(level), warm(level))
    np.testing.assert_allclose(mask, 0.5, atol=1e-4)


def test_shares_that_differ_from_place_to_place_are_found_in_their_place():
    vi, ir = grey(0.9), warm(0.2)
    share = np.zeros(SHAPE, np.float32)
    share[:, 20:] = 1
    mask = local_mask(blend(share, vi, ir), vi, ir)
    reach = WINDOW // 2
    np.testing.assert_allclose(mask[:, : 20 - reach], 0, atol=2e-3)
    np.testing.assert_allclose(mask[:, 20 + reach :], 1, atol=2e-3)
    assert (np.diff(mask, axis=1) >= -1e-6).all()


def footprint(contrast: float = 1.0):
    """What one pixel of the visible camera's leaves in the mask, by its distance from there."""
    vi, ir = grey(contrast), warm(0)
    fused = grey(0)
    fused[15, 20] = contrast
    return local_mask(fused, vi, ir) - local_mask(grey(0), vi, ir)


def test_one_pixel_is_spread_over_the_window_around_it_and_no_further():
    left = footprint()
    assert left.argmax() == np.ravel_multi_index((15, 20), SHAPE)
    assert left.sum() == pytest.approx(1 / (1 + EPSILON), abs=1e-3)
    reach = WINDOW // 2
    outside = left.copy()
    outside[15 - reach : 16 + reach, 20 - reach : 21 + reach] = 0
    np.testing.assert_allclose(outside, 0, atol=1e-6)


def test_what_one_pixel_leaves_is_round_and_has_no_edge():
    left = footprint()
    across, diagonal = left[15, 20:], left[range(15, 25), range(20, 30)]
    assert diagonal[5] == pytest.approx(across[7], rel=0.15)  # 7.07 pixels away, and 7
    assert (np.diff(across) <= 1e-7).all()
    reach = WINDOW // 2
    assert across[reach] < 0.01 * across[0]  # where the window ends


def test_a_snowflake_leaves_a_disc():
    flake, shape = grey(0, (61, 61)), (61, 61)
    flake[29:32, 29:32] = 0.9
    mask = local_mask(flake * 0, flake, warm(0, shape))  # the network left it out
    rows, columns = np.nonzero(mask < 0.4)
    distance = np.hypot(rows - 30, columns - 30)
    turns = np.degrees(np.arctan2(rows - 30, columns - 30)) % 360
    radii = [distance[np.abs(turns - turn) < 8].max() for turn in range(45, 360, 45)]
    assert max(radii) - min(radii) < 1


def test_colour_counts_by_its_luminance():
    for channel, luminance in enumerate((0.299, 0.587, 0.114)):
        vi = np.zeros((*SHAPE, 3), np.float32)
        vi[..., channel] = 1
        mask = local_mask(grey(luminance / 2), vi, warm(0))
        np.testing.assert_allclose(mask, 0.5, atol=1e-3)


def test_a_dark_scene_with_quantised_noise_has_no_grain():
    rng = np.random.default_rng(0)
    visible, thermal, fused = (
        (rng.integers(0, 4, (60, 80)) / 255).astype(np.float32) for _ in range(3)
    )
    visible, fused = (np.dstack([x, x, x]) for x in (visible, fused))
    local = local_mask(fused, visible, thermal)
    f, vi = (torch.from_numpy(x).permute(2, 0, 1)[None] for x in (fused, visible))
    paper = fusion_mask(f, vi, torch.from_numpy(thermal)[None, None])[0].mean(0).numpy()
    np.testing.assert_allclose(local, 0.5, atol=0.05)
    assert np.abs(np.diff(paper)).mean() > 0.1
    assert np.abs(np.diff(local)).mean() < 0.005


@given(hnp.array_shapes(min_dims=2, max_dims=2, max_side=25), st.data())
def test_any_images_give_a_share_between_0_and_1(shape, data):
    fused, visible = (data.draw(hnp.arrays(np.float32, (*shape, 3), elements=UNIT)) for _ in "fv")
    thermal = data.draw(hnp.arrays(np.float32, shape, elements=UNIT))
    before = [x.copy() for x in (fused, visible, thermal)]
    mask = local_mask(fused, visible, thermal)
    assert mask.shape == shape
    assert mask.min() >= 0
    assert mask.max() <= 1
    for image, untouched in zip((fused, visible, thermal), before, strict=True):
        np.testing.assert_array_equal(image, untouched)
