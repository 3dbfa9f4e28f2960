"""Pictures for the report: a strip for each scene, with the same detail enlarged in every panel."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from amg_fuse_ros.imaging.local_mask import local_mask
from training.baselines import colorize
from training.benchmark.methods import Method
from training.benchmark.results import Group, Results
from training.evaluate import ImageSet
from training.metrics.folder import list_images, read_image

WIDTH = 360
"""Of a panel, in pixels; its height follows the image."""
CROP_SHARE = 0.3
"""Of the width and height, shown enlarged below each panel."""
DETAIL = 6.0
"""Detail is what a Gaussian of this sigma takes away, in pixels."""
QUALITY = 78

_THERMAL_COLOR = np.array([213, 94, 0], np.float32)
_MIDDLE_COLOR = np.array([247, 247, 247], np.float32)
_VISIBLE_COLOR = np.array([0, 90, 160], np.float32)

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Panel:
    """A picture with its caption, for people and for screen readers."""

    caption: str
    alt: str
    uri: str
    width: int
    height: int
    kind: str
    """``input``, ``clean``, ``main``, ``other`` or ``mask``."""


@dataclass(frozen=True)
class Scene:
    """One pair: its sources, what each method made of it, and the main method's mask."""

    set_name: str
    name: str
    panels: tuple[Panel, ...]

    @property
    def anchor(self) -> str:
        """Name of its place in the report."""
        return f"scene-{self.set_name}-{self.name}".replace(" ", "_")


@dataclass(frozen=True)
class Folders:
    """The files of one set by image name, listed once."""

    images: ImageSet
    thermal: Mapping[str, Path]
    visible: Mapping[str, Path]
    clean_visible: Mapping[str, Path]
    fused: Mapping[Method, Mapping[str, Path]]


def list_scenes(results: Results, group: Group) -> dict[str, Folders]:
    """List the files of a group's sets, by name of the set."""
    return {images.name: _list_set(results, images) for images in group.sets}


def _list_set(results: Results, images: ImageSet) -> Folders:
    fused = {
        method: list_images(results.folders[method.name, images.name])
        for method in results.plan.methods
        if (method.name, images.name) in results.folders and not method.one_camera
    }
    return Folders(
        images,
        list_images(images.thermal),
        list_images(images.visible),
        list_images(images.clean_visible) if images.clean_visible else {},
        fused,
    )


def picture_scene(
    files: Folders, name: str, main: Method, methods: Sequence[Method] | None = None
) -> Scene | None:
    """Make the panels of one scene.

    Args:
        files: The set that it is in.
        name: Of the images.
        main: Whose mask is shown.
        methods: Show these only.

    Returns:
        ``None`` where the sources cannot be read or differ in size.
    """
    try:
        thermal, visible = read_image(files.thermal[name]), read_image(files.visible[name])
        clean = read_image(files.clean_visible[name]) if name in files.clean_visible else None
    except (KeyError, ValueError):
        return None
    size = visible.shape[:2]
    if thermal.shape[:2] != size:
        return None
    shown: dict[Method, Image] = {}
    for method, paths in files.fused.items():
        if name in paths and (methods is None or method in methods):
            try:
                image = read_image(paths[name])
            except ValueError:
                continue  # told in the list of problems
            if image.shape[:2] == size:
                source = clean if method.restore == "@clean" and clean is not None else visible
                shown[method] = _for_people(image, source, method)
    compared = [thermal, visible, *shown.values()]
    window = _where_they_differ([_grey(image) for image in compared])

    where = f"{files.images.name}, {name}"
    panels = [_panel("thermal", f"Thermal image of {where}", thermal, "input", window)]
    panels.append(_panel("visible", f"Visible image of {where}", visible, "input", window))
    if clean is not None and clean.shape[:2] == size:
        alt = f"Clean visible image of {where}"
        panels.append(_panel("visible, clean", alt, clean, "clean", window))
    if main in shown:
        alt = f"{main.name} on {where}"
        panels.append(_panel(main.name, alt, shown[main], "main", window))
        mask = _mask(shown[main], visible, thermal)
        alt = f"Mask of {main.name} on {where}: blue visible camera, orange thermal camera"
        panels.append(_panel(f"mask of {main.name}", alt, mask, "mask", window))
    for method, image in shown.items():
        if method != main:
            alt = f"{method.name} on {where}"
            panels.append(_panel(method.name, alt, image, "other", window))
    return Scene(files.images.name, name, tuple(panels))


