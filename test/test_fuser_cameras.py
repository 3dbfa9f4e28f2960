"""What a fuser knows of its cameras: the gain of a sequence, and where the thermal image lies."""

import numpy as np
import pytest
from one_camera import OneCamera, unit
from small_pairs import smooth_image, smooth_pair

from amg_fuse_ros.calibration_file import save_calibration
from amg_fuse_ros.engine import create_engine
from amg_fuse_ros.fusion import Fuser
from amg_fuse_ros.imaging.registration import Homography
from amg_fuse_ros.imaging.thermal import GainSettings, to_unit_range
from amg_fuse_ros.network import load_weights


def counts_of(level):
    """A 16-bit scene, and the same with something hot in it."""
    return (8000 + smooth_image(32, 40, top=1000, dtype=np.uint16) + level).astype(np.uint16)


def hot_scene():
    hot = counts_of(0)
    hot[5:20, 5:25] = 20000
    return hot


def test_pairs_are_taken_each_by_itself_unless_they_are_a_sequence():
    rgb = smooth_pair(32, 40)[1]
    engine = OneCamera("thermal")
    fuser, steady = Fuser(engine), Fuser(engine, steady=True)
    for one in (fuser, steady):
        one.fuse(counts_of(0), rgb)
        one.fuse(hot_scene(), rgb)
        one.after = engine.thermal
    np.testing.assert_array_equal(fuser.after, to_unit_range(hot_scene()))
    background = np.s_[25:, 30:]
    assert np.ptp(steady.after[background]) > 3 * np.ptp(fuser.after[background])
    steady.reset()
    steady.fuse(hot_scene(), rgb)
    np.testing.assert_array_equal(engine.thermal, to_unit_range(hot_scene()))


def test_the_gain_may_change_between_pairs():
    rgb = smooth_pair(32, 40)[1]
    engine = OneCamera("thermal")
    fuser = Fuser(engine, steady=True)
    fuser.fuse(counts_of(0), rgb)
    white = engine.thermal
    fuser.gain = GainSettings(polarity="black_hot")
    fuser.fuse(counts_of(0), rgb)
    np.testing.assert_allclose(engine.thermal, 1 - white, atol=1e-6)


def moved_right(pixels, rgb=(40, 32), thermal=(40, 32)):
    """RGB pixels lie ``pixels`` further right in the thermal image."""
    return Homography(rgb, thermal, np.array([[1.0, 0, pixels], [0, 1, 0], [0, 0, 1]]))


def test_a_calibrated_thermal_image_comes_onto_the_rgb_pixels():
    thermal, rgb = smooth_pair(32, 40)
    engine = OneCamera("thermal")
    Fuser(engine, calibration=moved_right(6)).fuse(thermal, rgb)
    np.testing.assert_allclose(engine.thermal[:, :-6], unit(thermal)[:, 6:], atol=1e-6)


def test_another_calibration_holds_from_the_next_pair_on():
    thermal, rgb = smooth_pair(32, 40)
    engine = OneCamera("thermal")
    fuser = Fuser(engine, calibration=moved_right(6))
    for pixels in (6, 3, 6):
        fuser.calibration = moved_right(pixels)
        fuser.fuse(thermal, rgb)
        expected = unit(thermal)[:, pixels:]
        np.testing.assert_allclose(engine.thermal[:, :-pixels], expected, atol=1e-6)
    fuser.calibration = None
    fuser.fuse(thermal, rgb)
    np.testing.assert_allclose(engine.thermal, unit(thermal), atol=1e-6)


def test_pixels_that_the_thermal_camera_does_not_see_are_the_rgb_images():
    thermal, rgb = smooth_pair(32, 40)
    frame = Fuser(OneCamera("thermal"), calibration=moved_right(6)).fuse(thermal, rgb)
    np.testing.assert_array_equal(frame.image[:, -6:], rgb[:, -6:])
    assert (frame.mask[:, -6:] == 1).all()
    assert not np.array_equal(frame.image[:, :-6], rgb[:, :-6])


def test_a_calibration_holds_at_other_scales_too(random_weights):
    engine = create_engine(load_weights(random_weights), "eager", "cpu")
    thermal, rgb = smooth_pair(32, 40)
    frame = Fuser(engine, scale=0.5, calibration=moved_right(6)).fuse(thermal, rgb)
    assert frame.image.shape == rgb.shape
    assert (frame.mask[:, -5:] == 1).all()


def test_a_calibration_is_named_by_its_file(tmp_path, random_weights):
    save_calibration(moved_right(6), tmp_path / "rig.yaml")
    options = {"weights": random_weights, "engine": "eager", "device": "cpu"}
    fuser = Fuser.from_options(**options, registration=tmp_path / "rig.yaml")
    assert (fuser.fuse(*smooth_pair(32, 40)).mask[:, -6:] == 1).all()
    with pytest.raises(FileNotFoundError, match=r"other\.yaml"):
        Fuser.from_options(**options, registration=tmp_path / "other.yaml")
