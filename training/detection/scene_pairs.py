"""Labelled pairs of the procedural street, in the layout of labelled recordings."""

from collections.abc import Iterable
from pathlib import Path

import cv2

from amg_fuse_ros.scenes import LABELS, Scene
from amg_fuse_ros.scenes.folders import label_lines
from amg_fuse_ros.scenes.lighting import TimeOfDay, Weather

FRAMES_A_STREET = 100
"""At most: more would share a scene's name with the next street."""
SECONDS_APART = 2.0
"""Between two frames of a street, so that they differ."""


def write_scene_pairs(
    out: Path,
    streets: Iterable[int],
    frames: int = 5,
    weather: Weather = "clear",
    time_of_day: TimeOfDay = "day",
    *,
    severity: float = 0.6,
    size: tuple[int, int] = (480, 640),
    least_visible: float = 0.25,
) -> int:
    """Write ``ir/``, ``vi/`` and ``labels/`` of as many streets, and ``classes.txt``.

    Stems are SSSSFF: street, frame. Every frame of a street is of one scene, so that
    ``split_by_scene`` never parts them.

    Args:
        out: Folder, created where it does not exist; its name becomes the data set's.
        streets: Their seeds, 0 or more.
        frames: Of each street, 1 to 100.
        weather: ``"clear"``, ``"fog"``, ``"rain"`` or ``"snow"``, in both pictures.
        time_of_day: ``"day"`` or ``"night"``.
        severity: Of the weather, 0 to 1.
        size: Height and width of the pictures in pixels.
        least_visible: Objects of which less is visible get no box.

    Returns:
        The number of pairs.

    Raises:
        ValueError: An argument is out of its range, or there are no streets.
        OSError: A picture could not be written.
    """
    if not 1 <= frames <= FRAMES_A_STREET:
        raise ValueError(f"frames is {frames}; expected 1 to {FRAMES_A_STREET}")
    streets = list(streets)
    if not streets:
        raise ValueError("no streets; expected at least one")
    for name in ("ir", "vi", "labels"):
        (out / name).mkdir(parents=True, exist_ok=True)
    (out / "classes.txt").write_text("".join(f"{label}\n" for label in LABELS), encoding="utf-8")
    for street in streets:
        scene = Scene(street, size[1], size[0], time_of_day, weather, severity)
        for frame in range(frames):
            pair = scene.frame(1.0 + SECONDS_APART * frame)
            stem = f"{street:04d}{frame:02d}"
            visible = cv2.cvtColor(pair.rgb, cv2.COLOR_RGB2BGR)
            for path, image in (
                (out / "ir" / f"{stem}.png", pair.thermal),
                (out / "vi" / f"{stem}.png", visible),
            ):
                if not cv2.imwrite(str(path), image):
                    raise OSError(f"could not write {path}")
            lines = label_lines(pair, least_visible)
            (out / "labels" / f"{stem}.txt").write_text("".join(lines), encoding="utf-8")
    return len(streets) * frames
