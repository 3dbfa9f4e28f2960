"""The large planes: the ground with its markings and shadows, the house fronts, exact depth."""

from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from amg_fuse_ros.scenes.camera import NEAR, Camera, FloatArray
from amg_fuse_ros.scenes.gbuffer import (
    GROUND,
    WALL_LEFT,
    WALL_RIGHT,
    GBuffer,
    Patch,
    Surface,
    encode_celsius,
    fill,
    fixed_point,
)
from amg_fuse_ros.scenes.lighting import Lighting
from amg_fuse_ros.scenes.textures import noise_tile, sample_tile, stream
from amg_fuse_ros.scenes.vehicles import car_outline_points
from amg_fuse_ros.scenes.world import (
    KERB_X,
    LANE,
    WALL_X,
    Building,
    Car,
    Person,
    Snapshot,
    Tree,
)

_PROFILE_REACH, _PROFILE_STEP, _PROFILE_LEVELS = 26.0, 0.02, 9


_ROAD_WARMTH = 2.5
"""Kelvin above the air; nights and sun add to it."""


def road_celsius(light: Lighting) -> float:
    """Temperature of the lanes; wet ones are near the air's."""
    warmth = _ROAD_WARMTH + 1.5 * light.night + 3.5 * light.sun
    return light.air + (0.5 * warmth + 0.25 if light.weather == "rain" else warmth)


@lru_cache(maxsize=16)
def _profile(light_key: tuple[bool, str, float, float]) -> NDArray[np.uint8]:
    """The road's cross-section, prefiltered.

    Returns:
        levels x positions x 4 uint8: RGB and temperature code across the street; each level is
        blurred over twice as many metres as the one before.
    """
    night, weather, air, sun = light_key
    count = int(2 * _PROFILE_REACH / _PROFILE_STEP)
    x = (np.arange(count, dtype=np.float32) + 0.5) * _PROFILE_STEP - _PROFILE_REACH
    away = np.abs(x)
    row = np.zeros((count, 4), np.float32)
    snow, wet = weather == "snow", weather == "rain"

    def band(inner: float, outer: float, rgb: tuple[float, float, float], celsius: float) -> None:
        inside = (away >= inner) & (away < outer)
        row[inside, :3] = rgb
        row[inside, 3] = air + celsius

    road = _ROAD_WARMTH + 1.5 * night + 3.5 * sun
    band(0.0, LANE, (124, 124, 126), road)
    band(LANE, KERB_X, (112, 111, 111), road - 0.6)
    band(KERB_X - 0.35, KERB_X, (134, 132, 128), road - 0.8)
    band(KERB_X, KERB_X + 0.16, (186, 184, 178), road - 0.2)
    band(KERB_X + 0.16, 9.5, (170, 165, 157), road - 1.2)
    band(9.5, WALL_X, (142, 134, 122), road - 1.6)
    band(WALL_X, 100.0, (92, 104, 66), 0.4)
    # Tyres polish two tracks in each lane and warm them a little.
    lane_middle = np.abs(away - LANE / 2)
    tracks = np.exp(-(((lane_middle - 0.78) / 0.3) ** 2))
    row[:, :3] *= (1 - 0.10 * tracks)[:, None]
    row[:, 3] += 0.9 * tracks
    oil = np.exp(-((lane_middle / 0.25) ** 2)) * (away < LANE)
    row[:, :3] *= (1 - 0.06 * oil)[:, None]
    edge_line = np.abs(away - (LANE - 0.12)) < 0.06
    row[edge_line, :3] = (206, 206, 200)
    if snow:
        cover = np.interp(
            away, (0, 1.2, 2.6, 3.4, 5.0, 5.6, 9.6, 11), (0.3, 0.1, 0.2, 0.7, 0.8, 0.9, 0.8, 1)
        )
        cover = (cover * (1 - 0.7 * tracks))[:, None]
        row[:, :3] = row[:, :3] * (1 - cover) + np.array((226, 230, 238), np.float32) * cover
        row[:, 3] -= 2.5 * cover[:, 0]
    if wet:
        row[:, :3] *= 0.72
        row[:, 3] = 0.5 * row[:, 3] + 0.5 * (air + 0.5)
    row[:, 3] = encode_celsius(row[:, 3])
    levels = [row]
    for level in range(1, _PROFILE_LEVELS):
        sigma = 0.29 * 2.0**level
        levels.append(cv2.GaussianBlur(row[None], (0, 0), sigmaX=sigma, sigmaY=0.01)[0])
    return np.rint(np.stack(levels)).clip(0, 255).astype(np.uint8)


