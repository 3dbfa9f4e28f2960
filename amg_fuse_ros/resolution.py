"""A frame's width and height, as people write them."""

import re
from typing import NamedTuple

LEAST_SIDE = 16


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
        match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text.strip())
        if not match or min(map(int, match.groups())) < LEAST_SIDE:
            raise ValueError(
                f"expected a resolution as 640x480, of {LEAST_SIDE} or more, found {text!r}"
            )
        return cls(int(match[1]), int(match[2]))
