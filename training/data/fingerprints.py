"""What is known of a pair after one look at its files: size, content hash, how it looks."""

import hashlib
import json
import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from training.data.adapters import PairFiles
from training.data.images import THERMAL_FLAGS, check_sizes, decode, read_bytes

logger = logging.getLogger(__name__)

GRID = 12
"""Cells a side of the thumbnail whose brightness steps say how an image looks."""


@dataclass(frozen=True)
class Fingerprint:
    """One pair in short."""

    height: int
    width: int
    digest: str
    """SHA-256 over the content of the pair's files, hexadecimal."""
    look: str
    """The brightness steps of thermal and visible image, one bit each, hexadecimal."""


_known: dict[str, Fingerprint] = {}


def fingerprint_pairs(
    pairs: Sequence[PairFiles], cache: Path | None = None
) -> tuple[list[PairFiles], list[Fingerprint]]:
    """Read every file once; pairs that cannot be used are logged by name and left out.

    What was seen is remembered for this process, and in ``cache`` for later ones, until a file
    changes its size or its time.

    Args:
        pairs: The pairs to look at.
        cache: JSON file to remember in; created when missing, made anew when damaged.

    Returns:
        The usable pairs in their order, and their fingerprints.
    """
    if cache is not None:
        _known.update(_load(cache))
    before = len(_known)
    usable, prints = [], []
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        for files, result in zip(pairs, pool.map(_try_fingerprint, pairs), strict=True):
            if isinstance(result, ValueError):
                logger.warning("left out: %s", result)
            else:
                usable.append(files)
                prints.append(result)
    if cache is not None and (len(_known) != before or not cache.is_file()):
        _save(cache, pairs)
    return usable, prints


def _try_fingerprint(files: PairFiles) -> Fingerprint | ValueError:
    try:
        key = _key(files)
        if key not in _known:
            _known[key] = _fingerprint(files)
        return _known[key]
    except ValueError as error:
        return error


def _key(files: PairFiles) -> str:
    parts = []
    for path in files.paths:
        try:
            stat = path.stat()
        except OSError as error:
            raise ValueError(f"{path}: cannot be read ({error.strerror})") from error
        parts.append(f"{path.absolute()}:{stat.st_size}:{stat.st_mtime_ns}")
    return "|".join(parts)


def _fingerprint(files: PairFiles) -> Fingerprint:
    digest = hashlib.sha256()
    shapes: dict[str, tuple[int, ...]] = {}
    looks = []
    for path in files.paths:
        data = read_bytes(path)
        digest.update(data)
        image = decode(data, path, THERMAL_FLAGS)
        shapes[str(path)] = image.shape[:2]
        if path in (files.thermal, files.visible):
            looks.append(_brightness_steps(image))
    check_sizes(files, shapes)
    height, width = next(iter(shapes.values()))
    look = np.packbits(np.concatenate(looks)).tobytes().hex()
    return Fingerprint(height, width, digest.hexdigest(), look)


def _brightness_steps(image: NDArray) -> NDArray[np.bool_]:
    """Whether the thumbnail gets brighter to the right and downwards, cell by cell.

    Signs alone survive another exposure, gain, size or compression.
    """
    thumbnail = cv2.resize(image, (GRID + 1, GRID + 1), interpolation=cv2.INTER_AREA)
    thumbnail = thumbnail.astype(np.int32)
    right = thumbnail[:-1, 1:] > thumbnail[:-1, :-1]
    down = thumbnail[1:, :-1] > thumbnail[:-1, :-1]
    return np.concatenate([right.ravel(), down.ravel()])


def look_bits(prints: Sequence[Fingerprint]) -> NDArray[np.uint8]:
    """The looks as rows of bits, N x (4 GRID^2)."""
    packed = np.frombuffer(bytes.fromhex("".join(p.look for p in prints)), np.uint8)
    return np.unpackbits(packed.reshape(len(prints), -1), axis=1)


def _load(cache: Path) -> dict[str, Fingerprint]:
    try:
        entries = json.loads(cache.read_text())
        return {key: Fingerprint(**values) for key, values in entries.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        logger.warning("%s: cannot be used (%s), looking at all pairs again", cache, error)
        return {}


def _save(cache: Path, pairs: Sequence[PairFiles]) -> None:
    entries = {}
    for files in pairs:
        try:
            key = _key(files)
        except ValueError:
            continue
        if key in _known:
            entries[key] = asdict(_known[key])
    partial = cache.with_name(f"{cache.name}.{os.getpid()}.partial")
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(entries))
        partial.replace(cache)
    except OSError as error:
        logger.warning("%s: cannot be written (%s), going on without", cache, error)
        with suppress(OSError):
            partial.unlink()
