"""One path from a thermal and an RGB array to a fused image and its mask."""

import numpy as np
import pytest
import torch
from golden_weights import golden_shapes, golden_state_dict
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from one_camera import OneCamera, unit
from small_pairs import smooth_image, smooth_pair

from amg_fuse_ros.engine import EngineError, EngineUnavailableError, create_engine
from amg_fuse_ros.fusion import MASK_FORMS, MIN_SCALE, Fuser
from amg_fuse_ros.imaging.local_mask import local_mask
from amg_fuse_ros.imaging.thermal import to_unit_range
from amg_fuse_ros.network import AMGFuse, fusion_mask, load_weights
from amg_fuse_ros.settings import BY_NAME


@pytest.fixture(scope="module")
def engine(random_weights):
    return create_engine(load_weights(random_weights), "eager", "cpu")


@pytest.fixture(scope="module")
def fuser(engine):
    return Fuser(engine)


def three(channel):
    return np.dstack([channel] * 3)


SIZES = [(32, 40), (17, 30), (9, 8), (3, 5), (1, 1), (1, 50)]


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("mask_form", MASK_FORMS)
def test_image_and_mask_have_the_size_of_the_rgb_image(engine, height, width, mask_form):
    frame = Fuser(engine, mask_form=mask_form).fuse(*smooth_pair(height, width))
    assert (frame.image.shape, frame.image.dtype) == ((height, width, 3), np.uint8)
    assert (frame.mask.shape, frame.mask.dtype) == ((height, width), np.float32)
    assert frame.mask.min() >= 0
    assert frame.mask.max() <= 1
    assert frame.scale == 1


def test_the_same_pair_gives_the_same_frame_bit_by_bit(fuser, random_weights):
    pair = smooth_pair()
    first = fuser.fuse(*pair)
    fuser.fuse(*smooth_pair(24, 24, seed=9))
    another = Fuser.from_options(weights=random_weights, engine="eager", device="cpu")
    for again in (fuser.fuse(*pair), fuser(*pair), another.fuse(*pair)):
        np.testing.assert_array_equal(again.image, first.image)
        np.testing.assert_array_equal(again.mask, first.mask)


def test_the_stages_timings_add_up_to_their_total(fuser):
    timings = fuser.fuse(*smooth_pair()).timings
    assert set(timings) == {"prepare", "engine", "finish", "total"}
    assert min(timings.values()) > 0
    assert timings["total"] == pytest.approx(
        timings["prepare"] + timings["engine"] + timings["finish"]
    )


@pytest.mark.parametrize(("height", "width"), [(17, 30), (24, 33), (5, 9), (1, 12)])
def test_other_sizes_than_multiples_of_8_are_reflected_and_cropped(height, width):
    # In float64: with random weights the network amplifies roundings of float32.
    network = AMGFuse.from_size("tiny").double().eval()
    network.load_state_dict(golden_state_dict(golden_shapes("tiny"), 6))
    thermal, rgb = smooth_pair(height, width)
    after = ((0, -height % 8), (0, -width % 8))
    vi = np.pad(unit(rgb), (*after, (0, 0)), "reflect").transpose(2, 0, 1)
    ir = np.pad(unit(thermal), after, "reflect")
    with torch.no_grad():
        fused = network.fuse(
            torch.from_numpy(vi).double()[None], torch.from_numpy(ir).double()[None, None]
        )
    expected = fused[0, :, :height, :width].permute(1, 2, 0).clamp(0, 1).numpy() * 255
    image = Fuser(create_engine(network, "eager", "cpu", "fp64")).fuse(thermal, rgb).image
    assert image.std() > 10
    np.testing.assert_allclose(image, expected, atol=0.5 + 1e-3)


PAIR_KINDS = {
    "thermal H W 1": lambda t, v: (t[..., None], v),
    "thermal of three equal channels": lambda t, v: (three(t), v),
    "read-only": lambda t, v: (frozen(t), frozen(v)),
    "views": lambda t, v: (np.asfortranarray(t), np.ascontiguousarray(v[..., ::-1])[..., ::-1]),
}


def frozen(array):
    array = array.copy()
    array.setflags(write=False)
    return array


@pytest.mark.parametrize("kind", PAIR_KINDS)
@pytest.mark.filterwarnings("error")
def test_a_pair_in_another_form_is_the_same_pair(fuser, kind):
    thermal, rgb = smooth_pair()
    expected = fuser.fuse(thermal, rgb)
    frame = fuser.fuse(*PAIR_KINDS[kind](thermal, rgb))
    np.testing.assert_array_equal(frame.image, expected.image)
    np.testing.assert_array_equal(frame.mask, expected.mask)


