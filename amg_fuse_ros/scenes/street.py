"""What stands along the street: houses with windows, trees, lamps."""

import numpy as np

from amg_fuse_ros.scenes.camera import NEAR, FloatArray
from amg_fuse_ros.scenes.gbuffer import THING, WALL_LEFT, WALL_RIGHT, GBuffer, Patch, Rgb, Surface
from amg_fuse_ros.scenes.lighting import Lighting
from amg_fuse_ros.scenes.textures import crown_sprite, stream
from amg_fuse_ros.scenes.world import (
    LAMP_HEIGHT,
    LAMP_REACH,
    VIEW,
    WALL_X,
    Building,
    Lamp,
    Tree,
)

_FLOOR, _BAY = 3.1, 3.0
_WARM_LIGHT: Rgb = (168, 124, 66)
_COOL_LIGHT: Rgb = (116, 132, 134)
_TILES: tuple[Rgb, ...] = ((128, 66, 48), (92, 84, 80), (112, 76, 58), (72, 74, 82))


def paint_skyline(gbuffer: GBuffer, light: Lighting, seed: int) -> None:
    """Hills and distant roofs behind the end of the street."""
    camera = gbuffer.camera
    rng = stream(seed, 301)
    for layer, (away, low, high) in enumerate(((360.0, 10.0, 34.0), (240.0, 4.0, 15.0))):
        steps = 60
        angles = np.linspace(-0.9, 0.9, steps)
        heights = rng.uniform(low, high, steps)
        if layer == 0:
            heights = np.convolve(np.pad(heights, 4, mode="edge"), np.full(9, 1 / 9), "valid")
        else:
            heights, angles = np.repeat(heights, 2), np.repeat(angles, 2)
            angles[1:-1:2], angles[2::2] = angles[2::2], angles[2::2]
        # Seen so far off that the vehicle's own way does not matter.
        points = np.stack((camera.x + angles * away, heights, np.full_like(angles, away)), axis=1)
        points[:, 2] += camera.z
        ends = points[[-1, 0]] * np.array([1, 0, 1])
        haze = 0.62 if layer == 0 else 0.45
        base = np.array((108, 120, 122) if layer == 0 else (96, 98, 96), np.float32)
        rgb = base * (1 - haze) + np.array((178, 192, 204), np.float32) * haze
        surface = Surface((float(rgb[0]), float(rgb[1]), float(rgb[2])), light.air - 1.0)
        outline = camera.outline(np.concatenate((points, ends)))
        if outline is not None:
            gbuffer.paint(
                [Patch([outline], surface.shaded(light.shade((0, 0.5, -0.8))), away)], THING
            )


def paint_building(gbuffer: GBuffer, building: Building, light: Lighting) -> None:
    """A house: roof, the end towards the camera, the front along the street, its windows."""
    camera = gbuffer.camera
    if building.z1 < camera.z + NEAR or building.z0 > camera.z + VIEW + 40:
        return
    rng = stream(building.key, 11)
    side, x = building.side, building.side * WALL_X
    front_normal, end_normal = (-float(side), 0.0, 0.0), (0.0, 0.0, -1.0)
    wall = Surface(building.wall, light.air + 1.5 + building.warmth)
    z0, z1, h = building.z0, building.z1, building.height
    back = x + side * building.depth

    def paint(
        points: list[tuple[float, float, float]], surface: Surface, owner: int = THING
    ) -> None:
        outline = camera.outline(points)
        if outline is not None:
            depth = camera.distance(max(z0, camera.z + NEAR))
            gbuffer.paint([Patch([outline], surface, depth)], owner)

    tiles = Surface(_TILES[rng.integers(len(_TILES))], light.air - 3.0)
    if light.weather == "snow":
        tiles = Surface((222, 226, 232), light.air - 4.0)
    end = wall.shaded(light.shade(end_normal))
    ridge = h + 0.38 * building.depth
    if building.pitched:
        middle = x + side * building.depth / 2
        slope = (-side * 0.6, 0.8, 0.0)
        eave = x - side * 0.35
        roof = [(eave, h - 0.1, z0), (eave, h - 0.1, z1), (middle, ridge, z1), (middle, ridge, z0)]
        paint(roof, tiles.shaded(light.shade(slope)))
        paint([(x, h, z0), (middle, ridge, z0), (back, h, z0)], end)
    paint([(x, 0, z0), (x, h, z0), (back, h, z0), (back, 0, z0)], end)
    owner = WALL_LEFT if side < 0 else WALL_RIGHT
    warm = light.sun_warmth(front_normal)
    front = wall._replace(celsius=wall.celsius + warm)
    shade = light.shade(front_normal)
    paint([(x, 0, z0), (x, h, z0), (x, h, z1), (x, 0, z1)], front.shaded(shade), owner)
    paint([(x, 0, z0), (x, 0.7, z0), (x, 0.7, z1), (x, 0, z1)], front.shaded(shade * 0.72), owner)
    cornice = [(x, h - 0.4, z0), (x, h, z0), (x, h, z1), (x, h - 0.4, z1)]
    paint(cornice, front.shaded(shade * 1.14), owner)
    _paint_windows(gbuffer, building, light, shade, owner)


