"""Cars as a body and a cabin: two tapered boxes with wheels, windows and lamps."""

import math
from dataclasses import dataclass

import numpy as np

from amg_fuse_ros.scenes.camera import Camera, FloatArray
from amg_fuse_ros.scenes.gbuffer import Patch, Rgb, Surface
from amg_fuse_ros.scenes.lighting import Lighting
from amg_fuse_ros.scenes.world import Car


@dataclass(frozen=True)
class Model:
    """Measures in metres; lengths count from the rear. ``cabin_*`` are its foot and its roof."""

    length: float
    width: float
    height: float
    belt: float
    bonnet: float
    boot: float
    cabin_foot: tuple[float, float]
    cabin_roof: tuple[float, float]


MODELS = {
    "sedan": Model(4.5, 1.80, 1.45, 0.93, 0.90, 0.98, (0.55, 3.42), (1.25, 2.55)),
    "hatch": Model(4.0, 1.76, 1.50, 0.95, 0.92, 0.95, (0.06, 3.08), (0.50, 2.25)),
    "suv": Model(4.6, 1.90, 1.72, 1.05, 1.04, 1.05, (0.05, 3.45), (0.40, 2.70)),
    "van": Model(5.1, 1.98, 2.15, 1.20, 1.12, 1.20, (0.03, 4.55), (0.12, 3.75)),
}

_GLASS: Rgb = (46, 56, 64)
_DETAIL_WITHIN = 60.0
"""Metres; wheels and the like are less than a pixel beyond."""
_RUBBER: Rgb = (24, 24, 26)
_WHEELS = (0.78, 3.55)
_CIRCLE = np.stack((np.cos(a := np.linspace(0, 2 * np.pi, 18)[:-1]), np.sin(a)), axis=1)


class _Builder:
    """Collects the patches of one car; local points are (across, up, along from the rear)."""

    def __init__(self, car: Car, camera: Camera, light: Lighting) -> None:
        self.car, self.camera, self.light = car, camera, light
        self.model = MODELS[car.kind]
        self.patches: list[Patch] = []
        self.eye = (camera.x, camera.y, camera.z)
        self.centre = self.place([(0, 0.6, self.model.length / 2)])[0].tolist()

    def place(self, points: list[tuple[float, float, float]] | FloatArray) -> FloatArray:
        """Local points in the world."""
        p = np.asarray(points, np.float32)
        way = float(self.car.heading)
        world = np.empty_like(p)
        world[:, 0] = self.car.x + way * p[:, 0]
        world[:, 1] = p[:, 1]
        world[:, 2] = self.car.z + way * p[:, 2]
        return world

    def normal(self, polygon: FloatArray) -> tuple[float, float, float]:
        """Unit normal of a world polygon, away from the car's middle."""
        (ax, ay, az), (bx, by, bz), (cx, cy, cz) = polygon[:3].tolist()
        ux, uy, uz, vx, vy, vz = bx - ax, by - ay, bz - az, cx - ax, cy - ay, cz - az
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        px, py, pz = self.centre
        outward = nx * (ax - px) + ny * (ay - py) + nz * (az - pz) >= 0
        length = max(math.sqrt(nx * nx + ny * ny + nz * nz), 1e-6) * (1 if outward else -1)
        return nx / length, ny / length, nz / length

    def faces_camera(self, polygon: FloatArray) -> bool:
        """Whether the outside of a world polygon is seen."""
        nx, ny, nz = self.normal(polygon)
        x, y, z = polygon[0].tolist()
        return bool(nx * (x - self.eye[0]) + ny * (y - self.eye[1]) + nz * (z - self.eye[2]) < 0)

    def add(self, polygon: FloatArray, surface: Surface, shade: float | None = None) -> None:
        """Add a world polygon, lit by its normal unless ``shade`` is given."""
        outline = self.camera.outline(polygon)
        if outline is None:
            return
        factor = self.light.shade(self.normal(polygon)) if shade is None else shade
        depth = self.camera.distance(float(polygon[:3, 2].sum()) / 3)
        self.patches.append(Patch([outline], surface.shaded(factor), depth))


def _inset(quad: FloatArray, u0: float, u1: float, v0: float, v1: float) -> FloatArray:
    """A part of a quad whose corners go round; u along its first edge, v across it."""
    corners = ((u0, v0), (u1, v0), (u1, v1), (u0, v1))
    weights = [((1 - u) * (1 - v), u * (1 - v), u * v, (1 - u) * v) for u, v in corners]
    return np.asarray(np.array(weights, np.float32) @ quad, np.float32)


