"""`Scene`: a thermal and an RGB frame of the same moment, with boxes, for any time."""

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from amg_fuse_ros.scenes import planes, render_thermal, render_visible, sky
from amg_fuse_ros.scenes.camera import NEAR, Camera, FloatArray
from amg_fuse_ros.scenes.figures import person_patches
from amg_fuse_ros.scenes.gbuffer import (
    FIRST_INSTANCE,
    GBuffer,
    Patch,
    fill,
    fixed_point,
    silhouette,
)
from amg_fuse_ros.scenes.lighting import Lighting, TimeOfDay, Weather
from amg_fuse_ros.scenes.street import paint_building, paint_lamp, paint_skyline, paint_tree
from amg_fuse_ros.scenes.vehicles import car_patches
from amg_fuse_ros.scenes.weather import (
    Layer,
    Particles,
    extinction,
    particle_light,
    rain_layers,
    scatter_thermal,
    scatter_visible,
    snow_layers,
    transmission,
    wet_reflections,
)
from amg_fuse_ros.scenes.world import EGO_SPEED, WALL_X, Car, Lamp, Person, Snapshot, Tree, World

Label = Literal["person", "car", "bicycle"]
LABELS: tuple[Label, ...] = get_args(Label)

Image = NDArray[np.uint8]

_EYE_HEIGHT = 1.45
_FOCAL_PER_WIDTH = 0.86
_HORIZON = 0.46
_LEAST_SIDE = 16


@dataclass(frozen=True)
class Box:
    """An object in pixels: the extent of its whole silhouette, clipped to the image.

    Coordinates run from 0 to the image's width and height. ``visible_fraction`` is the share of
    the silhouette that is in the image and not covered by something nearer.
    """

    label: Label
    x0: float
    y0: float
    x1: float
    y1: float
    visible_fraction: float


@dataclass(frozen=True)
class ScenePair:
    """Both cameras' pictures of one moment.

    The clean pictures see the same scene, with wet or snowy ground and the same light, through
    clear air. ``boxes`` are in pixels of the RGB picture; ``classes`` says whose each of its pixels
    is: 0 nothing with a label, else 1 + its place in `LABELS`.
    """

    thermal: Image
    rgb: Image
    thermal_clean: Image
    rgb_clean: Image
    boxes: tuple[Box, ...]
    classes: Image
    stamp: float


class _Air(NamedTuple):
    """What is between the scene and both cameras at one moment."""

    rate: float
    through: FloatArray
    layers: list[Layer]


