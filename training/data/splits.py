"""Split pairs into training and validation by scene, and say what a set of pairs holds."""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.data.adapters import PairFiles
from training.data.fingerprints import fingerprint_pairs, look_bits

logger = logging.getLogger(__name__)

SAME_LOOK = 0.28
"""Share of differing brightness steps up to which two pairs are taken for one scene.

Frames of one fixed camera differ by 0.20 from their nearest, copies of one frame by less than
0.05, pairs of different places by 0.49 on average and 0.04 in standard deviation. Taking two
scenes for one costs next to nothing, the contrary lets training see the validation scenes.
"""
LARGEST_SHARE = 1 / 3
"""A scene of more than this share of all pairs is never held out."""

_ROWS = 256


def merge_lookalikes(
    pairs: Sequence[PairFiles], cache: Path | None = None, limit: float = SAME_LOOK
) -> tuple[list[PairFiles], dict[str, str]]:
    """Give scenes that hold nearly the same picture one name, across data sets.

    Public data sets borrow frames from each other (AWMM-100k from RoadScene, MSRS, M3FD and
    LLVIP), and numbers say nothing about a second drive through the same street.

    Args:
        pairs: Pairs with the scenes that their file names suggest.
        cache: Passed on to :func:`fingerprint_pairs`.
        limit: Share of differing brightness steps up to which two pairs show one scene.

    Returns:
        The readable pairs in their order, a merged scene under the first of its names; and the
        name that each former scene goes by.
    """
    usable, prints = fingerprint_pairs(pairs, cache)
    parents = {files.scene: files.scene for files in usable}

    def head(scene: str) -> str:
        while parents[scene] != scene:
            scene = parents[scene]
        return scene

    for i, j in _alike(look_bits(prints), limit) if usable else ():
        first, second = sorted((head(usable[i].scene), head(usable[j].scene)))
        if first != second:
            logger.info("%s shows the scene of %s", usable[j].name, usable[i].name)
            parents[second] = first
    heads = {scene: head(scene) for scene in parents}
    return [replace(files, scene=heads[files.scene]) for files in usable], heads


def _alike(bits: NDArray[np.uint8], limit: float) -> Iterator[tuple[int, int]]:
    """Numbers of the rows that differ in at most the share ``limit`` of their bits."""
    # Of signs +1 and -1 the product sums to length - 2 x differing: a matrix product counts all.
    signs = bits.astype(np.float32) * 2 - 1
    least = signs.shape[1] * (1 - 2 * limit)
    for top in range(0, len(signs), _ROWS):
        products = signs[top : top + _ROWS] @ signs[top:].T
        for i, j in np.argwhere(products >= least):
            if i < j:
                yield top + int(i), top + int(j)


def split_by_scene(
    pairs: Sequence[PairFiles], validation_share: float = 0.06, cache: Path | None = None
) -> tuple[list[PairFiles], list[PairFiles]]:
    """Training and validation pairs; no scene is on both sides, the same split every time.

    Scenes are what the file names suggest, joined where pictures look alike. Pairs that cannot be
    read are logged by name and on neither side.

    Args:
        pairs: All pairs.
        validation_share: Share of the pairs to hold out; only whole scenes are, so that it is
            met roughly. Where every scene is larger, the smallest is held out if it has at most a
            third of the pairs; else none, with a warning.
        cache: JSON file that spares a second look at the images (:func:`fingerprint_pairs`).
    """
    merged, heads = merge_lookalikes(pairs, cache)
    sizes: dict[str, int] = {}
    for files in merged:
        sizes[files.scene] = sizes.get(files.scene, 0) + 1
    wanted = validation_share * len(merged)
    # The order is drawn over the names before merging: a merge moves no other scene.
    ordered = sorted({files.scene for files in pairs})
    rng = np.random.default_rng(20_240_606)
    held_out: set[str] = set()
    count = 0
    for index in rng.permutation(len(ordered)):
        scene = heads.get(ordered[index])
        if count >= wanted:
            break
        if scene is not None and scene not in held_out and sizes[scene] <= wanted:
            held_out.add(scene)
            count += sizes[scene]
    if wanted > 0 and not held_out:
        held_out = _smallest(sizes)
    training = [files for files in merged if files.scene not in held_out]
    validation = [files for files in merged if files.scene in held_out]
    logger.info(
        "%d pairs to train on, %d to validate: %s",
        len(training),
        len(validation),
        ", ".join(files.name for files in validation),
    )
    return training, validation


def _smallest(sizes: dict[str, int]) -> set[str]:
    scene = min(sorted(sizes), key=sizes.__getitem__, default=None)
    total = sum(sizes.values())
    if scene is not None and sizes[scene] <= LARGEST_SHARE * total:
        return {scene}
    logger.warning(
        "no validation pairs: %d pairs of %d scenes, none of at most a third of them; "
        "add recordings of other places",
        total,
        len(sizes),
    )
    return set()


def manifest(pairs: Sequence[PairFiles], cache: Path | None = None) -> dict[str, Any]:
    """What a set of pairs holds, for the card of the weights trained on it.

    Returns:
        ``pairs`` and ``scenes`` (counts), ``digest`` (16 hexadecimal digits over names and file
        contents, independent of the order), and under ``datasets`` the same for each data set,
        with ``degraded``: how many of its pairs come with degraded images. JSON-ready.
    """
    usable, prints = fingerprint_pairs(pairs, cache)
    lines: dict[str, list[str]] = {}
    for files, seen in zip(usable, prints, strict=True):
        lines.setdefault(files.dataset, []).append(f"{files.name} {seen.digest}")
    datasets = {
        name: {
            **_counts([files for files in usable if files.dataset == name]),
            "degraded": sum(
                files.degraded_visible is not None for files in usable if files.dataset == name
            ),
            "digest": _short_digest(lines[name]),
        }
        for name in sorted(lines)
    }
    everything = [line for of_dataset in lines.values() for line in of_dataset]
    return {**_counts(usable), "digest": _short_digest(everything), "datasets": datasets}


def _counts(pairs: Sequence[PairFiles]) -> dict[str, int]:
    return {"pairs": len(pairs), "scenes": len({files.scene for files in pairs})}


def _short_digest(lines: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()[:16]
