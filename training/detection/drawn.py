"""Parts of procedural streets, drawn in weather."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from amg_fuse_ros.scenes import LABELS, Scene
from amg_fuse_ros.scenes.folders import label_lines
from amg_fuse_ros.scenes.lighting import TimeOfDay, Weather
from training.detection.parts import (
    DRAWN_WEATHERS,
    LabelledPair,
    PairSettings,
    PairsReport,
    check_weathers,
    finish_parts,
    known_parts,
    parts_card,
    write_part,
)
from training.detection.scene_pairs import SECONDS_APART

LEAST_VISIBLE = 0.25
"""Objects of which less is visible get no box."""
FIRST_TEST_STREET = 5000


def drawn_parts(
    out: Path,
    settings: PairSettings,
    streets: int = 60,
    test_streets: int = 30,
    frames: int = 3,
    *,
    segmented: bool = False,
) -> PairsReport:
    """Make the parts of procedural streets, or keep those that are there and made alike.

    Every training street is drawn in one weather, in turn; every test street in each.

    Args:
        out: Folder for the parts.
        settings: Of the pairs; ``versions`` has no meaning here.
        streets: How many to train and validate on.
        test_streets: How many others to test on.
        frames: Of each street.
        segmented: Whether ``classes/`` shall say of every pixel what it shows: 0 nothing with a
            name, else 1 + the class's number.

    Raises:
        ValueError: A class or weather is not known, a number is below 1, or ``out`` holds pairs
            of other settings.
        OSError: Something cannot be written.
    """
    check_weathers(settings, DRAWN_WEATHERS)
    if unknown := [name for name in settings.classes if name not in LABELS]:
        raise ValueError(f"no class {', '.join(unknown)}; streets have {', '.join(LABELS)}")
    if streets < 2 or test_streets < 1 or frames < 1:
        raise ValueError("expected 2 or more streets, 1 or more to test on and 1 or more frames")
    more = {"segmented": True} if segmented else {}
    card = parts_card(settings, drawn=[streets, test_streets, frames], **more)
    if known := known_parts(out, card):
        return known
    report = PairsReport()
    held_out = max(1, round(settings.validation_share * streets))

    def in_turn(first: int, last: int) -> Iterator[LabelledPair]:
        for street in range(first, last):
            weather = settings.weathers[street % len(settings.weathers)]
            yield from _drawn(street, frames, weather, settings, segmented)

    write_part(out, "train", in_turn(0, streets - held_out), settings, report)
    write_part(out, "val", in_turn(streets - held_out, streets), settings, report)
    for weather in settings.weathers:
        tested = range(FIRST_TEST_STREET, FIRST_TEST_STREET + test_streets)
        pairs = (
            p for street in tested for p in _drawn(street, frames, weather, settings, segmented)
        )
        write_part(out, weather, pairs, settings, report)
    finish_parts(out, card, report)
    return report


def _drawn(
    street: int, frames: int, weather: str, settings: PairSettings, segmented: bool
) -> Iterator[LabelledPair]:
    by_night: TimeOfDay = "night" if weather == "night" else "day"
    air: Weather = weather if weather in ("fog", "rain", "snow") else "clear"  # type: ignore[assignment]
    scene = Scene(street, settings.side, settings.side * 3 // 4, by_night, air)
    numbers = np.array(
        [0, *(settings.classes.index(n) + 1 if n in settings.classes else 0 for n in LABELS)],
        np.uint8,
    )
    for frame in range(frames):
        pair = scene.frame(1.0 + SECONDS_APART * frame)
        lines = [
            f"{settings.classes.index(LABELS[int(number)])} {place}"
            for number, place in (line.split(" ", 1) for line in label_lines(pair, LEAST_VISIBLE))
            if LABELS[int(number)] in settings.classes
        ]
        classes = numbers[pair.classes] if segmented else None
        name = f"{street:04d}{frame:02d}"
        yield LabelledPair(name, pair.thermal, pair.rgb, "".join(lines), classes)