def test_a_grey_rgb_image_is_one_of_three_equal_channels(fuser):
    thermal, rgb = smooth_pair()
    grey = rgb[..., 0].copy()
    expected = fuser.fuse(thermal, three(grey))
    for given_as in (grey, grey[..., None]):
        np.testing.assert_array_equal(fuser.fuse(thermal, given_as).image, expected.image)


def test_a_16_bit_thermal_image_is_stretched_before_it_is_fused(fuser):
    counts, rgb = smooth_image(32, 40, top=2000, dtype=np.uint16) + 7000, smooth_pair()[1]
    assert fuser.fuse(counts, rgb).image.shape == rgb.shape
    image = Fuser(OneCamera("thermal")).fuse(counts, rgb).image
    assert (image.min(), image.max()) == (0, 255)
    np.testing.assert_array_equal(image, three(np.rint(to_unit_range(counts) * 255)))


@pytest.mark.parametrize("scale", [1.0, 0.4])
@pytest.mark.parametrize("mask_form", MASK_FORMS)
def test_the_arrays_of_a_pair_are_left_as_they_were(engine, scale, mask_form):
    thermal, rgb = smooth_pair(24, 24)
    before = thermal.copy(), rgb.copy()
    frame = Fuser(engine, scale=scale, mask_form=mask_form).fuse(thermal, rgb)
    frame.image[:], frame.mask[:] = 0, 0  # the frame is the caller's
    np.testing.assert_array_equal(thermal, before[0])
    np.testing.assert_array_equal(rgb, before[1])


