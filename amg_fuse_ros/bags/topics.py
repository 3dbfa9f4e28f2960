"""Which topics of a bag are the thermal and the visible camera."""

import re
from typing import NamedTuple

from amg_fuse_ros.bags.recording import CAMERA_INFO, IMAGE, BagError, MessageError, Recording
from amg_fuse_ros.image_encoding import RGB_ENCODINGS

THERMAL, VISIBLE, CAMERA, OTHER = "thermal", "visible", "camera", "other"

WORDS = {
    THERMAL: "thermal thermo ir infrared infra lwir mwir temperature "
    "flir boson lepton tau seek optris xenics hikmicro hadron",
    VISIBLE: "rgb bgr color colour visible visual vis vi eo bayer",
    CAMERA: "cam camera webcam",
    OTHER: "depth disparity mask fused fusion debug overlay confidence segmentation semantic "
    "detections annotated",
}
MEANING = {word: meaning for meaning, words in WORDS.items() for word in words.split()}
GREY = frozenset({"mono8", "8UC1", "mono16", "16UC1"})
SHORTEST_PART = 4
"""Words at least this long also count inside a longer one: ``thermal`` in ``thermalcam``."""


class Topics(NamedTuple):
    """The topics of a camera pair."""

    thermal: str
    rgb: str
    rgb_info: str | None = None
    """CameraInfo of the visible camera, where it is recorded."""


def guess_topics(
    recording: Recording, *, thermal: str | None = None, rgb: str | None = None
) -> Topics:
    """Finds the thermal and the visible image topic of a bag.

    Names decide first (``thermal``, ``ir``, ``flir``... against ``rgb``, ``color``, ``camera``...),
    then the encodings of the first images: 16-bit or grey against colour.

    Args:
        recording: The opened bag.
        thermal: The thermal topic, if it is known.
        rgb: The visible topic, if it is known.

    Returns:
        The pair, with the CameraInfo topic beside the visible one.

    Raises:
        BagError: If the answer is not clear; lists the image topics and what to pass.
    """
    images = recording.topics(IMAGE)
    for role, topic in (("thermal", thermal), ("rgb", rgb)):
        if topic is not None and topic not in images:
            raise BagError(_unclear(recording, f"there is no image topic {topic!r} for {role}"))

    known = {topic for topic in (thermal, rgb) if topic is not None}
    meaning = {topic: _meaning(topic) for topic in images if topic not in known}
    named_thermal = [topic for topic, what in meaning.items() if what == THERMAL]
    others = [topic for topic, what in meaning.items() if what not in {THERMAL, OTHER}]
    if thermal is None:
        thermal = _only(recording, named_thermal or _grey(recording, others), "thermal")
    if rgb is None:
        others = [topic for topic in others if topic != thermal]
        visible = [topic for topic in others if meaning[topic] == VISIBLE]
        cameras = [topic for topic in others if meaning[topic] == CAMERA]
        choices = visible or cameras or _coloured(recording, others) or others
        rgb = _only(recording, choices, "rgb")
    if thermal == rgb:
        raise BagError(_unclear(recording, f"thermal and rgb are the same topic {thermal!r}"))

    info = rgb.rpartition("/")[0] + "/camera_info"
    return Topics(thermal, rgb, info if info in recording.topics(CAMERA_INFO) else None)


def _meaning(topic: str) -> str:
    """What a topic's name says: the last word that tells, ``/hadron/rgb/image_raw`` is visible.

    Any word for something else than a camera image decides at once; ``camera`` only if no other
    word tells, since thermal cameras are cameras.
    """
    found = []
    for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", topic):
        part = word.lower()
        inside = (known for known in MEANING if len(known) >= SHORTEST_PART and known in part)
        known = part if part in MEANING else next(inside, None)
        if known is not None:
            found.append(MEANING[known])
    if OTHER in found:
        return OTHER
    telling = [what for what in found if what != CAMERA]
    return (telling or found or [""])[-1]


def _grey(recording: Recording, topics: list[str]) -> list[str]:
    """Topics whose images have one channel; those named like a visible camera only if need be."""
    grey = [topic for topic in topics if _first_encoding(recording, topic) in GREY]
    return [topic for topic in grey if _meaning(topic) not in {VISIBLE, CAMERA}] or grey


def _coloured(recording: Recording, topics: list[str]) -> list[str]:
    return [t for t in topics if _first_encoding(recording, t) in RGB_ENCODINGS.keys() - GREY]


def _first_encoding(recording: Recording, topic: str) -> str:
    try:
        message = next(recording.messages([topic], [IMAGE]), None)
        return recording.decode(message).encoding if message else ""
    except (BagError, MessageError):
        return ""


def _only(recording: Recording, candidates: list[str], role: str) -> str:
    """The one candidate; among several, the one that carries the raw image."""
    raw = [topic for topic in candidates if topic.endswith("/image_raw")]
    for choice in (candidates, raw):
        if len(choice) == 1:
            return choice[0]
    several = f"several topics could be {role}: {', '.join(candidates)}"
    raise BagError(_unclear(recording, several if candidates else f"no topic looks like {role}"))


def _unclear(recording: Recording, reason: str) -> str:
    images = recording.topics(IMAGE)
    found = ", ".join(f"{topic} ({count})" for topic, count in images.items()) or "none"
    compressed = recording.topics("sensor_msgs/msg/CompressedImage")
    hint = f"; compressed topics are not read here: {', '.join(compressed)}" if compressed else ""
    return (
        f"{recording.path}: {reason}. Image topics in the bag: {found}{hint}. "
        "Pass the thermal and the rgb topic by name."
    )
