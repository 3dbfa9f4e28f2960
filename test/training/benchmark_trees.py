"""Small trees of image sets and files of methods for the benchmark's tests."""

from pathlib import Path

import cv2
import numpy as np
import yaml
from pair_trees import picture, write

WEATHER_KINDS = ("ir", "vi", "clean_ir", "clean_vi")


def image_set(folder: Path, names: tuple[str, ...] = ("a", "b"), *, weather: bool = False) -> Path:
    """A set of pairs that all look different; weather ones have a haze over the clean pair."""
    for number, name in enumerate(names):
        seed = sum(folder.name.encode()) + 100 * number
        thermal, visible = picture(seed, channels=1), picture(seed + 1)
        if weather:
            write(folder / "clean_ir" / f"{name}.png", thermal)
            write(folder / "clean_vi" / f"{name}.png", visible)
            thermal, visible = thermal // 2 + 20, visible // 3 + 150
        write(folder / "ir" / f"{name}.png", thermal)
        write(folder / "vi" / f"{name}.png", visible)
    return folder


def methods_file(path: Path, *methods: dict[str, str], **settings: object) -> Path:
    """A file of methods; a method without a name is called as its source."""
    named = [{"name": next(iter(method.values())), **method} for method in methods]
    path.write_text(yaml.safe_dump({"methods": named, **settings}))
    return path


def results_of_others(folder: Path, source: Path) -> Path:
    """A folder of 'fused images': blurred copies of a set's visible images."""
    folder.mkdir(parents=True)
    for path in sorted(source.iterdir()):
        blurred = cv2.GaussianBlur(cv2.imread(str(path)), (0, 0), 1.0)
        assert cv2.imwrite(str(folder / path.name), np.asarray(blurred))
    return folder