@pytest.mark.parametrize("size", [(6, 8), (48, 64), (96, 128), (96, 8), (31, 57)])
def test_a_thermal_image_of_another_size_is_stretched_over_the_rgb_image(size):
    thermal = np.zeros(size, np.uint8)
    thermal[:, size[1] // 2 :] = 200
    image = Fuser(OneCamera("thermal")).fuse(thermal, np.zeros((48, 64, 3), np.uint8)).image
    assert image.shape == (48, 64, 3)
    assert (image[:, :26] == 0).all()
    assert (image[:, -26:] == 200).all()


def test_what_the_engine_leaves_alone_comes_out_unchanged():
    thermal, rgb = smooth_pair()
    rgb[0, :32] = np.arange(96).reshape(32, 3)
    rgb[1, :32] = np.arange(160, 256).reshape(32, 3)
    np.testing.assert_array_equal(Fuser(OneCamera("visible")).fuse(thermal, rgb).image, rgb)
    np.testing.assert_array_equal(
        Fuser(OneCamera("thermal")).fuse(thermal, rgb).image, three(thermal)
    )


GOOD_THERMAL, GOOD_RGB = smooth_pair(8, 8)
BAD_PAIRS = {
    "thermal with NaN": (np.full((8, 8), np.nan), GOOD_RGB, "thermal.*found float64 with NaN"),
    "RGB with NaN": (GOOD_THERMAL, np.full((8, 8, 3), np.nan), "RGB.*found float64 with NaN"),
    "empty thermal": (np.zeros((0, 8), np.uint8), GOOD_RGB, "thermal.*found an empty array"),
    "empty RGB": (GOOD_THERMAL, np.zeros((8, 0, 3), np.uint8), "RGB.*found an empty array"),
    "float thermal": (unit(GOOD_THERMAL), GOOD_RGB, "thermal.*uint8 or uint16, found float32"),
    "16-bit RGB": (GOOD_THERMAL, GOOD_RGB.astype(np.uint16), "RGB.*uint8, found uint16"),
    "signed thermal": (GOOD_THERMAL.astype(np.int32), GOOD_RGB, "thermal.*found int32"),
    "coloured thermal": (GOOD_RGB, GOOD_RGB, "thermal.*three different channels"),
    "RGB with alpha": (GOOD_THERMAL, np.dstack([GOOD_RGB, GOOD_THERMAL]), r"RGB.*\(8, 8, 4\)"),
    "a batch": (GOOD_THERMAL[None, ..., None], GOOD_RGB, r"thermal.*\(1, 8, 8, 1\)"),
    "swapped": (GOOD_RGB, GOOD_THERMAL, "thermal.*three different channels"),
    "no array": (GOOD_THERMAL.tolist(), GOOD_RGB, "thermal.*found list"),
    "no image": (GOOD_THERMAL, None, "RGB.*found NoneType"),
}


@pytest.mark.parametrize("what", BAD_PAIRS)
def test_other_arrays_are_refused_in_words(fuser, what):
    thermal, rgb, words = BAD_PAIRS[what]
    with pytest.raises(ValueError, match=words):
        fuser.fuse(thermal, rgb)


def test_a_fuser_that_refused_a_pair_fuses_the_next_one(fuser):
    pair = smooth_pair(8, 8)
    expected = fuser.fuse(*pair).image
    with pytest.raises(ValueError, match="thermal"):
        fuser.fuse(None, pair[1])
    np.testing.assert_array_equal(fuser.fuse(*pair).image, expected)


@pytest.mark.parametrize(
    ("scale", "inside"), [(1.0, (48, 62)), (0.5, (24, 31)), (0.1, (5, 6)), (MIN_SCALE, (2, 3))]
)
def test_at_a_scale_the_network_sees_less_and_the_frame_is_full_size(scale, inside):
    thermal, rgb = smooth_pair(48, 62)
    engine = OneCamera("visible")
    frame = Fuser(engine, scale=scale).fuse(thermal, rgb)
    assert engine.visible.shape == (*inside, 3)
    assert engine.thermal.shape == inside
    assert frame.image.shape == (48, 62, 3)
    assert frame.mask.shape == (48, 62)
    assert frame.scale == scale


def test_the_network_sees_the_mean_of_the_pixels_that_were_merged():
    thermal, rgb = smooth_pair(12, 16)
    doubled = [np.repeat(np.repeat(image, 2, axis=0), 2, axis=1) for image in (thermal, rgb)]
    engine = OneCamera("visible")
    Fuser(engine, scale=0.5).fuse(*doubled)
    np.testing.assert_array_equal(engine.visible, unit(rgb))
    np.testing.assert_allclose(engine.thermal, unit(thermal), atol=1e-6)


def test_no_scale_makes_a_tiny_image_vanish(fuser):
    small = Fuser(fuser.engine, scale=MIN_SCALE)
    frame = small.fuse(*smooth_pair(3, 4))
    assert frame.image.shape == (3, 4, 3)


def test_a_picture_at_half_scale_looks_like_the_picture():
    thermal, rgb = smooth_pair(48, 64)
    image = Fuser(OneCamera("visible"), scale=0.5).fuse(thermal, rgb).image
    assert np.abs(image.astype(float) - rgb).mean() < 2


@pytest.mark.parametrize("scale", [0, 0.049, 1.001, -1, float("nan"), float("inf")])
def test_a_scale_beyond_its_range_is_refused_and_the_old_one_kept(engine, scale):
    with pytest.raises(ValueError, match=r"scale: expected 0\.05 to 1\.0, found"):
        Fuser(engine, scale=scale)
    fuser = Fuser(engine, scale=0.5)
    with pytest.raises(ValueError, match="scale"):
        fuser.scale = scale
    assert fuser.scale == 0.5


def test_the_local_mask_is_that_of_the_images_the_network_saw(engine):
    thermal, rgb = smooth_pair()
    fused = engine.fuse(unit(rgb), unit(thermal))
    mask = Fuser(engine, mask_form="local").fuse(thermal, rgb).mask
    np.testing.assert_array_equal(mask, local_mask(fused, unit(rgb), unit(thermal)))


@pytest.mark.parametrize("scale", [1.0, 0.5])
@pytest.mark.parametrize("mask_form", MASK_FORMS)
def test_the_mask_is_that_of_the_full_size_pictures(engine, scale, mask_form):
    thermal, rgb = smooth_pair(48, 64)
    frame = Fuser(engine, scale=scale, mask_form=mask_form).fuse(thermal, rgb)
    fused = unit(frame.image)  # its bytes: equation 5 amplifies their rounding
    if mask_form == "local":
        expected, tolerance = local_mask(fused, unit(rgb), unit(thermal)), 0.05
    else:
        f, vi = (torch.from_numpy(x).permute(2, 0, 1)[None] for x in (fused, unit(rgb)))
        ir = torch.from_numpy(unit(thermal))[None, None]
        expected, tolerance = fusion_mask(f, vi, ir)[0].mean(0).numpy(), 0.05
    assert np.quantile(np.abs(frame.mask - expected), 0.95) < tolerance


def test_the_mask_names_the_camera_that_the_picture_comes_from():
    pair = np.full((24, 32), 60, np.uint8), np.full((24, 32, 3), 220, np.uint8)
    for form in MASK_FORMS:
        from_visible, from_thermal = (
            Fuser(OneCamera(camera), mask_form=form).fuse(*pair).mask
            for camera in ("visible", "thermal")
        )
        # Equation 5 never gets near 1 where the picture is the visible one: 2 VI - IR divides.
        assert from_visible.min() > (0.99 if form == "local" else 0.3)
        assert from_thermal.max() < (0.01 if form == "local" else 0.1)


def test_an_unknown_form_of_the_mask_is_refused_with_the_known_ones(engine):
    with pytest.raises(ValueError, match=r"expected one of .*'local', 'paper'.* found 'guided'"):
        Fuser(engine, mask_form="guided")


@given(st.data())
def test_any_pair_gives_a_frame_with_a_mask_between_0_and_1(data):
    shapes = hnp.array_shapes(min_dims=2, max_dims=2, max_side=20)
    dtype = st.sampled_from([np.uint8, np.uint16])
    thermal = data.draw(hnp.arrays(dtype, shapes))
    rgb = data.draw(shapes.flatmap(lambda shape: hnp.arrays(np.uint8, (*shape, 3))))
    fuser = Fuser(
        OneCamera(data.draw(st.sampled_from(["visible", "thermal"]))),
        scale=data.draw(st.floats(MIN_SCALE, 1)),
        mask_form=data.draw(st.sampled_from(MASK_FORMS)),
    )
    frame = fuser.fuse(thermal, rgb)
    assert frame.image.shape == rgb.shape
    assert frame.mask.shape == rgb.shape[:2]
    assert frame.mask.min() >= 0
    assert frame.mask.max() <= 1


def test_the_settings_offer_what_a_fuser_takes():
    assert BY_NAME["mask.form"].choices == MASK_FORMS
    scale = BY_NAME["network.scale"]
    assert (scale.minimum, scale.maximum) == (MIN_SCALE, 1.0)


def test_options_reach_the_engine_and_the_fuser(random_weights):
    fuser = Fuser.from_options(
        weights=str(random_weights),
        size="tiny",
        engine="eager",
        device="cpu",
        precision="bf16",
        scale=0.5,
        mask_form="paper",
    )
    engine = fuser.engine
    assert (engine.name, engine.device, engine.precision) == ("eager", "cpu", "bf16")
    assert (fuser.scale, fuser.mask_form) == (0.5, "paper")


def test_scale_and_mask_form_may_change_between_pairs(engine):
    pair = smooth_pair()
    fuser = Fuser(engine)
    first = fuser.fuse(*pair)
    fuser.scale, fuser.mask_form = 0.5, "paper"
    assert fuser.fuse(*pair).scale == 0.5
    fuser.scale, fuser.mask_form = 1.0, "local"
    np.testing.assert_array_equal(fuser.fuse(*pair).mask, first.mask)


def test_a_missing_weights_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.safetensors: no such weights file"):
        Fuser.from_options(weights=tmp_path / "none.safetensors")


def test_weights_of_another_size_than_asked_for_are_refused(random_weights):
    with pytest.raises(ValueError, match="expected weights of size 'full', found size 'tiny'"):
        Fuser.from_options(weights=random_weights, size="full")


def test_a_size_without_shipped_weights_is_refused_with_what_to_do():
    with pytest.raises(FileNotFoundError, match=r"'full' are shipped .*name a weights file"):
        Fuser.from_options(size="full")


def test_what_cannot_run_here_is_told_as_such(random_weights):
    with pytest.raises(EngineUnavailableError, match="fp16 needs a CUDA device"):
        Fuser.from_options(weights=random_weights, device="cpu", precision="fp16")


def test_a_fuser_warms_up_without_a_camera(engine):
    fuser = Fuser(engine)
    before = fuser.fuse(*smooth_pair()).image
    fuser.warm_up()
    np.testing.assert_array_equal(fuser.fuse(*smooth_pair()).image, before)


def test_a_result_that_is_no_number_is_told_instead_of_shown_as_black():
    network = AMGFuse.from_size("tiny").eval()
    network.output_f.weight.data.fill_(float("nan"))
    thermal, rgb = smooth_pair(24, 32)
    with pytest.raises(EngineError, match=r"no numbers.*fp32"):
        Fuser(create_engine(network)).fuse(thermal, rgb)
