"""A fused image of a lower size gets the cameras' detail, and no weather that was taken away."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from amg_fuse_ros.imaging.guided_upsampling import upsample_guided
from amg_fuse_ros.scenes import sample_pairs

UNIT = st.floats(0, 1, width=32)
HEIGHT, WIDTH = 96, 128


def psnr(image, reference):
    return 10 * np.log10(1 / np.mean((image.astype(np.float64) - reference) ** 2))


def unit(image):
    return (image / 255).astype(np.float32)


def grey(channel):
    return np.dstack([channel] * 3)


def smaller(image, scale):
    height, width = image.shape[:2]
    size = (round(width * scale), round(height * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def bicubic(image):
    return np.clip(cv2.resize(image, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), 0, 1)


def upsampled(fused, rgb, thermal, scale):
    """From the full-size fused image, made smaller, back to full size."""
    low = smaller(fused, scale)
    return upsample_guided(low, smaller(unit(rgb), scale), smaller(thermal, scale), rgb, thermal)


@pytest.fixture(scope="module")
def street():
    """A drawn street: RGB uint8 and thermal float32, of one size."""
    thermal, rgb = sample_pairs(1, WIDTH, HEIGHT)[0]
    return rgb, unit(thermal)


@pytest.mark.parametrize("scale", [0.75, 0.5, 0.375])
@pytest.mark.parametrize(("a", "b"), [(1, 0), (0, 1), (0.6, 0.4), (0.3, 0.5)])
def test_a_blend_of_both_cameras_comes_back_with_their_detail(street, a, b, scale):
    rgb, thermal = street
    luminance = cv2.cvtColor(unit(rgb), cv2.COLOR_RGB2GRAY)
    fused = grey(a * luminance + b * thermal)
    found = upsampled(fused, rgb, thermal, scale)
    assert psnr(found, fused) > psnr(bicubic(smaller(fused, scale)), fused) + 5


def test_shares_that_differ_from_place_to_place_are_followed(street):
    rgb, thermal = street
    share = np.zeros((HEIGHT, WIDTH), np.float32)
    share[:, WIDTH // 2 :] = 1
    luminance = cv2.cvtColor(unit(rgb), cv2.COLOR_RGB2GRAY)
    fused = grey(share * luminance + (1 - share) * thermal)
    found = upsampled(fused, rgb, thermal, 0.5)
    assert psnr(found, fused) > psnr(bicubic(smaller(fused, 0.5)), fused) + 2


def test_colours_and_brightness_that_the_network_made_are_kept(street):
    rgb, thermal = street
    fused = np.clip(0.2 + 0.7 * unit(rgb) * np.float32([1.0, 0.8, 0.6]), 0, 1)
    found = upsampled(fused, rgb, thermal, 0.5)
    assert np.abs(smaller(found, 1 / 8) - smaller(fused, 1 / 8)).max() < 0.03


@pytest.mark.parametrize("scale", [0.75, 0.5, 0.375])
@pytest.mark.parametrize("weather", ["rain", "snow"])
def test_weather_that_the_network_took_away_stays_away(street, weather, scale):
    clean, thermal = street
    rng = np.random.default_rng(0)
    drops = (rng.random((HEIGHT, WIDTH)) < 0.02).astype(np.float32)
    drops = cv2.blur(drops, (1, 9)) * 9 if weather == "rain" else cv2.dilate(drops, np.ones((2, 2)))
    layer = np.clip(drops, 0, 1) * 0.4
    rgb = np.rint(255 * np.clip(unit(clean) + layer[..., None], 0, 1)).astype(np.uint8)
    fused = unit(clean)
    low = smaller(fused, scale)
    found = upsample_guided(low, smaller(unit(rgb), scale), smaller(thermal, scale), rgb, thermal)
    layer -= layer.mean()
    returned = ((found - bicubic(low)).mean(2) * layer).sum() / (layer**2).sum()
    assert returned < 0.1


@pytest.mark.parametrize("level", [0, 0.3, 1])
def test_a_plain_image_stays_plain_without_detail(level):
    low, full = np.full((12, 16), level, np.float32), np.full((24, 32), level, np.float32)
    rgb = np.rint(255 * grey(full)).astype(np.uint8)
    np.testing.assert_allclose(
        upsample_guided(grey(low), grey(low), low, rgb, full), level, atol=0.003
    )


def test_no_halo_lies_beside_a_strong_edge():
    rgb = np.zeros((64, 64, 3), np.uint8)
    rgb[:, 31:] = 255
    thermal = np.full((64, 64), 0.5, np.float32)
    found = upsampled(unit(rgb) * 0.6 + 0.2, rgb, thermal, 0.5)
    assert found.min() > 0.15
    assert found.max() < 0.85


SIDE = st.integers(1, 24)


@given(data=st.data(), low=st.tuples(SIDE, SIDE), more=st.tuples(SIDE, SIDE))
def test_any_images_give_one_of_the_full_size_within_its_range(data, low, more):
    full = (low[0] + more[0], low[1] + more[1])
    images = [
        data.draw(hnp.arrays(np.float32, (*low, 3), elements=UNIT)),
        data.draw(hnp.arrays(np.float32, (*low, 3), elements=UNIT)),
        data.draw(hnp.arrays(np.float32, low, elements=UNIT)),
        data.draw(hnp.arrays(np.uint8, (*full, 3))),
        data.draw(hnp.arrays(np.float32, full, elements=UNIT)),
    ]
    before = [image.copy() for image in images]
    found = upsample_guided(*images)
    assert (found.shape, found.dtype) == ((*full, 3), np.float32)
    assert np.isfinite(found).all()
    assert found.min() >= 0
    assert found.max() <= 1
    for image, untouched in zip(images, before, strict=True):
        np.testing.assert_array_equal(image, untouched)
