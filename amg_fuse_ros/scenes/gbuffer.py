"""What both cameras look at: colour, glow, temperature, depth and owner of every pixel.

Everything is drawn once, into these buffers; `render_visible` and `render_thermal` read them.
That is why the two renderings agree to the sub-pixel.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from amg_fuse_ros.scenes.camera import FAR, Camera, FloatArray

SKY, GROUND, WALL_LEFT, WALL_RIGHT, THING = range(5)
FIRST_INSTANCE = 10
"""Owners from here to 255 are labelled instances."""

COLDEST, WARMEST = -40.0, 60.0
"""Degrees Celsius at codes 0 and 255 of the temperature channel."""

_SUBPIXEL_BITS = 4
_DEPTH_FROM = 0.5
_DEPTH_STEPS = 255.0 / np.log(FAR / _DEPTH_FROM)
_DEPTH_TABLE = (_DEPTH_FROM * np.exp(np.arange(256) / _DEPTH_STEPS)).astype(np.float32)

Rgb = tuple[float, float, float]


class Surface(NamedTuple):
    """What a surface is for each of the cameras.

    ``rgb`` is its colour in white light and ``glow`` the light it gives off, both 0..255 with
    gamma 2; ``celsius`` is its apparent temperature.
    """

    rgb: Rgb
    celsius: float
    glow: Rgb = (0.0, 0.0, 0.0)

    def shaded(self, factor: float) -> "Surface":
        """The same surface receiving ``factor`` times the light."""
        r, g, b = self.rgb
        return self._replace(rgb=(r * factor, g * factor, b * factor))


class Patch(NamedTuple):
    """Polygons of one surface at one depth (metres); each polygon is N x 2 pixels."""

    polygons: Sequence[FloatArray]
    surface: Surface
    depth: float


def encode_celsius(celsius: FloatArray | float) -> FloatArray:
    """Degrees Celsius as codes 0..255, not rounded."""
    codes = (np.asarray(celsius, np.float32) - COLDEST) * (255.0 / (WARMEST - COLDEST))
    return np.clip(codes, 0.0, 255.0).astype(np.float32)


def fixed_point(polygons: Sequence[FloatArray]) -> list[NDArray[np.int32]]:
    """Polygons as OpenCV's fixed-point coordinates with `_SUBPIXEL_BITS` of fraction."""
    return [np.rint(p * (1 << _SUBPIXEL_BITS)).astype(np.int32) for p in polygons]


def fill(
    image: NDArray[np.uint8], polygons: Sequence[NDArray[np.int32]], value: Sequence[float],
    *, smooth: bool,
) -> None:  # fmt: skip
    """Fill fixed-point polygons; ``smooth`` blends their edges."""
    cv2.fillPoly(
        image, polygons, value, lineType=cv2.LINE_AA if smooth else cv2.LINE_8, shift=_SUBPIXEL_BITS
    )