def car_outline_points(car: Car) -> FloatArray:
    """Corners (8 x 3, world metres) of a car's body, for the shadow it casts."""
    m = MODELS[car.kind]
    w, way = m.width / 2, float(car.heading)
    points = [(s * w, 0.15, e) for s in (-1, 1) for e in (0.05, m.length - 0.05)]
    points += [(s * w * 0.78, m.height, e) for s in (-1, 1) for e in m.cabin_roof]
    return np.array([(car.x + way * x, y, car.z + way * e) for x, y, e in points], np.float32)


def car_patches(car: Car, camera: Camera, light: Lighting) -> list[Patch]:
    """Everything of a car that faces the camera, to be drawn in this order."""
    b = _Builder(car, camera, light)
    if camera.distance(car.z) < _DETAIL_WITHIN:
        _underbody(b)
    _body(b)
    _cabin(b)
    return b.patches


def _underbody(b: _Builder) -> None:
    m, air = b.model, b.light.air
    w = m.width / 2 - 0.02
    hot = air + 1 + 6 * b.car.warm
    end = 0.12 if b.car.heading > 0 else m.length - 0.12
    across = [(-w * 0.9, 0.14, end), (w * 0.9, 0.14, end), (w * 0.9, 0.45, end)]
    shadow = b.place([*across, (-w * 0.9, 0.45, end)])
    b.add(shadow, Surface((16, 16, 18), hot), shade=1.0)
    axle = _WHEELS[0] if b.car.heading > 0 else _WHEELS[1] * m.length / 4.5
    tyre = Surface(_RUBBER, air + 1 + 11 * b.car.moving)
    for s in (-1.0, 1.0):
        x0, x1 = s * (w - 0.24), s * (w - 0.03)
        b.add(b.place([(x0, 0, axle), (x1, 0, axle), (x1, 0.4, axle), (x0, 0.4, axle)]), tyre, 1.0)


def _body(b: _Builder) -> None:
    m, car, air = b.model, b.car, b.light.air
    w = m.width / 2
    L = m.length
    paint = Surface(car.paint, air + 1.5 + 1.5 * car.warm)
    trim = Surface((44, 45, 48), air + 1.0 + 3 * car.warm)
    bonnet = paint._replace(celsius=air + 1.0 + 7 * car.warm)

    def quad(y0: float, y1: float, e0: float, e1: float, taper: float = 1.0) -> FloatArray:
        return b.place([(-w, y0, e0), (w, y0, e0), (w * taper, y1, e1), (-w * taper, y1, e1)])

    decks = [(quad(m.boot, m.belt, 0.05, m.cabin_foot[0]), paint)]
    decks.append((quad(m.bonnet, m.belt, L - 0.12, m.cabin_foot[1]), bonnet))
    for deck, surface in decks:
        if b.faces_camera(deck):
            b.add(deck, surface)
    for s in (-1.0, 1.0):
        profile = [
            (0.08, 0.24), (0.0, 0.5), (0.05, m.boot), (m.cabin_foot[0], m.belt),
            (m.cabin_foot[1], m.belt), (L - 0.12, m.bonnet), (L, 0.55), (L - 0.08, 0.24),
        ]  # fmt: skip
        side = b.place([(s * w, y, e) for e, y in profile])
        if b.faces_camera(side):
            b.add(side, paint)
            _side_details(b, s * (w + 0.005))
    rear_low, rear_high = quad(0.24, 0.5, 0.06, 0.0), quad(0.5, m.boot, 0.0, 0.05, 0.96)
    if b.faces_camera(rear_high):
        b.add(rear_low, trim)
        b.add(rear_high, paint)
        _rear_details(b, rear_low, rear_high)
    front_low, front_high = quad(0.24, 0.52, L - 0.06, L), quad(0.52, m.bonnet, L, L - 0.12, 0.95)
    if b.faces_camera(front_high):
        b.add(front_low, trim)
        b.add(front_high, paint._replace(celsius=air + 2 + 5 * car.warm))
        _front_details(b, front_low, front_high)


def _side_details(b: _Builder, x: float) -> None:
    m, car, air = b.model, b.car, b.light.air
    if b.camera.distance(car.z) > _DETAIL_WITHIN:
        return
    crease = [(x, 0.66, 0.1), (x, 0.66, m.length - 0.15), (x, 0.72, m.length - 0.15)]
    light_line = Surface(car.paint, air + 1.5 + car.warm)
    b.add(b.place([*crease, (x, 0.74, 0.1)]), light_line, b.light.shade((0.5, 0.85, 0)) * 1.06)
    sill = [(x, 0.22, 0.3), (x, 0.22, m.length - 0.3), (x, 0.32, m.length - 0.3), (x, 0.32, 0.3)]
    b.add(b.place(sill), Surface((34, 35, 38), air + 1.0), 1.0)
    for axle in (_WHEELS[0], _WHEELS[1] * m.length / 4.5):
        discs = (
            (0.39, 0.35, Surface((20, 20, 22), air + 1)),
            (0.33, 0.33, Surface(_RUBBER, air + 1 + 12 * car.moving)),
            (0.21, 0.33, Surface((138, 140, 144), air + 1 + 20 * car.moving)),
            (0.07, 0.33, Surface((70, 72, 76), air + 1 + 24 * car.moving)),
        )
        for radius, height, surface in discs:
            ring = [
                (x, height + radius * float(p[1]), axle + radius * float(p[0])) for p in _CIRCLE
            ]
            b.add(b.place(ring), surface, 1.0)


