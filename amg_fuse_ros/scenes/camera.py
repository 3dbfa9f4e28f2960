"""One pinhole camera, so that size, depth and ground contact agree in everything drawn.

World coordinates in metres: ``x`` to the right of the road's centre line, ``y`` up from the
ground, ``z`` along the road. The camera looks along ``+z``; its pitch and yaw are small enough to
be shifts of the principal point, which keeps verticals vertical.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float32]

NEAR = 0.8
"""Metres; nothing closer is drawn."""
FAR = 400.0
"""Metres; ground beyond is at this depth."""


@dataclass(frozen=True)
class Camera:
    """A camera at ``(x, y, z)`` metres with square pixels, pixel centres at integers."""

    width: int
    height: int
    focal: float
    cx: float
    cy: float
    x: float
    y: float
    z: float

    def distance(self, z: float) -> float:
        """Depth in metres, along the optical axis, of a point at world ``z``."""
        return z - self.z

    def pixels_per_metre(self, z: float) -> float:
        """Scale of an object at world ``z``, not nearer than the near plane."""
        return self.focal / max(z - self.z, NEAR)

    def project(self, points: ArrayLike) -> FloatArray:
        """Project world points that lie in front of the near plane.

        Args:
            points: N x 3, metres.

        Returns:
            N x 2 pixel coordinates, which may lie outside of the image.
        """
        p = np.asarray(points, np.float32)
        scale = self.focal / (p[:, 2] - self.z)
        pixels = np.empty((len(p), 2), np.float32)
        pixels[:, 0] = self.cx + (p[:, 0] - self.x) * scale
        pixels[:, 1] = self.cy - (p[:, 1] - self.y) * scale
        return pixels

    def outline(self, polygon: ArrayLike) -> FloatArray | None:
        """Clip a world polygon (N x 3) at the near plane and project it.

        Returns:
            M x 2 pixel coordinates, or None where nothing of it is in front of the camera.
        """
        p = np.asarray(polygon, np.float32)
        ahead = p[:, 2] - (self.z + NEAR)
        if ahead.min() >= 0:
            return self.project(p)
        if ahead.max() < 0:
            return None
        kept = []
        for i in range(len(p)):
            j = (i + 1) % len(p)
            if ahead[i] >= 0:
                kept.append(p[i])
            if (ahead[i] >= 0) != (ahead[j] >= 0):
                share = ahead[i] / (ahead[i] - ahead[j])
                cut = p[i] + share * (p[j] - p[i])
                cut[2] = self.z + NEAR * 1.0001
                kept.append(cut)
        return self.project(np.stack(kept)) if len(kept) >= 3 else None

    def ground_rows(self) -> tuple[int, FloatArray]:
        """The rows that see the ground.

        Returns:
            The first such row, and the depth in metres of the ground at each row from there to
            the bottom of the image.
        """
        first = min(max(int(np.floor(self.cy)) + 1, 0), self.height)
        below = np.arange(first, self.height, dtype=np.float32) - np.float32(self.cy)
        depth = self.focal * self.y / np.maximum(below, 1e-3)
        return first, np.minimum(depth, FAR).astype(np.float32)

    def columns(self) -> FloatArray:
        """Tangent of the viewing angle to the right, of each image column."""
        offsets = np.arange(self.width, dtype=np.float32) - np.float32(self.cx)
        return (offsets / np.float32(self.focal)).astype(np.float32)
