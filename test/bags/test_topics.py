"""The camera pair of a bag is found by name and encoding, or the question is handed back."""

import numpy as np
import pytest
from bag_making import RGB, START_NS, THERMAL, image, pairs, record, serialised

from amg_fuse_ros.bags import BagError, CameraModel, Header, Recording, Topics, guess_topics
from amg_fuse_ros.bags.writing import camera_info_message

PIXELS = {
    "mono8": np.zeros((4, 6), np.uint8),
    "mono16": np.zeros((4, 6), np.uint16),
    "rgb8": np.zeros((4, 6, 3), np.uint8),
    "32FC1": np.zeros((4, 6), np.float32),
}


def info(topic):
    model = CameraModel([500, 0, 320, 0, 500, 240, 0, 0, 1])
    message = camera_info_message(model, 6, 4, Header(START_NS, "camera"))
    return serialised(topic, message, START_NS)


def guess(tmp_path, topics, infos=(), **known):
    messages = [image(topic, 0, PIXELS[encoding], encoding) for topic, encoding in topics.items()]
    bag = record(tmp_path / "bag", [*messages, *map(info, infos)])
    with Recording(bag) as recording:
        return guess_topics(recording, **known)


@pytest.mark.parametrize(
    ("thermal", "rgb"),
    [
        ("/thermal/image_raw", "/rgb/image_raw"),
        ("/thermal_camera/image_raw", "/camera/image_raw"),
        ("/camera/ir/image_raw", "/camera/color/image_raw"),
        ("/flir_boson/image_raw", "/zed/left_color/image_rect"),
        ("/vehicle/lwir0/image", "/vehicle/visible0/image"),
        ("/hadron/thermal/image_raw", "/hadron/rgb/image_raw"),
        ("/thermalcam/image", "/webcam/image"),
        ("/flirBoson/image", "/frontCam/image"),
        ("/sensors/IR/image", "/sensors/EO/image"),
        ("/infrared", "/front/image_raw"),
    ],
)
def test_names_tell_thermal_from_visible(tmp_path, thermal, rgb):
    topics = {thermal: "mono8", rgb: "rgb8"}
    assert guess(tmp_path, topics) == Topics(thermal, rgb, None)


@pytest.mark.parametrize("encoding", ["mono8", "mono16"])
def test_where_names_say_nothing_the_grey_stream_is_thermal(tmp_path, encoding):
    topics = {"/cam0/image_raw": "rgb8", "/cam1/image_raw": encoding}
    assert guess(tmp_path, topics) == Topics("/cam1/image_raw", "/cam0/image_raw")


def test_a_grey_camera_that_is_called_rgb_is_still_the_visible_one(tmp_path):
    topics = {"/rgb/image_raw": "mono8", "/sensor/image_raw": "mono16"}
    assert guess(tmp_path, topics) == Topics("/sensor/image_raw", "/rgb/image_raw")


def test_depth_masks_and_earlier_results_are_passed_over(tmp_path):
    topics = {
        "/camera/aligned_depth_to_color/image_raw": "mono16",
        "/camera/color/image_raw": "rgb8",
        "/fused/image": "rgb8",
        "/fused/mask": "32FC1",
        "/thermal/debug_overlay": "rgb8",
        "/thermal/image_raw": "mono16",
    }
    assert guess(tmp_path, topics) == Topics("/thermal/image_raw", "/camera/color/image_raw")


def test_of_several_topics_of_one_camera_the_raw_one_is_taken(tmp_path):
    topics = {
        "/rgb/image_rect": "rgb8",
        "/rgb/image_raw": "rgb8",
        "/thermal/image_raw": "mono16",
        "/thermal/image_8bit": "mono8",
    }
    assert guess(tmp_path, topics) == Topics("/thermal/image_raw", "/rgb/image_raw")


def test_the_camera_info_beside_the_visible_image_comes_along(tmp_path):
    topics = {THERMAL: "mono8", RGB: "rgb8"}
    infos = ["/rgb/camera_info", "/thermal/camera_info"]
    assert guess(tmp_path, topics, infos).rgb_info == "/rgb/camera_info"


def test_a_topic_that_is_told_is_not_guessed(tmp_path):
    topics = {"/left/image_raw": "rgb8", "/right/image_raw": "rgb8", "/lwir/image": "mono8"}
    with pytest.raises(BagError, match=r"could be rgb: /left.*, /right"):
        guess(tmp_path / "a", topics)
    found = guess(tmp_path / "b", topics, rgb="/right/image_raw")
    assert found == Topics("/lwir/image", "/right/image_raw")


@pytest.mark.parametrize(
    ("topics", "complaint"),
    [
        ({}, "no topic looks like thermal. Image topics in the bag: none"),
        ({"/rgb/image_raw": "rgb8"}, "no topic looks like thermal"),
        ({"/thermal/image_raw": "mono8"}, "no topic looks like rgb"),
        ({"/a/image": "rgb8", "/b/image": "rgb8"}, "no topic looks like thermal"),
        ({"/a/image": "mono8", "/b/image": "mono16"}, "several topics could be thermal: /a"),
        (
            {"/flir/image": "mono8", "/boson/image": "mono8", "/rgb": "rgb8"},
            "several topics could be thermal: /boson/image, /flir/image",
        ),
    ],
)
def test_an_unclear_bag_lists_its_image_topics_and_asks(tmp_path, topics, complaint):
    with pytest.raises(BagError, match=complaint) as error:
        guess(tmp_path, topics)
    assert "Pass the thermal and the rgb topic by name" in str(error.value)
    assert all(f"{topic} (1)" in str(error.value) for topic in topics)


def test_a_wrong_name_is_answered_with_the_right_ones(tmp_path):
    bag = record(tmp_path / "bag", pairs(2))
    with Recording(bag) as recording, pytest.raises(BagError) as error:
        guess_topics(recording, thermal="/thermal")
    assert "no image topic '/thermal' for thermal" in str(error.value)
    assert "/thermal/image_raw (2)" in str(error.value)


def test_one_topic_cannot_be_both(tmp_path):
    bag = record(tmp_path / "bag", pairs(2))
    with Recording(bag) as recording, pytest.raises(BagError, match="are the same topic"):
        guess_topics(recording, thermal=RGB, rgb=RGB)
