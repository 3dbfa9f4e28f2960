"""Find thermal and visible pairs in the folder layouts of public data sets and in plain folders."""

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

logger = logging.getLogger(__name__)

THERMAL_NAMES = ("ir", "thermal", "infrared", "lwir")
VISIBLE_NAMES = ("vi", "visible", "vis", "rgb")
WEATHERS = ("snow", "rain", "haze")
IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"}
NAMES_SHOWN = 20
HELD_OUT = Path(__file__).with_name("held_out.txt")
"""Names of pairs that show scenes which results are reported on; one per line, # comments."""


@dataclass(frozen=True)
class PairFiles:
    """One clean pair on disk, and what the data set has besides: degraded inputs, a fused image.

    ``name`` is DATASET/STEM or DATASET/GROUP/STEM. ``scene`` is shared by frames that look alike.
    """

    name: str
    scene: str
    thermal: Path
    visible: Path
    degraded_thermal: Path | None = None
    degraded_visible: Path | None = None
    pseudo: Path | None = None

    @property
    def dataset(self) -> str:
        """The data set that the pair belongs to."""
        return self.name.split("/")[0]

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files of the pair, thermal and visible first."""
        optional = (self.degraded_thermal, self.degraded_visible, self.pseudo)
        return (self.thermal, self.visible, *(path for path in optional if path is not None))


@dataclass(frozen=True)
class ImageFolders:
    """Folders that hold the images of a group of pairs under equal stems."""

    group: str
    thermal: Path
    visible: Path
    degraded: tuple[Path, Path] | None = None
    """Folders of the degraded thermal and the degraded visible images."""
    pseudo: Path | None = None
    stems: frozenset[str] | None = None
    """The stems that belong to the part of the data set asked for; ``None`` for all."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """All folders of the group."""
        return (self.thermal, self.visible, *(self.degraded or ()), *filter(None, [self.pseudo]))


@dataclass(frozen=True)
class Layout:
    """How a data set arranges its files."""

    expects: str
    """The arrangement in words, for error messages."""
    find: Callable[[Path, str], Sequence[ImageFolders]]
    """(folder, part) to the groups of pairs there; none when it is another layout."""
    scene_of: Callable[[str], str] = field(default=lambda stem: _numbered(stem, 100))
    """Stem to a key that neighbouring frames share."""


def find_pairs(
    root: Path, layout: str = "auto", *, part: str = "train", allow_test: bool = False
) -> list[PairFiles]:
    """All pairs of the data set in ``root``, or of the data sets one level below it.

    Upper and lower case of folder names do not matter; files are matched by their stems. Files
    without a partner are logged by name and left out. So are the pairs named in ``HELD_OUT``,
    unless ``allow_test``.

    Args:
        root: Folder of one data set, or of several.
        layout: A name out of ``LAYOUTS``, or ``"auto"``: the first that fits each folder.
        part: Which part to take of a data set that comes split (``train``, ``test``, ``val``);
            a data set without a split of its own is taken whole.
        allow_test: Whether images below a folder named ``test`` may be taken.

    Raises:
        FileNotFoundError: If no pair is found; the message says what was looked for.
        ValueError: If the layout has no such name, or a test folder would be read unasked.
    """
    root = Path(root)
    if layout != "auto" and layout not in LAYOUTS:
        raise ValueError(f"layout: expected auto or one of {sorted(LAYOUTS)}, found {layout!r}")
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: expected a folder of image pairs, found none")
    if part == "test" and not allow_test:
        raise ValueError(f"{root}: its test part was asked for; say allow_test=True to read it")
    _refuse_test([root], allow_test)
    layouts = LAYOUTS if layout == "auto" else {layout: LAYOUTS[layout]}
    pairs = _pairs_at(root, layouts, part, allow_test)
    if not pairs:
        for folder in _subfolders(root).values():
            if folder.name.lower() == "test" and not allow_test:
                logger.info("%s: test images, left out", folder)
            else:
                pairs += _pairs_at(folder, layouts, part, allow_test)
    if not pairs:
        raise FileNotFoundError(_nothing_found(root, layouts, part))
    return pairs if allow_test else _without_held_out(pairs)


def _without_held_out(pairs: Sequence[PairFiles]) -> list[PairFiles]:
    lines = HELD_OUT.read_text(encoding="utf-8").splitlines()
    names = {line.strip().lower() for line in lines if line and not line.startswith("#")}
    if found := sorted(pair.name for pair in pairs if pair.name.lower() in names):
        logger.info("left out, they show scenes of test pairs: %s", ", ".join(found))
    return [pair for pair in pairs if pair.name.lower() not in names]


def _pairs_at(
    folder: Path, layouts: dict[str, Layout], part: str, allow_test: bool
) -> list[PairFiles]:
    for name, layout in layouts.items():
        groups = layout.find(folder, part)
        if groups:
            for group in groups:
                _refuse_test(group.paths, allow_test)
            pairs = [pair for group in groups for pair in _match(group, layout, allow_test)]
            logger.info("%s: %d pairs in the layout of %s", folder, len(pairs), name)
            return pairs
    return []


def _match(group: ImageFolders, layout: Layout, allow_test: bool) -> Iterator[PairFiles]:
    needed = [group.thermal, group.visible, *(group.degraded or ())]
    images = [_images(folder, allow_test) for folder in needed]
    pseudo = _images(group.pseudo, allow_test) if group.pseudo else {}
    everywhere = set.intersection(*(set(i) for i in images))
    somewhere = set.union(*(set(i) for i in images))
    if group.stems is not None:
        everywhere, somewhere = everywhere & group.stems, somewhere & group.stems
    if alone := sorted(somewhere - everywhere):
        more = f" and {len(alone) - NAMES_SHOWN} more" if len(alone) > NAMES_SHOWN else ""
        folders = ", ".join(folder.name for folder in needed)
        shown = ", ".join(alone[:NAMES_SHOWN])
        logger.warning("%s: not in all of %s, left out: %s%s", group.group, folders, shown, more)
    dataset = group.group.split("/")[0]
    for stem in sorted(everywhere):
        thermal, visible, *degraded = (i[stem] for i in images)
        name, scene = f"{group.group}/{stem}", f"{dataset}/{layout.scene_of(stem)}"
        clean = PairFiles(name, scene, thermal, visible, pseudo=pseudo.get(stem))
        if degraded:
            clean = replace(clean, degraded_thermal=degraded[0], degraded_visible=degraded[1])
        yield clean


def _images(folder: Path, allow_test: bool) -> dict[str, Path]:
    images = {p.stem: p for p in sorted(folder.iterdir()) if p.suffix.lower() in IMAGE_SUFFIXES}
    _refuse_test((p for p in images.values() if p.is_symlink()), allow_test)
    return images


def _refuse_test(paths: Iterable[Path], allow_test: bool) -> None:
    if allow_test:
        return
    for path in paths:
        if "test" in (name.lower() for name in path.resolve().parts):
            raise ValueError(
                f"{path} lies below a folder named 'test' ({path.resolve()}): training must not "
                "see test images. Rename the folder, or say allow_test=True where that is no harm"
            )


def _subfolders(folder: Path) -> dict[str, Path]:
    """Subfolders by their name in lower case."""
    return {p.name.lower(): p for p in sorted(folder.iterdir()) if p.is_dir()}


def _pick(folders: dict[str, Path], names: Iterable[str]) -> Path | None:
    return next((folders[name] for name in names if name in folders), None)


def _two(folder: Path, group: str, thermal: Iterable[str], visible: Iterable[str]) -> ImageFolders:
    """The group with these folders, by their names in the order of preference.

    Raises:
        LookupError: If one is missing.
    """
    folders = _subfolders(folder)
    chosen = _pick(folders, thermal), _pick(folders, visible)
    if chosen[0] is None or chosen[1] is None:
        raise LookupError(folder)
    return ImageFolders(group, chosen[0], chosen[1])


def _title(folder: Path) -> str:
    """The data set's name: that of its folder, or of the one above when it is a mere part."""
    name = folder.resolve().name
    return folder.resolve().parent.name if name.lower() in {"train", "test", "val"} else name