def paint_ground(gbuffer: GBuffer, light: Lighting) -> None:
    """Fill everything below the horizon with the street's cross-section."""
    camera = gbuffer.camera
    first, depth = camera.ground_rows()
    if first >= camera.height:
        return
    across = camera.x + depth[:, None] * camera.columns()[None]
    profile = _profile((light.night, light.weather, light.air, light.sun))
    texels = np.clip((across + _PROFILE_REACH) / _PROFILE_STEP, 0, profile.shape[1] - 1)
    footprint = np.log2(np.maximum(depth / camera.focal / _PROFILE_STEP, 1.0))
    level = np.broadcast_to(np.minimum(footprint, _PROFILE_LEVELS - 1)[:, None], across.shape)
    colors = cv2.remap(
        profile, texels.astype(np.float32), level.astype(np.float32), cv2.INTER_LINEAR
    )
    gbuffer.color[first:, :, :3] = colors[..., :3]
    gbuffer.color[first:, :, 3] = 200
    gbuffer.heat[first:, :, :3] = 0
    gbuffer.heat[first:, :, 3] = colors[..., 3]
    gbuffer.owner[first:] = GROUND


def paint_markings(gbuffer: GBuffer, snapshot: Snapshot, light: Lighting) -> None:
    """Dashes, crossings and manhole covers; paint has the temperature of the road."""
    camera = gbuffer.camera
    road = road_celsius(light)
    worn = (176, 177, 176) if light.weather == "snow" else (212, 212, 206)
    paint = Surface(worn, road - 0.2)
    outlines: list[FloatArray] = []

    def rectangle(x0: float, x1: float, z0: float, z1: float) -> None:
        outline = camera.outline([(x0, 0, z0), (x1, 0, z0), (x1, 0, z1), (x0, 0, z1)])
        if outline is not None and z1 - camera.z < 90:
            outlines.append(outline)

    period = 9.0
    for k in range(int(camera.z // period), int((camera.z + 90) // period) + 1):
        if not any(abs(k * period + 1.5 - z) < 5 for z in snapshot.crossings):
            rectangle(-0.075, 0.075, k * period, k * period + 3.0)
    for z in snapshot.crossings:
        for i in range(8):
            x = -LANE + 0.35 + i * 0.9
            rectangle(x, x + 0.45, z - 1.5, z + 1.5)
    patches = [*_repairs(camera, light), Patch(outlines, paint, 10.0)]
    circle = np.linspace(0, 2 * np.pi, 17)[:-1]
    for k in range(int(camera.z // 26), int((camera.z + 60) // 26) + 1):
        rng = stream(k, 61)
        x, z, radius = rng.choice((-1.9, 1.6)), k * 26 + rng.uniform(0, 20), 0.33
        ring = [(x + radius * np.cos(a), 0.0, z + radius * np.sin(a)) for a in circle]
        outline = camera.outline(ring)
        if outline is not None:
            patches.append(Patch([outline], Surface((70, 70, 70), road + 4.0), 10.0))
    gbuffer.paint(patches, GROUND)


def _repairs(camera: Camera, light: Lighting) -> list[Patch]:
    """Where the asphalt was opened and closed again: a darker patch with a seam of tar."""
    if light.weather == "snow":
        return []
    road, wet = road_celsius(light), 0.74 if light.weather == "rain" else 1.0
    patches = []
    for k in range(int(camera.z // 13), int((camera.z + 60) // 13) + 1):
        rng = stream(k, 62)
        if rng.uniform() < 0.45:
            continue
        x, z = rng.uniform(-3.2, 1.8), k * 13 + rng.uniform(0, 9)
        wide, long = rng.uniform(0.6, 1.7), rng.uniform(1.2, 6.0)
        for grow, shade in ((0.05, 84.0), (0.0, rng.uniform(104, 116))):
            x0, x1, z0, z1 = x - grow, x + wide + grow, z - grow * 2, z + long + grow * 2
            outline = camera.outline([(x0, 0, z0), (x1, 0, z0), (x1, 0, z1), (x0, 0, z1)])
            if outline is not None:
                warmth = road + (0.9 if grow else 0.4)
                patches.append(
                    Patch([outline], Surface((shade, shade, shade), warmth).shaded(wet), 10.0)
                )
    return patches


def shadow_mask(
    camera: Camera, snapshot: Snapshot, figures: list[tuple[Person, list[FloatArray]]],
    light: Lighting,
) -> FloatArray:  # fmt: skip
    """How much of the sky's and the sun's light the ground lacks.

    Args:
        camera: The view.
        snapshot: Who casts shadows.
        figures: For each person the two-dimensional convex parts, metres: across, up.
        light: Only direct sun casts long shadows; under cars it is dark in any light.

    Returns:
        H x W float32 in [0, 1].
    """
    mask = np.zeros((camera.height, camera.width), np.uint8)
    if light.sun > 0:
        slide = np.array(light.toward_sun, np.float32) / light.toward_sun[1]

        def cast(points: FloatArray) -> None:
            """Shadow of the convex hull of world points."""
            ground = points[:, [0, 2]] - points[:, 1:2] * slide[[0, 2]]
            hull = cv2.convexHull(ground.astype(np.float32))[:, 0]
            _fill_ground(mask, camera, hull, 150.0 * light.sun)

        for building in snapshot.buildings:
            cast(_building_corners(building))
        for thing in snapshot.things:
            if isinstance(thing, Tree) and abs(thing.x) < WALL_X:
                _cast_tree(thing, cast)
            elif isinstance(thing, Car):
                cast(car_outline_points(thing))
        for person, parts in figures:
            for part in parts:
                cast(np.array([(person.x + x, y, person.z) for x, y in part], np.float32))
    for thing in snapshot.things:
        if isinstance(thing, Car):
            box = car_outline_points(thing)[:4, [0, 2]]
            hull = cv2.convexHull(box.astype(np.float32))[:, 0]
            middle = hull.mean(axis=0)
            _fill_ground(mask, camera, middle + (hull - middle) * 1.12, 130.0)
            _fill_ground(mask, camera, hull, 225.0)
        elif isinstance(thing, Person):
            angle = np.linspace(0, 2 * np.pi, 11)[:-1]
            ring = np.stack((np.cos(angle) * 0.3, np.sin(angle) * 0.3), axis=1)
            _fill_ground(mask, camera, ring + np.array([thing.x, thing.z]), 110.0)
    soft = cv2.GaussianBlur(mask, (0, 0), max(camera.width / 640 * 1.6, 0.5))
    return (soft.astype(np.float32) / 255.0).astype(np.float32)


def _cast_tree(tree: Tree, cast: Callable[[FloatArray], None]) -> None:
    """The shadow of a crown: a few overlapping discs, so that it is not a perfect ellipse."""
    rng = stream(tree.variant, 31)
    angle = np.linspace(0, 2 * np.pi, 10)[:-1]
    for _ in range(5):
        x, y = rng.uniform(-0.25, 0.25) * tree.width, tree.height * rng.uniform(0.45, 0.85)
        radius = tree.width * rng.uniform(0.18, 0.3)
        ring = [(tree.x + x + radius * np.cos(a), y, tree.z + radius * np.sin(a)) for a in angle]
        cast(np.array(ring, np.float32))
    cast(np.array([(tree.x + s, y, tree.z) for s in (-0.12, 0.12) for y in (0, tree.height / 2)],
                  np.float32))  # fmt: skip


def _building_corners(b: Building) -> FloatArray:
    x0, x1 = b.side * WALL_X, b.side * (WALL_X + b.depth)
    top = [(x, b.height, z) for x in (x0, x1) for z in (b.z0, b.z1)]
    return np.array(top + [(x, 0.0, z) for x, _, z in top], np.float32)


def _fill_ground(
    mask: NDArray[np.uint8], camera: Camera, polygon: FloatArray, value: float
) -> None:
    points = np.stack((polygon[:, 0], np.zeros(len(polygon)), polygon[:, 1]), axis=1)
    if points[:, 2].min() > camera.z + 120 or points[:, 2].max() < camera.z + NEAR:
        return
    outline = camera.outline(points.astype(np.float32))
    if outline is not None:
        fill(mask, fixed_point([np.clip(outline, -30_000, 30_000)]), (value,), smooth=True)


def exact_depth(gbuffer: GBuffer) -> FloatArray:
    """Depth of every pixel.

    Returns:
        H x W float32 metres; exact for the ground and for the house fronts, which are the large
        slanted planes, and to about 1.5 percent for the rest. The sky is at `FAR`.
    """
    camera, depth = gbuffer.camera, gbuffer.depth()
    first, ground = camera.ground_rows()
    below, owner = depth[first:], gbuffer.owner
    np.copyto(below, ground[:, None], where=owner[first:] == GROUND)
    slope = camera.columns()
    for side, wall in ((-1, WALL_LEFT), (1, WALL_RIGHT)):
        away = (side * WALL_X - camera.x) / np.where(slope * side > 1e-4, slope, side * 1e-4)
        np.copyto(depth, away[None].astype(np.float32), where=owner == wall)
    return depth


def surface_grain(gbuffer: GBuffer) -> FloatArray:
    """Texture of asphalt, paving and plaster, fixed to the world.

    Args:
        gbuffer: The frame; only ground and house fronts have texture.

    Returns:
        H x W float32 around 0, about -0.3 to 0.3.
    """
    camera, owner = gbuffer.camera, gbuffer.owner
    grain = np.zeros(owner.shape, np.float32)
    first, ground = camera.ground_rows()
    across = camera.x + ground[:, None] * camera.columns()[None]
    along = np.broadcast_to((camera.z + ground)[:, None], across.shape)
    near = ground[:, None]
    texture = 0.10 * _sample(noise_tile(3, 1.0, 2), across, along, 14.0) * np.exp(-near / 9.0)
    # Traffic draws stains out along the road.
    stains = _sample(noise_tile(4, 1.3, 4, 7.0), along, across, 4.0)
    texture += 0.03 * stains * np.exp(-near / 60.0)
    np.copyto(grain[first:], texture, where=owner[first:] == GROUND)
    slope = camera.columns()
    rows = np.arange(camera.height, dtype=np.float32)
    for side, wall in ((-1, WALL_LEFT), (1, WALL_RIGHT)):
        columns = np.flatnonzero((owner == wall).any(axis=0))
        if not len(columns):
            continue
        part = np.s_[:, columns[0] : columns[-1] + 1]
        shown = slope[columns[0] : columns[-1] + 1] * side
        away = np.abs(side * WALL_X - camera.x) / np.maximum(shown, 1e-4)
        up = camera.y - (rows[:, None] - camera.cy) * away[None] / camera.focal
        z = np.broadcast_to((camera.z + away)[None], up.shape)
        plaster = 0.05 * _sample(noise_tile(5, 1.4, 4, 1.6), z, up, 6.0)
        # Rain and dust darken the foot of a wall, eaves its top.
        plaster = plaster * np.exp(-away / 50.0)[None] - 0.16 * np.exp(-np.maximum(up, 0) / 1.6)
        np.copyto(grain[part], plaster.astype(np.float32), where=owner[part] == wall)
    return grain


def _sample(tile: FloatArray, u: FloatArray, v: FloatArray, per_metre: float) -> FloatArray:
    return sample_tile(tile, u * np.float32(per_metre), v * np.float32(per_metre))
