"""``python -m tools.make_overview``: the README's picture, of drawn scenes and shipped weights."""

from pathlib import Path

import cv2
import numpy as np

from amg_fuse_ros.fusion import Fuser
from amg_fuse_ros.imaging.visualize import color_mask, side_by_side
from amg_fuse_ros.scenes import Scene

OUT = Path(__file__).resolve().parents[1] / "docs" / "images" / "overview.jpg"


def main() -> None:
    """Fuse a rainy night and a foggy day and put everything side by side."""
    fuser = Fuser()
    rows = []
    for scene, second in (
        (Scene(2, time_of_day="night", weather="rain"), 11.0),
        (Scene(4, time_of_day="day", weather="fog"), 20.5),
    ):
        pair = scene.frame(second)
        frame = fuser.fuse(pair.thermal, pair.rgb)
        panels = {
            "RGB camera": pair.rgb,
            "thermal camera": pair.thermal,
            "fused": frame.image,
            "mask: blue RGB, red thermal": color_mask(frame.mask),
        }
        rows.append(side_by_side(panels))
    picture = cv2.resize(np.vstack(rows), None, fx=0.625, fy=0.625, interpolation=cv2.INTER_AREA)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(OUT), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90]):
        raise OSError(f"{OUT}: cannot be written")


if __name__ == "__main__":
    main()