class Scene:
    """A drive along an endless street, seen by a thermal and an RGB camera.

    Every frame follows from the seed and its time alone.

    Args:
        seed: Which street; not negative.
        width: Of the pictures in pixels, 16 or more.
        height: Of the pictures in pixels, 16 or more.
        time_of_day: ``"day"`` or ``"night"``.
        weather: ``"clear"``, ``"fog"``, ``"rain"`` or ``"snow"``.
        severity: Of the weather, 0 to 1; without meaning in clear weather.
        thermal_size: Width and height of the thermal picture where they differ.

    Raises:
        ValueError: An argument is out of its range.
    """

    def __init__(
        self,
        seed: int = 0,
        width: int = 640,
        height: int = 480,
        time_of_day: TimeOfDay = "day",
        weather: Weather = "clear",
        severity: float = 0.6,
        thermal_size: tuple[int, int] | None = None,
    ) -> None:
        if seed < 0:
            raise ValueError(f"seed is {seed}; expected 0 or more")
        _check_size("the pictures'", (width, height))
        if thermal_size is not None:
            _check_size("thermal_size's", thermal_size)
        for name, value, allowed in (
            ("time_of_day", time_of_day, get_args(TimeOfDay)),
            ("weather", weather, get_args(Weather)),
        ):
            if value not in allowed:
                raise ValueError(f"{name} is {value!r}; expected one of {', '.join(allowed)}")
        if not 0.0 <= severity <= 1.0:
            raise ValueError(f"severity is {severity}; expected 0 (none) to 1 (the worst)")
        self.seed, self.width, self.height = seed, width, height
        self.thermal_size = thermal_size
        self.severity = severity
        self.light = Lighting.of(time_of_day, weather, 1 if seed % 2 else -1)
        self._world = World(seed)
        self._particles = Particles.of(self.light, severity, seed)

    def frame(self, t: float) -> ScenePair:
        """Both pictures at ``t`` seconds.

        Args:
            t: Seconds, also before 0 and in any order.

        Returns:
            The pair with its boxes, the nearest object last.

        Raises:
            ValueError: ``t`` is not a finite number.
        """
        if not np.isfinite(t):
            raise ValueError(f"t is {t}; expected a finite number of seconds")
        # Seconds as a plain number: NumPy's own would turn every array into float64, and -0.0
        # would have other noise than 0.0.
        t = float(t) + 0.0
        snapshot = self._world.at(t)
        camera = self._camera(snapshot)
        gbuffer = GBuffer(camera)
        boxes, classes, shadow = self._draw(gbuffer, snapshot, t)
        depth = planes.exact_depth(gbuffer)
        grain = planes.surface_grain(gbuffer)
        moment = int.from_bytes(np.float64(t).tobytes(), "little") % (1 << 48) * 4 + self.seed
        air = self._air(gbuffer, depth, t)
        rgb, rgb_clean = self._visible(gbuffer, depth, grain, shadow, air, moment)
        thermal, thermal_clean = self._thermal(gbuffer, grain, shadow, air, moment)
        return ScenePair(thermal, rgb, thermal_clean, rgb_clean, boxes, classes, float(t))

    def _camera(self, snapshot: Snapshot) -> Camera:
        focal = _FOCAL_PER_WIDTH * self.width
        return Camera(
            width=self.width,
            height=self.height,
            focal=focal,
            cx=(self.width - 1) / 2 + snapshot.yaw * focal,
            cy=_HORIZON * (self.height - 1) + snapshot.bounce * focal,
            x=snapshot.x,
            y=_EYE_HEIGHT,
            z=snapshot.z,
        )

    def _draw(
        self, gbuffer: GBuffer, snapshot: Snapshot, t: float
    ) -> tuple[tuple[Box, ...], Image, FloatArray]:
        """Draw everything from the far to the near; boxes, classes and the ground's shadows."""
        camera, light = gbuffer.camera, self.light
        sky.paint_sky(gbuffer, light, t, self.seed)
        paint_skyline(gbuffer, light, self.seed)
        planes.paint_ground(gbuffer, light)
        planes.paint_markings(gbuffer, snapshot, light)
        figures = {
            person: person_patches(person, camera, light)
            for person in snapshot.things
            if isinstance(person, Person)
        }
        flat = [(p, _upright(p, parts[1], camera)) for p, parts in figures.items()]
        shadow = planes.shadow_mask(camera, snapshot, flat, light)
        for thing in snapshot.things:
            if isinstance(thing, Tree) and abs(thing.x) > WALL_X:
                paint_tree(gbuffer, thing, light)
        for building in snapshot.buildings:
            paint_building(gbuffer, building, light)
        instances: list[tuple[Label, list[Patch], int]] = []

        def paint_instance(label: Label, patches: list[Patch]) -> None:
            if patches:
                owner = FIRST_INSTANCE + len(instances) % (256 - FIRST_INSTANCE)
                gbuffer.paint(patches, owner)
                instances.append((label, patches, owner))

        for thing in snapshot.things:
            if isinstance(thing, Car):
                paint_instance(
                    "car", _dim(car_patches(thing, camera, light), thing, shadow, camera)
                )
            elif isinstance(thing, Person):
                bicycle, body = figures[thing]
                paint_instance("bicycle", _dim(bicycle, thing, shadow, camera))
                paint_instance("person", _dim(body, thing, shadow, camera))
            elif isinstance(thing, Lamp):
                paint_lamp(gbuffer, thing, light)
            elif abs(thing.x) <= WALL_X:
                paint_tree(gbuffer, thing, light)
        counts = np.bincount(gbuffer.owner.ravel(), minlength=256)
        boxes = [
            _box(label, patches, int(counts[owner]), camera) for label, patches, owner in instances
        ]
        class_of = np.zeros(256, np.uint8)
        for label, _, owner in instances:
            class_of[owner] = 1 + LABELS.index(label)
        classes: Image = class_of[gbuffer.owner]
        return tuple(box for box in boxes if box is not None), classes, shadow

    def _visible(
        self, gbuffer: GBuffer, depth: FloatArray, grain: FloatArray, shadow: FloatArray,
        air: _Air | None, moment: int,
    ) -> tuple[Image, Image]:  # fmt: skip
        camera, light = gbuffer.camera, self.light
        clear_air, glare = render_visible.radiance(gbuffer, depth, grain, shadow, light)
        if light.weather == "rain":
            wet_reflections(clear_air, gbuffer, depth, 1.0)
        strength = 1.0 if light.night else 0.25
        hazy = clear_air.copy() if air is not None else clear_air
        render_visible.add_glare(clear_air, glare, 0.05, strength * 0.7)
        clean = render_visible.develop(clear_air, light, moment)
        if air is None:
            return clean.copy(), clean
        rate = air.rate
        hazy = scatter_visible(hazy, air.through, camera, light, rate)
        glare *= np.sqrt(air.through)
        halo = 0.05 + min(rate, 0.05) * 1.6
        render_visible.add_glare(hazy, glare, halo, strength * (0.7 + min(rate, 0.06) * 32))
        for layer in air.layers:
            hazy += layer.cover * (particle_light(layer, camera, light) - hazy)
        return render_visible.develop(hazy, light, moment), clean

    def _thermal(
        self, gbuffer: GBuffer, grain: FloatArray, shadow: FloatArray, air: _Air | None,
        moment: int,
    ) -> tuple[Image, Image]:  # fmt: skip
        light = self.light
        celsius = render_thermal.temperatures(gbuffer, grain, shadow, light)
        clean = self._thermal_sized(render_thermal.expose(celsius, light, moment))
        if air is None:
            return clean.copy(), clean
        celsius = scatter_thermal(celsius, air.through, light)
        for layer in air.layers:
            celsius += 0.3 * layer.cover * (light.air - 3.0 - celsius)
        contrast = 1.0 - 0.18 * self.severity
        return self._thermal_sized(render_thermal.expose(celsius, light, moment, contrast)), clean

    def _air(self, gbuffer: GBuffer, depth: FloatArray, t: float) -> _Air | None:
        rate = extinction(self.light, self.severity)
        if rate == 0:
            return None
        layers: list[Layer] = []
        if self.light.weather == "rain":
            layers = rain_layers(self._particles, gbuffer.camera, t, EGO_SPEED)
        elif self.light.weather == "snow":
            layers = snow_layers(self._particles, gbuffer.camera, t, EGO_SPEED)
        return _Air(rate, transmission(depth, gbuffer, rate, t), layers)

    def _thermal_sized(self, thermal: Image) -> Image:
        if self.thermal_size is None:
            return thermal
        smaller = self.thermal_size[0] < self.width
        way = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(thermal, self.thermal_size, interpolation=way), np.uint8)


