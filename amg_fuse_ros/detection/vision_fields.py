"""Detections as the fields of vision_msgs messages, in plain dictionaries.

Field names are those of vision_msgs 4 (ROS 2 Humble to Kilted): Detection2DArray (header,
detections), Detection2D (header, results, bbox, id), ObjectHypothesisWithPose (hypothesis, pose),
ObjectHypothesis (class_id, score), BoundingBox2D (center, size_x, size_y), Pose2D (position,
theta), Point2D (x, y), LabelInfo (header, class_map, threshold), VisionClass (class_id,
class_name) and VisionInfo (header, method, database_location, database_version).
"""

import json
from collections.abc import Mapping
from typing import Any

from amg_fuse_ros.detection.detections import Detections

Stamp = tuple[int, int]
"""Seconds and nanoseconds."""


def detection_array_fields(
    detections: Detections, frame_id: str, stamp: Stamp, *, named: bool = False
) -> dict[str, Any]:
    """The fields of a ``vision_msgs/Detection2DArray``, nested as the messages are.

    ``id`` is the track's id, empty without tracking. Poses stay at their defaults: an image says
    nothing of them.

    Args:
        detections: Of one image.
        frame_id: The image's.
        stamp: The image's.
        named: Whether ``class_id`` is the class's name. By default it is the class's number, as
            vision_msgs documents it, to be looked up in its LabelInfo or VisionInfo.
    """
    header = _header(frame_id, stamp)
    count = len(detections)
    return {
        "header": header,
        "detections": [_detection(detections, index, header, named) for index in range(count)],
    }


def label_info_fields(
    names: Mapping[int, str], confidence: float, frame_id: str, stamp: Stamp
) -> dict[str, Any]:
    """The fields of a ``vision_msgs/LabelInfo``: the names of the classes.

    Args:
        names: Class number to class name.
        confidence: Least score of what is reported.
        frame_id: The images'.
        stamp: When this became so.
    """
    classes = [{"class_id": number, "class_name": names[number]} for number in sorted(names)]
    return {"header": _header(frame_id, stamp), "class_map": classes, "threshold": confidence}


def vision_info_fields(
    method: str, names: Mapping[int, str], frame_id: str, stamp: Stamp
) -> dict[str, Any]:
    """The fields of a ``vision_msgs/VisionInfo``: which network, and what its classes are.

    Args:
        method: The network's name.
        names: Class number to class name; ``database_location`` holds them as a JSON object.
        frame_id: The images'.
        stamp: When this became so.
    """
    database = json.dumps({str(number): names[number] for number in sorted(names)})
    return {
        "header": _header(frame_id, stamp),
        "method": method,
        "database_location": database,
        "database_version": 0,
    }


def _header(frame_id: str, stamp: Stamp) -> dict[str, Any]:
    return {"stamp": {"sec": stamp[0], "nanosec": stamp[1]}, "frame_id": frame_id}


def _detection(
    detections: Detections, index: int, header: dict[str, Any], named: bool
) -> dict[str, Any]:
    x0, y0, x1, y1 = detections.boxes[index].tolist()
    class_id = detections.label(index) if named else str(int(detections.class_ids[index]))
    hypothesis = {"class_id": class_id, "score": float(detections.scores[index])}
    center = {"position": {"x": (x0 + x1) / 2, "y": (y0 + y1) / 2}, "theta": 0.0}
    ids = detections.track_ids
    return {
        "header": header,
        "results": [{"hypothesis": hypothesis}],
        "bbox": {"center": center, "size_x": x1 - x0, "size_y": y1 - y0},
        "id": "" if ids is None else str(int(ids[index])),
    }
