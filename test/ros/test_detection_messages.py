"""Messages of vision_msgs, made and read."""

import numpy as np
import pytest

pytestmark = [pytest.mark.ros, pytest.mark.usefixtures("vision_msgs")]


@pytest.fixture
def array():
    from vision_msgs.msg import Detection2DArray

    from amg_fuse_ros.detection import Detections, detection_array_fields
    from amg_fuse_ros.ros.detection_messages import message_of

    found = Detections(
        np.array([[10, 20, 40, 100], [0, 0, 8, 8]], np.float32),
        np.array([0.75, 0.5], np.float32),
        np.array([2, 0]),
        {0: "person", 2: "car"},
        track_ids=np.array([7, 1]),
    )
    return message_of(Detection2DArray, detection_array_fields(found, "lwir", (12, 345)))


def test_fields_become_a_message(array):
    assert (array.header.frame_id, array.header.stamp.nanosec) == ("lwir", 345)
    first, second = array.detections
    assert first.header == array.header
    assert (first.bbox.center.position.y, first.bbox.size_y, first.id) == (60.0, 80.0, "7")
    assert second.results[0].hypothesis.class_id == "0"


def test_a_message_is_read_back_with_the_names_of_its_classes(array):
    from amg_fuse_ros.ros.detection_messages import boxes_of

    boxes, captions, numbers = boxes_of(array, {"2": "car"})
    np.testing.assert_array_equal(boxes, [[10, 20, 40, 100], [0, 0, 8, 8]])
    assert captions == ["car #7 75%", "0 #1 50%"]
    assert numbers == [2, 0]


def test_a_detection_that_says_nothing_of_its_class_is_read_too(array):
    from amg_fuse_ros.ros.detection_messages import boxes_of

    array.detections[0].results = []
    for class_id in ("tram", "9" * 5000):
        array.detections[1].results[0].hypothesis.class_id = class_id
        _, captions, numbers = boxes_of(array, {})
        assert captions == ["#7", f"{class_id} #1 50%"]
        assert all(0 <= number < 2**16 for number in numbers)


@pytest.mark.parametrize("text", ["/srv/coco.db", "", "[1, 2]", "[" * 100_000])
def test_names_that_another_detector_keeps_elsewhere_are_none(text):
    from vision_msgs.msg import VisionInfo

    from amg_fuse_ros.ros.detection_messages import class_names

    assert class_names(VisionInfo(database_location=text)) == {}
