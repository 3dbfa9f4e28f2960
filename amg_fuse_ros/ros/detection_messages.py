"""Messages of vision_msgs from the fields that `amg_fuse_ros.detection` gives.

vision_msgs is imported when a node is configured: where it is not installed, the rest works.
"""

import json
import re
import zlib
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SEQUENCE = re.compile(r"sequence<(\w+)/(\w+)>")


def load_vision_messages() -> ModuleType:
    """The module of the messages.

    Raises:
        ModuleNotFoundError: vision_msgs is not installed, or its build does not fit this ROS.
    """
    try:
        import vision_msgs.msg
    except ImportError as error:
        raise ModuleNotFoundError(
            f"detections are messages of vision_msgs, which cannot be imported ({error}): install "
            "ros-$ROS_DISTRO-vision-msgs, or source the workspace that holds it",
            name="vision_msgs",
        ) from error
    module: ModuleType = vision_msgs.msg
    return module


def message_of(kind: type, fields: Mapping[str, Any]) -> Any:
    """A message with these values; what is not named keeps its default.

    Args:
        kind: The message's class.
        fields: Value by field name: a dictionary for a message, a list of dictionaries for a
            sequence of messages.
    """
    message = kind()
    _fill(message, fields)
    return message


def class_names(info: Any) -> dict[str, str]:
    """Class name by ``class_id``, of a ``VisionInfo`` of `detector_node`.

    Args:
        info: Its ``database_location`` holds a JSON object; empty is what others give.
    """
    try:
        names = json.loads(info.database_location)
    except (ValueError, RecursionError):  # another detector's: the place of a database
        return {}
    return {str(key): str(name) for key, name in names.items()} if isinstance(names, dict) else {}


def boxes_of(
    array: Any, names: Mapping[str, str]
) -> tuple[NDArray[np.float32], list[str], list[int]]:
    """What a ``Detection2DArray`` says, to be drawn.

    Args:
        array: Of any detector.
        names: Class name by ``class_id``; one that is not there is taken for the name itself.

    Returns:
        Boxes, N 4: x0, y0, x1, y1; a caption for each, ``car #7 83%``; a class number for each.
    """
    boxes, captions, numbers = np.zeros((len(array.detections), 4), np.float32), [], []
    for box, detection in zip(boxes, array.detections, strict=True):
        center, size = (
            detection.bbox.center.position,
            (detection.bbox.size_x, detection.bbox.size_y),
        )
        box[:2] = center.x - size[0] / 2, center.y - size[1] / 2
        box[2:] = center.x + size[0] / 2, center.y + size[1] / 2
        best = max((r.hypothesis for r in detection.results), key=lambda h: h.score, default=None)
        class_id = best.class_id if best is not None else ""
        words = [names.get(class_id, class_id), f"#{detection.id}" if detection.id else ""]
        words.append(f"{100 * best.score:.0f}%" if best is not None else "")
        captions.append(" ".join(word for word in words if word))
        numbers.append(_number_of(class_id))
    return boxes, captions, numbers


def _number_of(class_id: str) -> int:
    if class_id.isdecimal() and len(class_id) < 10:
        return int(class_id) % 2**16
    return zlib.crc32(class_id.encode()) % 2**16


def _fill(message: Any, fields: Mapping[str, Any]) -> None:
    for name, value in fields.items():
        if isinstance(value, Mapping):
            _fill(getattr(message, name), value)
        elif isinstance(value, list):
            kind = _element_kind(message.get_fields_and_field_types()[name])
            setattr(message, name, [message_of(kind, element) for element in value])
        else:
            setattr(message, name, value)


@cache
def _element_kind(field_type: str) -> type:
    found = _SEQUENCE.fullmatch(field_type)
    if found is None:
        raise TypeError(f"{field_type} is no sequence of messages")
    package, name = found.groups()
    kind: type = getattr(import_module(f"{package}.msg"), name)
    return kind
