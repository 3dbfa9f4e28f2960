"""YAML from outside, bounded before anything is built of it.

A safe loader runs no code, but a kilobyte of aliases of aliases stands for gigabytes, and a deep
nest ends in the interpreter's recursion. Both are counted here from the parser's events, which is
linear in the text.
"""

from typing import Any

import yaml

MAX_CHARACTERS = 1 << 20
"""Of values, with aliases written out; a calibration has a few hundred."""

MAX_DEPTH = 40

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class PlainYamlError(ValueError):
    """Text that is no YAML, or stands for more than it may."""


def load_yaml(text: str, max_characters: int = MAX_CHARACTERS) -> Any:
    """Plain values from a text: numbers, strings, lists and dicts.

    Args:
        text: One YAML document.
        max_characters: The most it may stand for, with aliases written out.

    Raises:
        PlainYamlError: If it is no YAML, has other types, or stands for more.
    """
    check_yaml(text, max_characters)
    try:
        return yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, ValueError, OverflowError, TypeError) as error:
        raise PlainYamlError(f"expected YAML, found something else ({error})") from error


def check_yaml(text: str, max_characters: int = MAX_CHARACTERS) -> None:
    """Refuses YAML that stands for too much.

    Args:
        text: One YAML document.
        max_characters: The most it may stand for, with aliases written out.

    Raises:
        PlainYamlError: If it does, or is no YAML.
    """
    anchors: dict[str, int] = {}
    open_nodes: list[tuple[str | None, int]] = []
    size = 0
    try:
        for event in yaml.parse(text, Loader=_Loader):
            if isinstance(event, yaml.AliasEvent):
                # An anchor that is still open is not known yet: the node would hold itself.
                if event.anchor not in anchors:
                    raise PlainYamlError(f"alias *{event.anchor} has no anchor before it")
                size += anchors[event.anchor]
            elif isinstance(event, yaml.ScalarEvent):
                length = 1 + len(event.value)
                size += length
                if event.anchor is not None:
                    anchors[event.anchor] = length
            elif isinstance(event, yaml.CollectionStartEvent):
                open_nodes.append((event.anchor, size))
                size += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                anchor, before = open_nodes.pop()
                if anchor is not None:
                    anchors[anchor] = size - before
            if size > max_characters:
                raise PlainYamlError(f"it stands for more than {max_characters} characters")
            if len(open_nodes) > MAX_DEPTH:
                raise PlainYamlError(f"it is nested more than {MAX_DEPTH} deep")
    except yaml.YAMLError as error:
        raise PlainYamlError(f"expected YAML, found something else ({error})") from error
