"""A frame's width and height, as people write them."""

import re
from typing import NamedTuple

LEAST_SIDE = 16

WORDS = f"a resolution as 640x480, of {LEAST_SIDE} or more"

_SIDE = "(1[6-9]|[2-9][0-9]|[1-9][0-9]{2,4})"
PATTERN = f"{_SIDE}x{_SIDE}"
"""A regular expression for what `Resolution.parse` takes, as JSON schemas understand it."""


class Resolution(NamedTuple):
    """In pixels; shown as ``640x480``."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"

    @classmethod
    def parse(cls, text: str) -> "Resolution":
        """Read ``WIDTHxHEIGHT``.

        Raises:
            ValueError: If it is none, or a side is shorter than 16 pixels.
        """
        match = re.fullmatch(PATTERN, text.strip())
        if not match:
            raise ValueError(f"expected {WORDS}, found {text!r}")
        return cls(int(match[1]), int(match[2]))
