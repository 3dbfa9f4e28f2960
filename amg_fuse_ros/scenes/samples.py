"""Pairs to try things with: three kinds of weather, drawn the same every time."""

import numpy as np
from numpy.typing import NDArray

from amg_fuse_ros.scenes.lighting import TimeOfDay, Weather
from amg_fuse_ros.scenes.scene import Scene

_CONDITIONS: tuple[tuple[TimeOfDay, Weather], ...] = (
    ("day", "fog"),
    ("night", "rain"),
    ("day", "snow"),
)


def sample_pairs(
    count: int, width: int = 640, height: int = 480
) -> list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Draw street pairs: fog by day, rain at night, snow by day, and so on.

    Args:
        count: How many.
        width: In pixels, 16 or more.
        height: In pixels, 16 or more.

    Returns:
        Thermal (H W, uint8) and RGB (H W 3, uint8) of each.
    """
    pairs = []
    for number in range(count):
        time_of_day, weather = _CONDITIONS[number % len(_CONDITIONS)]
        scene = Scene(number, width, height, time_of_day=time_of_day, weather=weather)
        frame = scene.frame(1.0 + number)
        pairs.append((frame.thermal, frame.rgb))
    return pairs
