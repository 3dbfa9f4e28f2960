"""Weather between the scene and the cameras: fog, rain and snow.

Drops and flakes are fixed to the air of the world: where they are follows from time alone, so
they move from frame to frame as they should, past a moving vehicle too.
"""

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from amg_fuse_ros.scenes.camera import Camera, FloatArray
from amg_fuse_ros.scenes.gbuffer import GROUND, SKY, GBuffer, fixed_point
from amg_fuse_ros.scenes.lighting import Lighting
from amg_fuse_ros.scenes.render_visible import headlight
from amg_fuse_ros.scenes.textures import noise_tile, sample_tile, stream

_SKY_DEPTH = 260.0
_RAIN_EXPOSURE, _SNOW_EXPOSURE = 1 / 50, 1 / 160
"""Seconds; snow is bright enough for a short one."""
_THERMAL_SHARE = 0.2
"""Extinction by small droplets at 8 to 14 micrometres relative to visible light."""


class Layer(NamedTuple):
    """Particles at about one depth (metres): coverage H x W in [0, 1]."""

    cover: FloatArray
    depth: float


def extinction(light: Lighting, severity: float) -> float:
    """Extinction coefficient per metre (visible range is about 3.9 over it, Koschmieder)."""
    rates = {"clear": 0.0, "fog": 0.085, "rain": 0.012, "snow": 0.022}
    return rates[light.weather] * severity


def transmission(depth: FloatArray, gbuffer: GBuffer, rate: float, t: float) -> FloatArray:
    """Share of light that reaches the camera, ``exp(-rate depth)``; banks drift through it.

    Args:
        depth: H x W metres.
        gbuffer: Tells where the sky is.
        rate: Per metre.
        t: Seconds.

    Returns:
        H x W float32 in [0, 1].
    """
    camera = gbuffer.camera
    away = np.where(gbuffer.owner == SKY, np.float32(_SKY_DEPTH), depth)
    rows, columns = depth.shape
    u = (np.arange(columns, dtype=np.float32) - camera.cx)[None] * (150.0 / columns) + 3.0 * t
    v = (np.arange(rows, dtype=np.float32) - camera.cy)[:, None] * (330.0 / columns)
    banks = sample_tile(noise_tile(17, 10.0, 2), u, v)
    # Density waves lengthen with distance: close by the air is even.
    uneven = 1.0 + 0.13 * banks * np.minimum(away / 40.0, 1.0)
    return np.exp(-rate * away * uneven).astype(np.float32)


def scatter_visible(
    image: FloatArray, through: FloatArray, camera: Camera, light: Lighting, rate: float
) -> FloatArray:
    """Atmospheric scattering, ``J t + A (1 - t)`` (Koschmieder), on linear radiance.

    At night the airlight is what the vehicle's own beams and the lamps light up.
    """
    if light.night:
        beam = np.exp(-((camera.columns()[None]) ** 2) / 0.12)
        rows = (np.arange(camera.height, dtype=np.float32) - camera.cy)[:, None] / camera.focal
        lobe = np.exp(-((rows - 0.1) ** 2) / 0.03)
        back = np.minimum(rate * 20.0, 1.4) * 0.045 * beam * lobe
        air = back[None] * _planes(1.0, 0.97, 0.92) + _planes(0.030, 0.026, 0.024)
    else:
        tint = {"fog": (0.60, 0.62, 0.635), "snow": (0.60, 0.62, 0.65)}
        air = _planes(*tint.get(light.weather, (0.46, 0.49, 0.52)))
    hazy = image - air
    hazy *= through
    hazy += air
    return hazy


