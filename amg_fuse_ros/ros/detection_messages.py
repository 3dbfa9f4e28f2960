"""Messages of vision_msgs from the fields that `amg_fuse_ros.detection` gives.

vision_msgs is imported when a node is configured: where it is not installed, the rest works.
"""

import re
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

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
