"""Detections in the layout of vision_msgs, field by field."""

import json

import numpy as np

from amg_fuse_ros.detection import (
    Detections,
    detection_array_fields,
    label_info_fields,
    vision_info_fields,
)

NAMES = {2: "car", 0: "person"}
STAMP = (12, 345)
HEADER = {"stamp": {"sec": 12, "nanosec": 345}, "frame_id": "thermal"}


def one(track_ids=None) -> Detections:
    return Detections(
        boxes=np.array([[10, 20, 40, 100]], np.float32),
        scores=np.array([0.75], np.float32),
        class_ids=np.array([2]),
        names=NAMES,
        track_ids=track_ids,
    )


def test_a_detection_has_every_field_of_detection2d():
    assert detection_array_fields(one(), "thermal", STAMP) == {
        "header": HEADER,
        "detections": [
            {
                "header": HEADER,
                "results": [{"hypothesis": {"class_id": "2", "score": 0.75}}],
                "bbox": {
                    "center": {"position": {"x": 25.0, "y": 60.0}, "theta": 0.0},
                    "size_x": 30.0,
                    "size_y": 80.0,
                },
                "id": "",
            }
        ],
    }


def test_tracks_give_the_id_and_names_the_class_where_asked_for():
    (found,) = detection_array_fields(one(np.array([7])), "thermal", STAMP, named=True)[
        "detections"
    ]
    assert found["id"] == "7"
    assert found["results"][0]["hypothesis"]["class_id"] == "car"


def test_no_detections_are_an_empty_list_under_the_images_header():
    none = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))
    assert detection_array_fields(none, "thermal", STAMP) == {"header": HEADER, "detections": []}


def test_only_plain_values_leave_so_that_messages_take_them():
    fields = detection_array_fields(one(np.array([7])), "thermal", STAMP)
    assert json.loads(json.dumps(fields)) == fields


def test_the_names_of_the_classes_travel_once_in_label_info_and_vision_info():
    assert label_info_fields(NAMES, 0.3, "thermal", STAMP) == {
        "header": HEADER,
        "class_map": [
            {"class_id": 0, "class_name": "person"},
            {"class_id": 2, "class_name": "car"},
        ],
        "threshold": 0.3,
    }
    info = vision_info_fields("yolo", NAMES, "thermal", STAMP)
    assert json.loads(info["database_location"]) == {"0": "person", "2": "car"}
    assert (info["method"], info["database_version"], info["header"]) == ("yolo", 0, HEADER)
