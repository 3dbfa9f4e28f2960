"""Find recordings below folders: pairs of image folders, and bags."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from amg_fuse_ros.offline.manifest import MANIFEST

THERMAL_NAMES = ("thermal", "ir", "infrared")
RGB_NAMES = ("rgb", "vi", "visible", "vis")
BAG_SUFFIXES = (".mcap", ".db3")


@dataclass(frozen=True)
class FolderPair:
    """A recording as two folders of images."""

    name: Path
    """Where it lies below its root, and its results below the output."""
    thermal: Path
    rgb: Path


@dataclass(frozen=True)
class BagPlace:
    """A bag: a folder with its ``metadata.yaml``, or a single file."""

    name: Path
    """Where it lies below its root, without the file's suffix, and its result below the output."""
    path: Path


def find_folders(roots: Sequence[Path], out: Path) -> list[FolderPair]:
    """Recordings below the roots: folders that hold ``thermal/`` and ``rgb/``, or ``ir/``, ``vi/``.

    Args:
        roots: Where to look, at any depth; of several, each one's recordings are named after it.
        out: Where the results go; passed over if it lies below a root.

    Raises:
        ValueError: A root is no folder, none holds a recording, or two have one name.
    """
    found = []
    for root, folder in _below(roots, out):
        thermal, rgb = (_first(folder, names) for names in (THERMAL_NAMES, RGB_NAMES))
        if thermal is not None and rgb is not None:
            found.append(FolderPair(_name(roots, root, folder), thermal, rgb))
    if not found:
        raise ValueError(
            f"{_listed(roots)}: expected folders with thermal/ and rgb/ (or ir/ and vi/), at any "
            "depth, found none"
        )
    _check_names(found)
    return _outermost(found)


def find_bags(roots: Sequence[Path], out: Path) -> list[BagPlace]:
    """Bags below the roots, which may be bags themselves; results of `amg-fuse` are passed over.

    Args:
        roots: Bags, or where to look for them at any depth; of several folders, each one's bags
            are named after it.
        out: Where the results go; passed over if it lies below a root.

    Raises:
        ValueError: A root does not exist or holds no bag, or two bags have one name.
    """
    found = []
    folders = []
    for root in roots:
        if root.is_file() or is_bag_folder(root):
            found.append(BagPlace(Path(_stem(root.resolve())), root))
        else:
            folders.append(root)
    for root, folder in _below(folders, out):
        if is_bag_folder(folder):
            if not (folder / MANIFEST).exists():
                found.append(BagPlace(_name(roots, root, folder), folder))
        else:
            name = _name(roots, root, folder)
            files = (path for path in sorted(folder.iterdir()) if path.suffix in BAG_SUFFIXES)
            found += [BagPlace(name / _stem(file), file) for file in files]
    if not found:
        raise ValueError(
            f"{_listed(roots)}: expected a rosbag2 folder, an .mcap or .db3 file, or a folder of "
            "them, found a folder without a metadata.yaml and without bags in it"
        )
    _check_names(found)
    return found


def is_bag_folder(path: Path) -> bool:
    """Whether a folder is one bag, complete with its description."""
    return (path / "metadata.yaml").is_file()


def _below(roots: Sequence[Path], out: Path) -> Iterator[tuple[Path, Path]]:
    """Each root and each folder in it, in order; nothing hidden, and no folder twice."""
    seen = {out.resolve()}
    for root in roots:
        if not root.is_dir():
            why = "it is a file" if root.exists() else "there is nothing of that name"
            raise ValueError(f"{root} is not a folder of recordings: {why}")
        for place, folders, _ in os.walk(root, followlinks=True):
            folder = Path(place)
            if folder.resolve() in seen:  # also a link that leads up again
                folders.clear()
                continue
            seen.add(folder.resolve())
            if is_bag_folder(folder):
                folders.clear()
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            yield root, folder


def _name(roots: Sequence[Path], root: Path, folder: Path) -> Path:
    below = folder.relative_to(root)
    return below if len(roots) == 1 else root.resolve().name / below


def _first(folder: Path, names: Sequence[str]) -> Path | None:
    return next((path for name in names if (path := folder / name).is_dir()), None)


def _stem(path: Path) -> str:
    """A bag's name; a file ``...mcap`` keeps its suffix, without it the name would lead upwards."""
    named = path.suffix in BAG_SUFFIXES and path.stem not in {".", ".."}
    return path.stem if named else path.name


def _outermost(found: list[FolderPair]) -> list[FolderPair]:
    """Without those inside the image folders of another, such as a ``side/ir`` below an ``rgb``."""
    images = {folder for pair in found for folder in (pair.thermal, pair.rgb)}
    return [pair for pair in found if images.isdisjoint(pair.thermal.parents)]


def _listed(roots: Sequence[Path]) -> str:
    return ", ".join(map(str, roots))


def _check_names(found: Sequence[FolderPair] | Sequence[BagPlace]) -> None:
    seen: set[Path] = set()
    for item in found:
        if item.name in seen:
            raise ValueError(
                f"two recordings would be written to {item.name}; fuse their folders in two runs"
            )
        seen.add(item.name)