def _find_pair(
    folder: Path, part: str, thermal: Iterable[str], visible: Iterable[str]
) -> list[ImageFolders]:
    try:
        found = _two(folder, _title(folder), thermal, visible)
    except LookupError:
        return []
    # TarDAL's arrangement of M3FD, RoadScene and TNO lists the names of each part in meta/.
    names = folder / "meta" / f"{part}.txt"
    if names.is_file():
        stems = frozenset(Path(line.strip()).stem for line in names.read_text().splitlines())
        return [replace(found, stems=stems)]
    return [found]


def _find_plain(folder: Path, part: str) -> list[ImageFolders]:
    return _find_pair(folder, part, THERMAL_NAMES, VISIBLE_NAMES)


def _find_m3fd(folder: Path, part: str) -> list[ImageFolders]:
    return _find_pair(folder, part, ["ir"], ["vis", "vi"])


def _find_roadscene(folder: Path, part: str) -> list[ImageFolders]:
    # crop_HR_visible shows the same in the visible camera's pixels, which are not the thermal's.
    return _find_pair(folder, part, ["cropinfrared"], ["crop_lr_visible"])


def _find_msrs(folder: Path, part: str) -> list[ImageFolders]:
    half = _subfolders(folder).get(part)
    return _find_plain(half, part) if half else []