def _paint_windows(
    gbuffer: GBuffer, building: Building, light: Lighting, shade: float, owner: int
) -> None:
    camera, side = gbuffer.camera, building.side
    rng = stream(building.key, 12)
    z0, z1, h = building.z0, building.z1, building.height
    x = side * WALL_X
    floors = max(int((h - 0.8) // _FLOOR), 1)
    bays = max(int((z1 - z0 - 0.8) // _BAY), 1)
    margin = (z1 - z0 - bays * _BAY) / 2
    lit_share = 0.34 if light.night else 0.0
    frames: list[FloatArray] = []
    bars: list[FloatArray] = []
    panes: dict[str, list[FloatArray]] = {
        "dark": [],
        "warm": [],
        "cool": [],
        "shop": [],
        "door": [],
    }

    def opening(y0: float, y1: float, a: float, b: float) -> FloatArray | None:
        return camera.outline([(x, y0, a), (x, y1, a), (x, y1, b), (x, y0, b)])

    wide = rng.uniform(0.9, 1.5)
    tall = rng.uniform(1.35, 1.8)
    door_bay = int(rng.integers(bays))
    for floor in range(floors):
        for bay in range(bays):
            lit, tint = rng.uniform() < lit_share, rng.uniform()
            middle = z0 + margin + (bay + 0.5) * _BAY
            if middle - camera.z < 3.0 or middle - camera.z > 110:
                continue
            a, b = middle - wide / 2, middle + wide / 2
            y0, y1 = floor * _FLOOR + 0.95, floor * _FLOOR + 0.95 + tall
            kind = ("warm" if tint < 0.72 else "cool") if lit else "dark"
            if floor == 0 and building.shop:
                a, b, y0, y1 = middle - 1.25, middle + 1.25, 0.55, 2.75
                kind = "shop"
            if floor == 0 and bay == door_bay:
                a, b, y0, y1, kind = middle - 0.55, middle + 0.55, 0.0, 2.25, "door"
            pane = opening(y0, y1, a, b)
            frame = opening(y0 - 0.14, y1 + 0.08, a - 0.1, b + 0.1)
            # What is narrower than a pixel would only add a veil.
            if pane is None or frame is None or np.ptp(pane[:, 0]) < 1.2:
                continue
            frames.append(frame)
            panes[kind].append(pane)
            if np.ptp(pane[:, 0]) > 7.0 and kind != "door":
                third = (b - a) / 2 if kind != "shop" else (b - a) / 3
                for k in range(1, round((b - a) / third)):
                    bar = opening(y0, y1, a + k * third - 0.03, a + k * third + 0.03)
                    rail = opening(y1 - 0.45, y1 - 0.4, a, b)
                    bars += [p for p in (bar, rail) if p is not None]
    night = light.night
    r, g, b_ = building.wall
    pale = Surface((0.5 * r + 110, 0.5 * g + 110, 0.5 * b_ + 106), light.air + 1.0)
    mirror = 0.55 * light.air + 0.45 * light.sky_horizon
    shop_glow = (176.0, 148.0, 104.0) if night else (0.0, 0.0, 0.0)
    surfaces = {
        "dark": Surface((66, 76, 86), mirror),
        "warm": Surface((66, 66, 64), light.air + 3.0, _WARM_LIGHT),
        "cool": Surface((66, 70, 74), light.air + 3.0, _COOL_LIGHT),
        "shop": Surface((86, 88, 86), light.air + 3.5, shop_glow),
        "door": Surface((78, 56, 42), light.air + 4.0),
    }
    depth = camera.distance(max(z0, camera.z + NEAR))
    batch = [Patch(frames, pale.shaded(shade * 0.92), depth)]
    batch += [Patch(panes[kind], surfaces[kind].shaded(shade), depth) for kind in surfaces]
    batch.append(Patch(bars, pale.shaded(shade * 0.9), depth))
    gbuffer.paint(batch, owner)


def paint_tree(gbuffer: GBuffer, tree: Tree, light: Lighting) -> None:
    """A trunk and a crown."""
    camera = gbuffer.camera
    if camera.distance(tree.z) < 1.5:
        return
    scale, depth = camera.pixels_per_metre(tree.z), camera.distance(tree.z)
    column, foot = camera.project([(tree.x, 0.0, tree.z)])[0]
    half = 0.035 * tree.height * scale / 2
    top = foot - 0.62 * tree.height * scale
    trunk = np.array([
        (column - half * 1.25, foot), (column - half * 0.6, top),
        (column + half * 0.6, top), (column + half * 1.25, foot),
    ], np.float32)  # fmt: skip
    bark = Surface((84, 72, 60), light.air + 1.0).shaded(light.shade((0, 0.2, -0.97)))
    gbuffer.paint([Patch([trunk], bark, depth)], THING)
    rng = stream(tree.variant, 21)
    green = (76 + rng.uniform(-8, 26), 92 + rng.uniform(-10, 6), 54 + rng.uniform(-8, 10))
    if light.weather == "snow":
        green = (150 + 20 * rng.uniform(), 156 + 16 * rng.uniform(), 158.0)
    leaves = Surface(green, light.air + 0.3).shaded(light.shade((0, 0.6, -0.8)))
    width, high = tree.width * scale, 0.76 * tree.height * scale
    base = foot - 0.27 * tree.height * scale
    box = (column - width / 2, base - high, column + width / 2, base)
    gbuffer.stamp(crown_sprite(tree.variant), box, leaves, depth, warmth=2.0)


def paint_lamp(gbuffer: GBuffer, lamp: Lamp, light: Lighting) -> None:
    """A pole with an arm over the road and, at night, a lit head."""
    camera = gbuffer.camera
    depth = camera.distance(lamp.z)
    if depth < 1.5:
        return
    scale = camera.pixels_per_metre(lamp.z)
    inward = -1.0 if lamp.x > 0 else 1.0
    top = (lamp.x, LAMP_HEIGHT, lamp.z)
    head = (lamp.x + inward * LAMP_REACH, LAMP_HEIGHT + 0.25, lamp.z)
    pixels = camera.project([(lamp.x, 0, lamp.z), top, head])
    metal = Surface((96, 100, 102), light.air - 2.0).shaded(light.shade((0, 0.1, -1)))
    across, arm = 0.07 * scale, 0.04 * scale
    (x0, y0), (x1, y1), (x2, y2) = (map(float, p) for p in pixels)
    pole = np.array([(x0 - across * 1.3, y0), (x1 - across * 0.7, y1), (x1 + across * 0.7, y1),
                     (x0 + across * 1.3, y0)], np.float32)  # fmt: skip
    reach = np.array([(x1, y1 - arm), (x2, y2 - arm), (x2, y2 + arm), (x1, y1 + arm)], np.float32)
    half, thick = 0.42 * scale, 0.09 * scale
    shell = np.array([(x2 - half, y2 - thick), (x2 + half, y2 - thick), (x2 + half, y2 + thick),
                      (x2 - half, y2 + thick)], np.float32)  # fmt: skip
    lit: Rgb = (255.0, 214.0, 150.0) if light.night else (0.0, 0.0, 0.0)
    glass = shell + np.array([0.0, thick], np.float32)
    lens = Surface((190, 190, 182), light.air + (16.0 if light.night else 1.0), lit)
    gbuffer.paint(
        [Patch([pole], metal, depth), Patch([reach], metal, depth), Patch([glass], lens, depth),
         Patch([shell], metal._replace(celsius=lens.celsius - 3), depth)], THING,
    )  # fmt: skip