def _check_size(whose: str, size: tuple[int, int]) -> None:
    if min(size) < _LEAST_SIDE:
        raise ValueError(
            f"{whose} width and height are {size[0]} and {size[1]}; expected {_LEAST_SIDE} or more"
        )


def _upright(person: Person, patches: list[Patch], camera: Camera) -> list[FloatArray]:
    """The parts of a person on an upright plane in metres (across, up), for the shadow."""
    if not patches:
        return []
    scale = camera.pixels_per_metre(person.z)
    foot = camera.project([(person.x, 0.0, person.z)])[0]
    flip = np.array([1 / scale, -1 / scale], np.float32)
    return [(polygon - foot) * flip for patch in patches for polygon in patch.polygons]


def _dim(
    patches: list[Patch], thing: Car | Person, shadow: FloatArray, camera: Camera
) -> list[Patch]:
    """Patches of a thing, darker where the ground before it lies in the shadow of a house."""
    distance = camera.distance(thing.z)
    if distance < NEAR:
        return patches
    column, row = camera.project(
        [(thing.x - 0.9, 0.0, thing.z - 0.9 if distance > 3 else thing.z)]
    )[0]
    height, width = shadow.shape
    if not (0 <= row < height and 0 <= column < width):
        return patches
    factor = 1.0 - 0.45 * float(min(shadow[int(row), int(column)], 0.6))
    return [p._replace(surface=p.surface.shaded(factor)) for p in patches]


def _box(label: Label, patches: list[Patch], seen: int, camera: Camera) -> Box | None:
    """The box of drawn patches of which ``seen`` pixels are visible; None outside the image."""
    extent = silhouette(patches)
    if extent is None or seen == 0:
        return None
    left, top, right, bottom = extent
    # The whole silhouette, on a canvas of its own that is never large.
    scale = min(1.0, 200.0 / max(right - left, bottom - top, 1.0))
    size = (int((bottom - top) * scale) + 3, int((right - left) * scale) + 3)
    canvas = np.zeros(size, np.uint8)
    origin = np.array([left, top], np.float32)
    for patch in patches:
        moved = [(p - origin) * np.float32(scale) + 1 for p in patch.polygons]
        fill(canvas, fixed_point(moved), (255.0,), smooth=False)
    whole = max(float(np.count_nonzero(canvas)) / scale**2, 1.0)
    x0, x1 = max(left + 0.5, 0.0), min(right + 0.5, float(camera.width))
    y0, y1 = max(top + 0.5, 0.0), min(bottom + 0.5, float(camera.height))
    if x1 - x0 < 1.0 or y1 - y0 < 1.0:
        return None
    return Box(label, x0, y0, x1, y1, min(seen / whole, 1.0))