def _find_llvip(folder: Path, part: str) -> list[ImageFolders]:
    for whole in _find_plain(folder, part):
        thermal = _subfolders(whole.thermal).get(part)
        visible = _subfolders(whole.visible).get(part)
        if thermal and visible:
            return [replace(whole, thermal=thermal, visible=visible)]
    return []


def _find_awmm(folder: Path, part: str) -> list[ImageFolders]:
    half = _subfolders(folder).get(part, folder)
    folders = _subfolders(half)
    weathers = [folders[name] for name in WEATHERS if name in folders]
    if weathers:
        found = [_weather(weather, f"{_title(folder)}/{weather.name}") for weather in weathers]
    else:
        found = [_weather(folder, f"{_title(folder.resolve().parent)}/{folder.resolve().name}")]
    return [group for group in found if group is not None]


def _weather(folder: Path, group: str) -> ImageFolders | None:
    try:
        clean = _two(folder, group, ["gt_ir"], ["gt_vi"])
        degraded = _two(folder, group, ["ir"], ["vi"])
    except LookupError:
        return None
    pseudo = _subfolders(folder).get("pseudo_gt")
    return ImageFolders(
        group, clean.thermal, clean.visible, (degraded.thermal, degraded.visible), pseudo
    )


def _numbered(stem: str, together: int) -> str:
    """The key that so many neighbouring frame numbers share; the stem where there is no number."""
    digits = re.findall(r"\d+", stem)
    return str(int(digits[-1]) // together) if digits else stem


def _scene_of_llvip(stem: str) -> str:
    """LLVIP numbers its frames VVNNNN: VV is the video, thus the place of the fixed camera."""
    return stem[:2] if re.fullmatch(r"\d{6}", stem) else _numbered(stem, 100)


def _scene_of_msrs(stem: str) -> str:
    """MSRS marks day and night by a letter behind the frame number."""
    return _numbered(stem, 50) + stem[-1:].upper()


LAYOUTS: dict[str, Layout] = {
    "awmm": Layout(
        "AWMM-100k: {Snow,Rain,Haze}/{ir,vi,gt_ir,gt_vi} or the same below PART/, with or "
        "without pseudo_gt",
        _find_awmm,
        # Frames of many videos in short runs, the same ones in each weather.
        lambda stem: _numbered(stem, 10),
    ),
    "llvip": Layout("LLVIP: infrared/PART and visible/PART", _find_llvip, _scene_of_llvip),
    "msrs": Layout("MSRS: PART/ir and PART/vi", _find_msrs, _scene_of_msrs),
    "roadscene": Layout("RoadScene: cropinfrared and crop_LR_visible", _find_roadscene),
    "plain": Layout(f"plain: {'|'.join(THERMAL_NAMES)} and {'|'.join(VISIBLE_NAMES)}", _find_plain),
    # Plain as well but for its name: "auto" has found it by now.
    "m3fd": Layout("M3FD: Ir and Vis, or ir and vi", _find_m3fd),
}
"""The layouts that :func:`find_pairs` knows, in the order in which ``"auto"`` tries them."""


def _nothing_found(root: Path, layouts: dict[str, Layout], part: str) -> str:
    lines = [f"{root}: no image pairs here or one level below. Looked for (PART is {part}):"]
    lines += [f"  {layout.expects}" for layout in layouts.values()]
    lines += ["with equal file names. Found:"]
    for folder in [root, *_subfolders(root).values()][:NAMES_SHOWN]:
        inside = [p.name + "/" * p.is_dir() for p in sorted(folder.iterdir())]
        shown = ", ".join(inside[:NAMES_SHOWN]) + (", ..." if len(inside) > NAMES_SHOWN else "")
        lines.append(f"  {folder.relative_to(root.parent)}: {shown or 'nothing'}")
    return "\n".join(lines)