def _rear_details(b: _Builder, low: FloatArray, high: FloatArray) -> None:
    car, air, night = b.car, b.light.air, b.light.night
    glows = 120.0 * (night and car.moving) + 135.0 * car.braking
    red = Surface(
        (142, 22, 24),
        air + 2 + 4 * car.moving,
        (min(glows, 255.0), glows * 0.1, 10.0 * (glows > 0)),
    )
    for u in (0.02, 0.80):
        b.add(_inset(high, u, u + 0.18, 0.42, 0.78), red, 1.0)
    b.add(_inset(high, 0.36, 0.64, 0.18, 0.46), Surface((205, 206, 200), air + 1), 0.95)
    b.add(_inset(high, 0.02, 0.98, 0.0, 0.07), Surface(car.paint, air + 1.5), 0.55)
    if car.warm:
        pipe = _inset(low, 0.76, 0.83, 0.08, 0.38)
        b.add(_inset(low, 0.62, 0.97, 0.0, 0.6), Surface((40, 41, 44), air + 7 * car.warm), 1.0)
        b.add(pipe, Surface((70, 70, 72), air + 40 * car.warm), 1.0)


def _front_details(b: _Builder, low: FloatArray, high: FloatArray) -> None:
    car, air = b.car, b.light.air
    on = car.moving and (b.light.night or b.light.weather != "clear")
    glow = (255.0, 246.0, 222.0) if on else (0.0, 0.0, 0.0)
    grille = Surface((22, 23, 25), air + 2 + 14 * car.warm)
    b.add(_inset(high, 0.25, 0.75, 0.12, 0.55), grille, 1.0)
    b.add(_inset(low, 0.15, 0.85, 0.2, 0.8), grille._replace(celsius=air + 2 + 10 * car.warm), 1.0)
    for u in (0.03, 0.79):
        b.add(
            _inset(high, u, u + 0.18, 0.35, 0.75), Surface((212, 216, 220), air + 8 * on, glow), 1.0
        )
    b.add(_inset(high, 0.38, 0.62, -0.12, 0.1), Surface((210, 210, 204), air + 1), 0.95)


def _cabin(b: _Builder) -> None:
    m, car, air = b.model, b.car, b.light.air
    w, r = m.width / 2 * 0.97, m.width / 2 * 0.76
    (f0, f1), (r0, r1) = m.cabin_foot, m.cabin_roof
    paint = Surface(car.paint, air + 0.5 + 1.5 * car.warm)
    # Glass mirrors the sky, which is cold.
    glass = Surface(_GLASS, 0.65 * air + 0.35 * b.light.sky_horizon - 1.0)
    windscreens = [
        b.place([(-w, m.belt, f0), (w, m.belt, f0), (r, m.height, r0), (-r, m.height, r0)]),
        b.place([(-w, m.belt, f1), (w, m.belt, f1), (r, m.height, r1), (-r, m.height, r1)]),
    ]
    sides = [
        b.place([
            (s * w, m.belt, f0), (s * w, m.belt, f1), (s * r, m.height, r1), (s * r, m.height, r0),
        ])
        for s in (-1.0, 1.0)
    ]  # fmt: skip
    roof = b.place([(-r, m.height, r0), (r, m.height, r0), (r, m.height, r1), (-r, m.height, r1)])
    for side in sides:
        if b.faces_camera(side):
            b.add(side, paint)
            panes = ((0.08, 0.48), (0.52, 0.88)) if car.kind != "van" else ((0.62, 0.9),)
            for u0, u1 in panes:
                b.add(_inset(side, u0, u1, 0.12, 0.84), glass, 0.9)
    for screen in windscreens:
        if b.faces_camera(screen):
            b.add(screen, paint)
            pane = _inset(screen, 0.07, 0.93, 0.1 if car.kind != "van" else 0.35, 0.88)
            b.add(pane, glass, 1.0)
            # The sky's reflection fades in towards the roof.
            b.add(_inset(pane, 0.0, 1.0, 0.55, 1.0), glass, 1.45)
            b.add(_inset(pane, 0.0, 1.0, 0.8, 1.0), glass, 1.9)
    if b.faces_camera(roof):
        b.add(roof, paint._replace(celsius=air - 1.5))
