"""Which topics of a bag are the thermal and the visible camera."""

import re
from typing import NamedTuple

from amg_fuse_ros.bags.recording import (
    CAMERA_INFO,
    COMPRESSED_IMAGE,
    IMAGE_TYPES,
    BagError,
    MessageError,
    Recording,
)
from amg_fuse_ros.compressed_encoding import compressed_header
from amg_fuse_ros.image_encoding import RGB_ENCODINGS, ImageEncodingError

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

COMPRESSED = "/compressed"
"""What image_transport appends to a camera's topic for its compressed images."""


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
    then the encodings of the first images: 16-bit or grey against colour. Where a camera was
    recorded raw and compressed, the raw images are taken.

    Args:
        recording: The opened bag.
        thermal: The thermal topic, if it is known; of a camera that was recorded compressed only,
            the topic without ``/compressed`` will do.
        rgb: The same of the visible camera.

    Returns:
        The pair, with the CameraInfo topic beside the visible one.

    Raises:
        BagError: If the answer is not clear; lists the image topics and what to pass.
    """
    images = recording.image_topics()
    thermal = _recorded(recording, thermal, "thermal")
    rgb = _recorded(recording, rgb, "rgb")
    doubled = {t for t in images if t.endswith(COMPRESSED) and images.get(_raw(t))}
    known = {topic for topic in (thermal, rgb) if topic is not None}
    meaning = {topic: _meaning(topic) for topic in images if topic not in known | doubled}
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

    info = camera_of(rgb) + "/camera_info"
    return Topics(thermal, rgb, info if info in recording.topics(CAMERA_INFO) else None)


def camera_of(topic: str) -> str:
    """The namespace of a camera's topics: ``/rgb`` of ``/rgb/image_raw/compressed``.

    Args:
        topic: A topic with images, raw or compressed.

    Returns:
        What stands before the last part of the raw images' topic.
    """
    return _raw(topic).rpartition("/")[0]


def _raw(topic: str) -> str:
    return topic.removesuffix(COMPRESSED)


def _recorded(recording: Recording, topic: str | None, role: str) -> str | None:
    """The topic that was named, or its compressed images where only those were recorded."""
    images = recording.image_topics()
    if topic is None or topic in images:
        return topic
    if topic + COMPRESSED in images:
        return topic + COMPRESSED
    raise BagError(_unclear(recording, f"there is no image topic {topic!r} for {role}"))


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
        raw = next(recording.messages([topic], IMAGE_TYPES), None)
        if raw is None:
            return ""
        message = recording.decode(raw)
        if raw.msgtype != COMPRESSED_IMAGE:
            return message.encoding
        grey = compressed_header(message).channels == 1 and "bayer" not in message.format
        return "mono8" if grey else "rgb8"
    except (BagError, MessageError, ImageEncodingError):
        return ""


def _only(recording: Recording, candidates: list[str], role: str) -> str:
    """The one candidate; among several, the one that carries the raw image."""
    raw = [topic for topic in candidates if _raw(topic).endswith("/image_raw")]
    for choice in (candidates, raw):
        if len(choice) == 1:
            return choice[0]
    several = f"several topics could be {role}: {', '.join(candidates)}"
    raise BagError(_unclear(recording, several if candidates else f"no topic looks like {role}"))


def _unclear(recording: Recording, reason: str) -> str:
    images = recording.image_topics()
    found = ", ".join(f"{topic} ({count})" for topic, count in images.items()) or "none"
    return (
        f"{recording.path}: {reason}. Image topics in the bag: {found}. "
        "Pass the thermal and the rgb topic by name."
    )