def wet_reflections(image: FloatArray, gbuffer: GBuffer, depth: FloatArray, amount: float) -> None:
    """Mirror the scene in a wet road, in place.

    A point ``h`` above the ground at depth ``z`` is seen again as far below its foot as it is
    above it. Points are thrown to their mirror rows, the far before the near, and smeared along
    the columns as a rough, wet surface does.
    """
    camera = gbuffer.camera
    first, ground = camera.ground_rows()
    if first >= camera.height:
        return
    step = 2 if camera.width >= 64 else 1
    small = np.ascontiguousarray(np.moveaxis(image[:, ::step, ::step], 0, -1))
    away = depth[::step, ::step]
    owner = gbuffer.owner[::step, ::step]
    rows = (np.arange(small.shape[0], dtype=np.float32) * step)[:, None]
    foot = camera.cy + camera.focal * camera.y / away
    foot = np.where(owner == SKY, np.float32(camera.cy), foot)
    target = np.rint((2 * foot - rows) / step).astype(np.int32)
    usable = (target > first // step) & (target < small.shape[0]) & (foot > rows + step)
    order = np.argsort(-away[usable], kind="stable")
    to_row = target[usable][order]
    to_column = np.broadcast_to(np.arange(small.shape[1]), usable.shape)[usable][order]
    mirror = np.zeros_like(small)
    filled = np.zeros(small.shape[:2], np.float32)
    mirror[to_row, to_column] = np.minimum(small[usable][order], 5.0)
    filled[to_row, to_column] = 1.0
    sigma_y = max(camera.height / 480 * 7.0, 0.5)
    mirror = cv2.GaussianBlur(mirror, (0, 0), sigmaX=max(sigma_y * 0.22, 0.3), sigmaY=sigma_y)
    filled = cv2.GaussianBlur(filled, (0, 0), sigmaX=max(sigma_y * 0.22, 0.3), sigmaY=sigma_y)
    mirror /= np.maximum(filled, 0.15)[..., None]
    full = cv2.resize(mirror, (camera.width, camera.height), interpolation=cv2.INTER_LINEAR)
    # Water mirrors more at grazing angles, and lies in puddles rather than evenly.
    grazing = (0.14 + 0.5 * np.exp(-camera.y / ground * 7.0))[:, None]
    across = camera.x + ground[:, None] * camera.columns()[None]
    along = (camera.z + ground)[:, None]
    puddles = sample_tile(noise_tile(23, 3.0, 3), across * 4.0, along * 1.7)
    share = amount * grazing * np.clip(0.85 + 0.35 * puddles, 0.25, 1.4)
    share = np.where(gbuffer.owner[first:] == GROUND, np.clip(share, 0, 0.8), 0.0)
    for channel in range(3):
        road = image[channel, first:]
        road += share * (full[first:, :, channel] - 0.55 * road)


def _planes(r: float, g: float, b: float) -> FloatArray:
    """A colour as 3 x 1 x 1, to be broadcast over an image's planes."""
    return np.array([[[r]], [[g]], [[b]]], np.float32)


@dataclass(frozen=True)
class Particles:
    """Drops or flakes in a box of air that repeats in all directions.

    ``places`` is N x 3 metres within ``box``; ``sizes`` their radii in metres, ``phases`` of
    their flutter in radians.
    """

    places: FloatArray
    box: FloatArray
    velocity: FloatArray
    sizes: FloatArray
    phases: FloatArray
    nearest: float
    flutter: float

    @classmethod
    def of(cls, light: Lighting, severity: float, seed: int) -> "Particles":
        """Rain or snow of a severity in [0, 1]; none in other weather."""
        rng = stream(seed, 501)
        if light.weather == "rain":
            box, count, flutter = np.array((20.0, 10.0, 22.0)), int(5200 * severity), 0.0
            velocity, radii, nearest = (1.1, -8.2, 0.4), (0.0011, 0.0022), 1.2
        elif light.weather == "snow":
            box, count, flutter = np.array((18.0, 9.0, 20.0)), int(9000 * severity), 0.12
            velocity, radii, nearest = (0.7, -1.25, -0.6), (0.005, 0.014), 0.6
        else:
            box, count, flutter = np.ones(3), 0, 0.0
            velocity, radii, nearest = (0.0, 0.0, 0.0), (0.0, 0.0), 1.0
        return cls(
            places=(rng.random((count, 3)) * box).astype(np.float32),
            box=box.astype(np.float32),
            velocity=np.array(velocity, np.float32),
            sizes=(radii[0] + (radii[1] - radii[0]) * rng.random(count) ** 2).astype(np.float32),
            phases=rng.uniform(0, 2 * np.pi, count).astype(np.float32),
            nearest=nearest,
            flutter=flutter,
        )

    def seen(self, camera: Camera, t: float) -> FloatArray:
        """Positions N x 3 at time ``t`` relative to the camera: right, up, ahead; metres."""
        eye = np.array((camera.x, camera.y, camera.z), np.float64)
        moved = self.places + self.velocity.astype(np.float64) * t - eye
        if self.flutter:
            moved[:, 0] += self.flutter * np.sin(2.1 * t + self.phases)
            moved[:, 1] += 0.5 * self.flutter * np.sin(3.3 * t + 2 * self.phases)
        # The box hangs around the camera's axis and begins at the nearest depth.
        corner = np.array((-self.box[0] / 2, -self.box[1] * 0.45, self.nearest))
        return np.asarray(np.mod(moved - corner, self.box) + corner, np.float32)


def rain_layers(particles: Particles, camera: Camera, t: float, speed: float) -> list[Layer]:
    """Streaks in three depths, each the path of a drop while the shutter is open."""
    place = particles.seen(camera, t)
    motion = particles.velocity - np.array((0, 0, speed), np.float32)
    ends = place - motion * np.float32(_RAIN_EXPOSURE)
    usable = ends[:, 2] > particles.nearest * 0.5
    start, stop = _to_pixels(place[usable], camera), _to_pixels(ends[usable], camera)
    depth, size = place[usable, 2], particles.sizes[usable]
    odd = np.flatnonzero(usable) % 2 == 1
    layers = []
    for near, far, strength, blur in (
        (9.0, 99.0, 0.30, 0.6),
        (4.0, 9.0, 0.42, 0.7),
        (0.0, 4.0, 0.5, 1.5),
    ):
        chosen = np.flatnonzero((depth >= near) & (depth < far) & _inside(start, camera, 60))
        canvas = np.zeros((camera.height, camera.width), np.uint8)
        width = 2.0 * camera.focal * size[chosen] / depth[chosen]
        # Narrower than a pixel means fainter, not narrower.
        for thickness in (1, 2, 3):
            these = np.maximum(np.rint(width), 1).clip(1, 3) == thickness
            segments = np.stack((start[chosen][these], stop[chosen][these]), axis=1)
            # Every other drop is fainter, the same ones in every frame.
            faint = odd[chosen][these]
            for gray, drops in ((150, segments[faint]), (255, segments[~faint])):
                lines = fixed_point(list(drops))
                cv2.polylines(canvas, lines, False, (gray,), thickness, cv2.LINE_AA, 4)
        soft = cv2.GaussianBlur(canvas, (0, 0), max(blur * camera.width / 640, 0.25))
        layers.append(
            Layer(soft.astype(np.float32) * np.float32(strength / 255), (near + min(far, 20)) / 2)
        )
    return layers


def snow_layers(particles: Particles, camera: Camera, t: float, speed: float) -> list[Layer]:
    """Flakes: far ones as points between pixels, near ones as discs out of focus."""
    place = particles.seen(camera, t)
    pixel = _to_pixels(place, camera)
    ahead = place - np.float32(_SNOW_EXPOSURE) * (
        particles.velocity - np.array((0, 0, speed), np.float32)
    )
    ahead[:, 2] = np.maximum(ahead[:, 2], 0.3)
    trail = _to_pixels(ahead, camera)
    radius = camera.focal * particles.sizes / place[:, 2]
    inside = _inside(pixel, camera, 30)
    layers = []
    far = inside & (radius < 0.9)
    cover = np.minimum(2.6 * radius[far] ** 2, 0.9) + 0.10
    dots = _splat(pixel[far], cover, camera)
    dots = cv2.GaussianBlur(dots, (0, 0), max(0.55 * camera.width / 640, 0.25)) * 1.7
    layers.append(Layer(np.clip(dots, 0, 0.95), 12.0))
    for low, high, blur, strength in (
        (0.9, 2.2, 0.7, 0.85),
        (2.2, 4.5, 1.6, 0.72),
        (4.5, 99, 4.0, 0.5),
    ):
        chosen = np.flatnonzero(inside & (radius >= low) & (radius < high))
        canvas = np.zeros((camera.height, camera.width), np.uint8)
        for i in chosen:
            ends = fixed_point(
                [np.stack((pixel[i], pixel[i] + np.clip(trail[i] - pixel[i], -14, 14)))]
            )
            thickness = max(round(1.7 * float(radius[i])), 1)
            cv2.polylines(canvas, ends, False, (255,), thickness, cv2.LINE_AA, 4)
        soft = cv2.GaussianBlur(canvas, (0, 0), max(blur * camera.width / 640, 0.25))
        layers.append(Layer(soft.astype(np.float32) * np.float32(strength / 255), 8.0 / low))
    return layers


def particle_light(layer: Layer, camera: Camera, light: Lighting) -> FloatArray:
    """Radiance of the particles of a layer, broadcastable to 3 x H x W."""
    if not light.night:
        value = {"rain": (0.62, 0.65, 0.68), "snow": (0.88, 0.90, 0.93)}[light.weather]
        return _planes(*value)
    slope = camera.columns()[None]
    rise = (camera.cy - np.arange(camera.height, dtype=np.float32)[:, None]) / camera.focal
    beam = headlight(slope, rise + 0.04, np.float32(layer.depth))
    # Beyond the beams only the lamps' stray light is left.
    bright = 2.2 if light.weather == "snow" else 1.1
    return beam[None] * _planes(bright, 0.96 * bright, 0.91 * bright) + _planes(0.06, 0.05, 0.04)


def scatter_thermal(celsius: FloatArray, through: FloatArray, light: Lighting) -> FloatArray:
    """The same air for the thermal camera: it absorbs less and glows with its temperature."""
    t = through**_THERMAL_SHARE
    return np.asarray(light.air + (celsius - light.air) * t, np.float32)


def _to_pixels(place: FloatArray, camera: Camera) -> FloatArray:
    scale = camera.focal / place[:, 2]
    return np.stack((camera.cx + place[:, 0] * scale, camera.cy - place[:, 1] * scale), axis=1)


def _inside(pixel: FloatArray, camera: Camera, margin: float) -> NDArray[np.bool_]:
    x, y = pixel[:, 0], pixel[:, 1]
    across = (x > -margin) & (x < camera.width + margin)
    return np.asarray(across & (y > -margin) & (y < camera.height + margin))


def _splat(pixel: FloatArray, cover: FloatArray, camera: Camera) -> FloatArray:
    """Add points between pixels: each shares its cover among its four neighbours."""
    base = np.floor(pixel).astype(np.int64)
    fraction = pixel - base
    canvas = np.zeros(camera.height * camera.width, np.float64)
    for dx in (0, 1):
        for dy in (0, 1):
            column, row = base[:, 0] + dx, base[:, 1] + dy
            weight = cover * np.abs(1 - dx - fraction[:, 0]) * np.abs(1 - dy - fraction[:, 1])
            ok = (column >= 0) & (column < camera.width) & (row >= 0) & (row < camera.height)
            index = row[ok] * camera.width + column[ok]
            canvas += np.bincount(index, weight[ok], minlength=canvas.size)
    return canvas.reshape(camera.height, camera.width).astype(np.float32)
