"""The sky: clouds by day, a glow above the roofs by night, cold for the thermal camera."""

import numpy as np

from amg_fuse_ros.scenes.camera import Camera, FloatArray
from amg_fuse_ros.scenes.gbuffer import SKY, GBuffer, encode_celsius
from amg_fuse_ros.scenes.lighting import Lighting
from amg_fuse_ros.scenes.textures import noise_tile, sample_tile, stream


def _gradient(
    share: FloatArray, stops: list[tuple[float, tuple[float, float, float]]]
) -> FloatArray:
    places = [s for s, _ in stops]
    channels = [np.interp(share, places, [c[i] for _, c in stops]) for i in range(3)]
    return np.stack(channels, axis=-1).astype(np.float32)


def _clouds(camera: Camera, rows: int, t: float, seed: int) -> FloatArray:
    """Clouds on a plane high above, drifting; rows x W, about -2 to 2."""
    row = np.arange(rows, dtype=np.float32)[:, None]
    column = np.arange(camera.width, dtype=np.float32)[None]
    rise = np.maximum((camera.cy - row) / camera.focal, 0.0) + 0.06
    side = (column - camera.cx) / camera.focal
    return sample_tile(noise_tile(seed + 9, 3.0, 5), side / rise * 42.0 + 1.6 * t, 60.0 / rise)


def paint_sky(gbuffer: GBuffer, light: Lighting, t: float, seed: int) -> None:
    """Fill everything above the horizon."""
    camera = gbuffer.camera
    rows = min(max(int(np.floor(camera.cy)) + 2, 0), camera.height)
    if rows == 0:
        return
    share = np.clip((camera.cy - np.arange(rows, dtype=np.float32)) / (0.42 * camera.focal), 0, 1)
    clouds = _clouds(camera, rows, t, seed)
    near_horizon = np.exp(-share / 0.12)[:, None]
    if light.night:
        stops = [(0.0, (62.0, 50.0, 44.0)), (0.12, (42.0, 38.0, 42.0)), (1.0, (14.0, 17.0, 28.0))]
        if light.weather != "clear":
            stops = [
                (0.0, (64.0, 56.0, 52.0)),
                (0.3, (50.0, 46.0, 46.0)),
                (1.0, (30.0, 31.0, 36.0)),
            ]
        sky = _gradient(share, stops)[:, None] * (1 + 0.09 * clouds)[..., None]
        if light.weather == "clear":
            _add_stars(sky, seed)
    elif light.weather == "clear":
        stops = [
            (0.0, (214.0, 222.0, 228.0)),
            (0.25, (170.0, 198.0, 224.0)),
            (1.0, (92.0, 142.0, 200.0)),
        ]
        cover = np.clip(0.62 * clouds - 0.05, 0, 1) * (1 - 0.6 * near_horizon)
        relief = 238.0 + 9.0 * np.clip(clouds, -1, 2) - 26.0 * np.clip(clouds - 0.9, 0, 1)
        blue = np.broadcast_to(_gradient(share, stops)[:, None], (*clouds.shape, 3))
        sky = blue * (1 - cover[..., None]) + (relief * cover)[..., None]
    else:
        stops = [(0.0, (198.0, 202.0, 206.0)), (1.0, (162.0, 170.0, 180.0))]
        sky = _gradient(share, stops)[:, None] + (9.0 * clouds * (1 - near_horizon))[..., None]
    celsius = light.sky_horizon + (light.sky_zenith - light.sky_horizon) * share[:, None] ** 0.55
    celsius = celsius + (3.5 if light.weather == "clear" else 1.5) * np.clip(clouds, 0, 2)
    top = np.s_[:rows]
    gbuffer.color[top] = (0, 0, 0, 255)
    gbuffer.heat[top][..., :3] = np.clip(sky, 0, 255).astype(np.uint8)
    gbuffer.heat[top][..., 3] = encode_celsius(celsius.astype(np.float32)).astype(np.uint8)
    gbuffer.owner[top] = SKY


def _add_stars(sky: FloatArray, seed: int) -> None:
    rng = stream(seed, 401)
    rows, columns = sky.shape[:2]
    # Faint, and few: a city's sky.
    for _ in range(rows * columns // 4000):
        row, column, light = rng.integers(rows), rng.integers(columns), rng.uniform(10, 70)
        sky[row, column] += light * (1 - row / rows)
