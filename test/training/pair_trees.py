"""Small trees of images in the layouts of public data sets."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray


def picture(seed: int, height: int = 48, width: int = 64, channels: int = 3) -> NDArray[np.uint8]:
    """Blotches that differ from seed to seed and survive scaling."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (9, 12, channels), np.uint8)
    large = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return large.reshape(height, width, channels)


def write(path: Path, image: NDArray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)
    return path


def write_pair(thermal: Path, visible: Path, seed: int, **size: int) -> None:
    write(thermal, picture(2 * seed, channels=1, **size))
    write(visible, picture(2 * seed + 1, **size))


def plain(root: Path, stems: list[str], thermal: str = "ir", visible: str = "vi") -> Path:
    """A folder of pairs; every stem looks different."""
    for number, stem in enumerate(stems):
        seed = 1000 * sum(root.name.encode()) + number
        write_pair(root / thermal / f"{stem}.png", root / visible / f"{stem}.png", seed)
    return root


def awmm(root: Path, stems: list[str], *, pseudo: bool = True) -> Path:
    """Weather, clean and fused images; a stem shows the same scene in each weather."""
    for weather in ("Snow", "Rain", "Haze"):
        folder = root / weather
        for number, stem in enumerate(stems):
            write_pair(folder / f"gt_ir/{stem}.png", folder / f"gt_vi/{stem}.png", number)
            write(folder / f"ir/{stem}.png", picture(2 * number, channels=1) // 2)
            write(folder / f"vi/{stem}.png", picture(2 * number + 1) // 2 + 100)
            if pseudo:
                write(folder / f"pseudo_gt/{stem}.png", np.full((48, 64, 3), 77, np.uint8))
    return root
