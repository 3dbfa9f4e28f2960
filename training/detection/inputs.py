"""What detectors are shown: each camera alone and the fused images, as data sets of ultralytics."""

import logging
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import yaml

from training.baselines import colorize
from training.benchmark.fusing import Spread, folder_name, fuse_all
from training.benchmark.identity import FusedStore, digest
from training.benchmark.methods import Method
from training.data.adapters import NAMES_SHOWN
from training.evaluate import ImageSet
from training.metrics.folder import list_images, read_image

logger = logging.getLogger(__name__)

CAMERAS = {"visible": "vi", "thermal": "ir"}
"""The input kinds that fuse nothing, and the folder of their images."""


@dataclass
class Inputs:
    """Data sets of the same pairs, one for each input kind.

    Attributes:
        folders: By kind: ``images/PART``, ``labels/PART`` and ``PART.yaml`` for each part.
        keys: By kind: digest of all its images, for what is made of them.
        left_out: Images that some kind does not have; no kind is shown them.
    """

    folders: dict[str, Path] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        if not self.left_out:
            return ""
        more = ", ..." if len(self.left_out) > NAMES_SHOWN else ""
        shown = ", ".join(self.left_out[:NAMES_SHOWN])
        return f"{len(self.left_out)} pairs that could not be fused, left out: {shown}{more}"


def make_inputs(
    parts: Path,
    names: Sequence[str],
    classes: Sequence[str],
    methods: Sequence[Method],
    out: Path,
    store: FusedStore,
    *,
    spread: Spread = map,
) -> Inputs:
    """Show the same pairs as each camera alone and as each method fuses them.

    Methods that give luminance alone get the visible image's colours, as the field shows them;
    else a detector would tell them from the others by that.

    Args:
        parts: Pairs, from `training.detection.parts`.
        names: The parts, ``train`` and ``val`` among them.
        classes: Names of the classes, in the order of the labels' numbers.
        methods: What to fuse by; copies of one camera are left out, these are always there.
        out: Folder to write to.
        store: Keeps fused images by content.
        spread: Carries out what is not in the store.

    Raises:
        ValueError: Nothing is left of a part, or two kinds have one name.
        OSError: Something cannot be read or written.
    """
    methods = [method for method in methods if not method.one_camera]
    kinds = [*CAMERAS, *(method.name for method in methods)]
    if len(set(kinds)) < len(kinds):
        raise ValueError(f"expected input kinds with names of their own, found {kinds}")
    sets = [ImageSet(name, parts / name / "ir", parts / name / "vi") for name in names]
    fused = fuse_all(methods, sets, out / "fused", store, spread=spread)

    inputs = Inputs()
    sources: dict[str, dict[str, Mapping[str, Path]]] = {
        kind: {name: list_images(parts / name / folder) for name in names}
        for kind, folder in CAMERAS.items()
    }
    for method in methods:
        sources[method.name] = {
            name: list_images(fused[method.name, name].folder)
            if (method.name, name) in fused
            else {}
            for name in names
        }
        for name in names:
            problems = fused[method.name, name].problems if (method.name, name) in fused else {}
            for stem, problem in problems.items():
                logger.warning("%s, %s/%s: %s", method.name, name, stem, problem)
    common = {}
    for name in names:
        everywhere = set.intersection(*(set(sources[kind][name]) for kind in kinds))
        somewhere = set.union(*(set(sources[kind][name]) for kind in kinds))
        inputs.left_out += sorted(f"{name}/{stem}" for stem in somewhere - everywhere)
        if not everywhere:
            raise ValueError(f"{name}: there is no pair that all of {', '.join(kinds)} have")
        common[name] = sorted(everywhere)
    for kind in kinds:
        folder = out / folder_name(kind)
        for name in names:
            _write_part(folder, name, sources[kind][name], common[name], parts / name)
            _write_yaml(folder, name, classes)
        inputs.folders[kind] = folder
        shown = (sources[kind][name][stem] for name in names for stem in common[name])
        inputs.keys[kind] = digest(path.read_bytes() for path in shown)
    return inputs


def boxes_of(parts: Path, part: str, classes: Sequence[str]) -> Counter[str]:
    """How many boxes of each class a part has."""
    counted: Counter[str] = Counter(dict.fromkeys(classes, 0))
    for path in (parts / part / "labels").glob("*.txt"):
        counted.update(classes[int(line.split()[0])] for line in path.read_text().splitlines())
    return counted


def _write_part(
    folder: Path, name: str, images: Mapping[str, Path], stems: Sequence[str], pairs: Path
) -> None:
    visible = list_images(pairs / "vi")
    for what in ("images", "labels"):
        shutil.rmtree(folder / what / name, ignore_errors=True)
        (folder / what / name).mkdir(parents=True)
    for stem in stems:
        place = folder / "images" / name / f"{stem}.png"
        image = images[stem]
        if image.parent.parent != pairs and (grey := read_image(image)).ndim == 2:
            colored = colorize(grey, cv2.cvtColor(cv2.imread(str(visible[stem])), 4))
            if not cv2.imwrite(str(place), cv2.cvtColor(colored, cv2.COLOR_RGB2BGR)):
                raise OSError(f"could not write {place}")
        else:
            place.symlink_to(image.resolve())
        shutil.copyfile(pairs / "labels" / f"{stem}.txt", folder / "labels" / name / f"{stem}.txt")


def _write_yaml(folder: Path, part: str, classes: Sequence[str]) -> None:
    """A description that trains on ``train``, watches ``val`` and tests on the part."""
    content = {
        "path": str(folder.resolve()),
        "train": "images/train",
        "val": "images/val",
        "test": f"images/{part}",
        "names": dict(enumerate(classes)),
    }
    (folder / f"{part}.yaml").write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")