def _for_people(image: Image, visible: Image, method: Method) -> Image:
    """Baselines fuse luminance; with the visible camera's colours they compare fairly."""
    if image.ndim == 2 and visible.ndim == 3 and method.kind == "baseline":
        return colorize(image, visible)
    return image


def _where_they_differ(images: Sequence[Image]) -> tuple[slice, slice]:
    """The window in whose details the panels differ most: there is something to see.

    Details only: under haze they differ most in brightness, where there is nothing at all.
    """
    height, width = images[0].shape
    h, w = max(1, round(height * CROP_SHARE)), max(1, round(width * CROP_SHARE))
    floats = [image.astype(np.float32) for image in images]
    spread = np.std([image - cv2.GaussianBlur(image, (0, 0), DETAIL) for image in floats], axis=0)
    mean = cv2.blur(spread, (w, h), anchor=(0, 0), borderType=cv2.BORDER_REFLECT)
    inside = mean[: height - h + 1, : width - w + 1]
    y, x = np.unravel_index(int(inside.argmax()), inside.shape)
    return slice(int(y), int(y) + h), slice(int(x), int(x) + w)


def _mask(fused: Image, visible: Image, thermal: Image) -> Image:
    f, vi = ((_rgb(image) / np.float32(255)).astype(np.float32) for image in (fused, visible))
    ir = (_grey(thermal) / np.float32(255)).astype(np.float32)
    share = local_mask(f, vi, ir)[..., None]
    # From orange over white to blue, which people with any kind of colour blindness tell apart.
    ends = np.where(share < 0.5, _THERMAL_COLOR, _VISIBLE_COLOR)
    colored = _MIDDLE_COLOR + (ends - _MIDDLE_COLOR) * np.abs(2 * share - 1)
    return np.rint(colored).astype(np.uint8)


def _panel(caption: str, alt: str, image: Image, kind: str, window: tuple[slice, slice]) -> Panel:
    """The whole image above, the window of it enlarged below, as one picture."""
    image = _rgb(image)
    height = max(1, round(WIDTH * image.shape[0] / image.shape[1]))
    whole = cv2.resize(image, (WIDTH, height), interpolation=cv2.INTER_AREA)
    if kind == "input":
        scale = WIDTH / image.shape[1]
        rows, columns = window
        corner = round(columns.start * scale), round(rows.start * scale)
        opposite = round(columns.stop * scale) - 1, round(rows.stop * scale) - 1
        cv2.rectangle(whole, corner, opposite, (0, 0, 0), 3)
        cv2.rectangle(whole, corner, opposite, (255, 255, 255), 1)
    crop = cv2.resize(image[window], (WIDTH, height), interpolation=cv2.INTER_CUBIC)
    gap = np.full((4, WIDTH, 3), 255, np.uint8)
    picture = np.vstack((whole, gap, crop))
    return Panel(caption, alt, data_uri(picture), picture.shape[1], picture.shape[0], kind)


def data_uri(image: Image) -> str:
    """An RGB image as text that stands in a page in the place of an address (WebP)."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    done, encoded = cv2.imencode(".webp", bgr, [cv2.IMWRITE_WEBP_QUALITY, QUALITY])
    if not done:
        raise OSError("OpenCV here cannot encode WebP")
    return "data:image/webp;base64," + base64.b64encode(encoded.tobytes()).decode()


def _rgb(image: Image) -> Image:
    return image if image.ndim == 3 else cv2.cvtColor(image, cv2.COLOR_GRAY2RGB).astype(np.uint8)


def _grey(image: Image) -> Image:
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.uint8)