class GBuffer:
    """The buffers of one frame.

    Attributes:
        color: H x W x 4 uint8: RGB, and depth in logarithmic steps of about 3 percent.
        heat: H x W x 4 uint8: glow RGB, and temperature code.
        owner: H x W uint8: one of the constants of this module, or an instance.
    """

    def __init__(self, camera: Camera) -> None:
        self.camera = camera
        shape = (camera.height, camera.width)
        self.color: NDArray[np.uint8] = np.zeros((*shape, 4), np.uint8)
        self.color[..., 3] = 255
        self.heat: NDArray[np.uint8] = np.zeros((*shape, 4), np.uint8)
        self.owner: NDArray[np.uint8] = np.full(shape, SKY, np.uint8)

    def paint(self, patches: Sequence[Patch], owner: int) -> None:
        """Draw patches in their order, over what is there.

        Args:
            patches: From the far to the near.
            owner: Whose they are.
        """
        width, height = self.camera.width, self.camera.height
        for polygons, surface, depth in patches:
            shown = [p for p in polygons if _shows(p, width, height)]
            if not shown:
                continue
            points = fixed_point(shown)
            code = _DEPTH_STEPS * np.log(max(depth, _DEPTH_FROM) / _DEPTH_FROM)
            warmth = (surface.celsius - COLDEST) * (255.0 / (WARMEST - COLDEST))
            fill(self.color, points, (*surface.rgb, min(float(code), 255.0)), smooth=True)
            fill(self.heat, points, (*surface.glow, min(max(warmth, 0.0), 255.0)), smooth=True)
            fill(self.owner, points, (float(owner),), smooth=False)

    def stamp(
        self, sprite: FloatArray, box: tuple[float, float, float, float], surface: Surface,
        depth: float, warmth: float = 0.0,
    ) -> None:  # fmt: skip
        """Blend a sprite into a rectangle.

        Args:
            sprite: h x w x 2 float32: shade and coverage.
            box: Left, top, right, bottom in pixels.
            surface: Its colour is multiplied by the shade.
            depth: Metres.
            warmth: Kelvin added to the temperature for each unit of shade above 1.
        """
        left, top, right, bottom = box
        x0, y0 = max(int(left), 0), max(int(top), 0)
        x1 = min(int(np.ceil(right)), self.camera.width)
        y1 = min(int(np.ceil(bottom)), self.camera.height)
        if x1 <= x0 or y1 <= y0 or right - left < 1.0:
            return
        while sprite.shape[1] > 2.0 * (right - left) and sprite.shape[1] > 8:
            sprite = cv2.resize(sprite, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        sx, sy = (right - left) / sprite.shape[1], (bottom - top) / sprite.shape[0]
        place = np.array([[sx, 0, left - x0], [0, sy, top - y0]], np.float32)
        shown = cv2.warpAffine(sprite, place, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR)
        shade, cover = shown[..., 0], shown[..., 1]
        code = min(float(_DEPTH_STEPS * np.log(max(depth, _DEPTH_FROM) / _DEPTH_FROM)), 255.0)
        color, heat = self.color[y0:y1, x0:x1], self.heat[y0:y1, x0:x1]
        for channel in range(3):
            _blend(color[..., channel], shade * surface.rgb[channel], cover)
            _blend(heat[..., channel], np.float32(0.0), cover)
        _blend(color[..., 3], np.float32(code), cover)
        celsius = surface.celsius + warmth * (shade - 1.0)
        _blend(heat[..., 3], encode_celsius(celsius), cover)
        self.owner[y0:y1, x0:x1][cover > 0.5] = THING

    def depth(self) -> FloatArray:
        """Depth H x W in metres as it was drawn, to about 1.5 percent; the sky is at `FAR`.

        The slanted planes have one depth for each patch here: see `planes.exact_depth`.
        """
        return _DEPTH_TABLE[self.color[..., 3]]


def silhouette(patches: Sequence[Patch]) -> tuple[float, float, float, float] | None:
    """Bounding box (left, top, right, bottom) in pixels of patches, not clipped to the image."""
    points = [p for patch in patches for p in patch.polygons]
    if not points:
        return None
    joined = np.concatenate(points)
    (left, top), (right, bottom) = joined.min(axis=0), joined.max(axis=0)
    return float(left), float(top), float(right), float(bottom)


def _shows(polygon: FloatArray, width: int, height: int) -> bool:
    """Whether a polygon reaches into the image and is not lost within a pixel."""
    left, top = polygon.min(axis=0).tolist()
    right, bottom = polygon.max(axis=0).tolist()
    if right < -1 or bottom < -1 or left > width or top > height:
        return False
    return bool(right - left + bottom - top > 0.9)


def _blend(target: NDArray[np.uint8], value: FloatArray | np.float32, cover: FloatArray) -> None:
    target[...] = np.clip(target + cover * (value - target) + 0.5, 0, 255).astype(np.uint8)
