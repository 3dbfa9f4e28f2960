"""Pedestrians and cyclists: jointed figures of capsules, seen from any side."""

from dataclasses import dataclass

import cv2
import numpy as np

from amg_fuse_ros.scenes.camera import NEAR, Camera, FloatArray
from amg_fuse_ros.scenes.gbuffer import Patch, Rgb, Surface
from amg_fuse_ros.scenes.lighting import Lighting
from amg_fuse_ros.scenes.textures import stream
from amg_fuse_ros.scenes.world import Person

_ROUND = np.stack((np.cos(a := np.linspace(0, 2 * np.pi, 15)[:-1]), np.sin(a)), axis=1).astype(
    np.float32
)

_JACKETS: tuple[Rgb, ...] = (
    (52, 58, 72), (120, 34, 38), (66, 84, 62), (34, 34, 38), (148, 128, 96), (70, 96, 140),
    (188, 182, 172), (172, 120, 48), (92, 70, 98),
)  # fmt: skip
_TROUSERS: tuple[Rgb, ...] = ((38, 42, 56), (52, 50, 48), (28, 28, 32), (84, 78, 66), (58, 68, 88))
_SKINS: tuple[Rgb, ...] = ((224, 178, 150), (198, 146, 116), (142, 98, 74), (96, 66, 50))
_HAIR: tuple[Rgb, ...] = ((40, 30, 26), (84, 58, 38), (26, 24, 24), (150, 118, 76), (128, 124, 122))


@dataclass(frozen=True)
class _Look:
    jacket: Rgb
    trousers: Rgb
    skin: Rgb
    hair: Rgb
    long_coat: bool
    bag: bool
    build: float


def _look(key: int) -> _Look:
    rng = stream(key, 5)
    return _Look(
        jacket=_JACKETS[rng.integers(len(_JACKETS))],
        trousers=_TROUSERS[rng.integers(len(_TROUSERS))],
        skin=_SKINS[rng.integers(len(_SKINS))],
        hair=_HAIR[rng.integers(len(_HAIR))],
        long_coat=bool(rng.uniform() < 0.3),
        bag=bool(rng.uniform() < 0.35),
        build=float(rng.uniform(0.9, 1.12)),
    )


_DETAIL_WITHIN = 45.0
"""Metres; arms and faces are less than two pixels beyond."""

Joints = dict[str, FloatArray]


def _bend(start: FloatArray, angle: float, length: float) -> FloatArray:
    """The far end of a limb that hangs from ``start``; positive angles swing it forwards."""
    step = np.array([0.0, -length * np.cos(angle), length * np.sin(angle)], np.float32)
    return np.asarray(start + step, np.float32)


def walking_joints(height: float, phase: float, stride: float) -> Joints:
    """Joints of somebody walking, in metres.

    Args:
        height: Of the person.
        phase: Angle of the gait; a full turn is two steps.
        stride: 0 stands, 1 walks.

    Returns:
        Joint positions (across, up, ahead); the lower foot is on the ground.
    """
    h = height
    joints: Joints = {}
    for name, side in (("left", -1.0), ("right", 1.0)):
        p = phase + (0.0 if side < 0 else np.pi)
        hip = np.array([side * 0.052 * h, 0.53 * h, 0.0], np.float32)
        thigh = 0.46 * stride * np.sin(p) + 0.05 * stride
        knee_bend = stride * (0.12 + 0.85 * max(0.0, float(np.cos(p))) ** 1.5)
        knee = _bend(hip, thigh, 0.245 * h)
        ankle = _bend(knee, thigh - knee_bend, 0.245 * h)
        toe = ankle + np.array([side * 0.01, -0.025 * h, 0.085 * h], np.float32)
        shoulder = np.array([side * 0.092 * h, 0.805 * h, 0.015 * h * stride], np.float32)
        swing = -0.42 * stride * np.sin(p) + 0.05
        elbow = _bend(shoulder + np.array([side * 0.02 * h, 0, 0], np.float32), swing, 0.165 * h)
        hand = _bend(elbow, swing + 0.25 + 0.25 * stride, 0.15 * h)
        joints |= {
            f"{name}_hip": hip, f"{name}_knee": knee, f"{name}_ankle": ankle, f"{name}_toe": toe,
            f"{name}_shoulder": shoulder, f"{name}_elbow": elbow, f"{name}_hand": hand,
        }  # fmt: skip
    joints["neck"] = np.array([0.0, 0.85 * h, 0.02 * h * stride], np.float32)
    joints["head"] = np.array([0.0, 0.935 * h, 0.03 * h * stride], np.float32)
    lowest = min(float(joints[f"{name}_toe"][1]) for name in ("left", "right")) - 0.02 * h
    return {name: joint - np.array([0, lowest, 0], np.float32) for name, joint in joints.items()}


def riding_joints(height: float, phase: float) -> Joints:
    """Joints of somebody on a bicycle whose rear wheel stands at 0 (see `walking_joints`)."""
    h = height
    joints: Joints = {}
    for name, side in (("left", -1.0), ("right", 1.0)):
        p = phase + (0.0 if side < 0 else np.pi)
        hip = np.array([side * 0.05 * h, 0.96, 0.22], np.float32)
        pedal = np.array([side * 0.11, 0.29 + 0.17 * np.cos(p), 0.5 + 0.17 * np.sin(p)], np.float32)
        middle, reach = (hip + pedal) / 2, float(np.linalg.norm(pedal - hip))
        bulge = np.sqrt(max((0.26 * h) ** 2 - (reach / 2) ** 2, 1e-4))
        knee = middle + np.array([0, 0.5, 0.87], np.float32) * np.float32(bulge)
        joints |= {
            f"{name}_hip": hip, f"{name}_knee": knee, f"{name}_ankle": pedal,
            f"{name}_toe": pedal + np.array([0, -0.03, 0.12], np.float32),
            f"{name}_shoulder": np.array([side * 0.1 * h, 1.36, 0.5], np.float32),
            f"{name}_elbow": np.array([side * 0.15 * h, 1.16, 0.68], np.float32),
            f"{name}_hand": np.array([side * 0.26, 1.04, 0.9], np.float32),
        }  # fmt: skip
    joints["neck"] = np.array([0.0, 1.42, 0.53], np.float32)
    joints["head"] = np.array([0.0, 1.57, 0.6], np.float32)
    return joints


class _Figure:
    """Projects the joints of one person and wraps them in capsules."""

    def __init__(self, person: Person, joints: Joints, camera: Camera, light: Lighting) -> None:
        self.camera = camera
        turn, side = np.cos(person.heading), np.sin(person.heading)
        self.world = {
            name: np.array(
                [
                    person.x + turn * j[0] + side * j[2],
                    j[1],
                    person.z - side * j[0] + turn * j[2],
                ],
                np.float32,
            )
            for name, j in joints.items()
        }
        self.patches: list[Patch] = []
        self.shade = light.shade((0.0, 0.35, -0.94))
        self.scale = camera.pixels_per_metre(person.z)
        self.depth = camera.distance(person.z)
        names = list(self.world)
        pixels = camera.project(np.stack([self.world[n] for n in names]))
        self.pixel = dict(zip(names, pixels, strict=True))

    def hull(self, parts: list[tuple[str, float]], surface: Surface, factor: float = 1.0) -> None:
        """The convex hull of discs (joint, radius in metres)."""
        rings = [self.pixel[name] + _ROUND * (radius * self.scale) for name, radius in parts]
        outline = cv2.convexHull(np.concatenate(rings).astype(np.float32))[:, 0]
        shaded = surface.shaded(self.shade * factor)
        self.patches.append(Patch([outline], shaded, self.depth))


def person_patches(
    person: Person, camera: Camera, light: Lighting
) -> tuple[list[Patch], list[Patch]]:
    """A person, and the bicycle of a person who rides.

    Returns:
        Patches of the bicycle (none for pedestrians) and of the person, in this drawing order;
        both empty for people at the camera or behind it.
    """
    if camera.distance(person.z) < NEAR + 1.0:
        return [], []
    if person.riding:
        joints = riding_joints(person.height, person.phase)
    else:
        joints = walking_joints(person.height, person.phase, person.stride)
    figure = _Figure(person, joints, camera, light)
    _dress(figure, person, light)
    return (_bicycle(person, camera, light) if person.riding else []), figure.patches


def _dress(f: _Figure, person: Person, light: Lighting) -> None:
    look, h = _look(person.key), person.height
    # Clothing is between the skin's temperature and the air's.
    layer = light.air + 0.52 * (31.0 - light.air)
    jacket = Surface(look.jacket, layer)
    trousers = Surface(look.trousers, layer + 1.0)
    skin = Surface(look.skin, 31.5)
    shoes = Surface((30, 28, 28), light.air + 8.0)
    b = look.build
    near_first = sorted(("left", "right"), key=lambda s: float(f.world[f"{s}_shoulder"][2]))
    near, far = near_first
    faces_away = np.cos(person.heading)

    def arm(side: str, factor: float) -> None:
        f.hull(
            [(f"{side}_shoulder", 0.036 * h * b), (f"{side}_elbow", 0.029 * h * b)], jacket, factor
        )
        f.hull([(f"{side}_elbow", 0.028 * h * b), (f"{side}_hand", 0.021 * h)], jacket, factor)
        f.hull([(f"{side}_hand", 0.022 * h)], skin._replace(celsius=28.0), factor)

    def leg(side: str, factor: float) -> None:
        f.hull([(f"{side}_ankle", 0.022 * h), (f"{side}_toe", 0.017 * h)], shoes, factor)
        f.hull([(f"{side}_hip", 0.05 * h * b), (f"{side}_knee", 0.034 * h)], trousers, factor)
        shin = trousers._replace(celsius=layer - 1.5)
        f.hull([(f"{side}_knee", 0.033 * h), (f"{side}_ankle", 0.023 * h)], shin, factor)

    close = f.depth < _DETAIL_WITHIN
    if close:
        arm(far, 0.8)
    leg(far, 0.82)
    leg(near, 1.0)
    waist = [("left_hip", 0.055 * h * b), ("right_hip", 0.055 * h * b)]
    shoulders = [("left_shoulder", 0.042 * h), ("right_shoulder", 0.042 * h)]
    f.hull([*waist, *shoulders, ("neck", 0.03 * h)], jacket)
    if look.long_coat and not person.riding:
        f.hull([*waist, ("left_knee", 0.045 * h), ("right_knee", 0.045 * h)], jacket, 0.95)
    if not close:
        f.hull([("head", 0.056 * h)], skin._replace(celsius=30.0), 0.8)
        return
    inner = [(f"{s}_{joint}", 0.02 * h) for s in ("left", "right") for joint in ("hip", "shoulder")]
    f.hull([*inner, ("neck", 0.02 * h)], jacket._replace(celsius=layer + 2.5), 1.06)
    if look.bag and faces_away > 0.3:
        pack = [("left_shoulder", 0.02 * h), ("right_shoulder", 0.02 * h), ("left_hip", 0.02 * h)]
        f.hull(pack, Surface((74, 60, 48), light.air + 6.0), 0.95)
    f.hull([("neck", 0.03 * h), ("head", 0.03 * h)], skin)
    f.hull([("head", 0.056 * h)], Surface(look.hair, 25.0))
    face = f.pixel["head"] + np.array([0.0, 0.014 * h * f.scale], np.float32)
    f.pixel["face"] = face + np.array([np.sin(person.heading) * 0.022 * h * f.scale, 0], np.float32)
    if faces_away < 0.6:
        f.hull([("face", 0.046 * h)], skin._replace(celsius=33.0), 1.04)
    arm(near, 1.08)


def _bicycle(person: Person, camera: Camera, light: Lighting) -> list[Patch]:
    """Wheels and frame, along ``+z`` from the rear wheel at the person's place."""
    frame = Surface((40, 92, 120), light.air + 1.0).shaded(light.shade((0, 0.4, -0.9)))
    tyre = Surface((26, 26, 28), light.air + 3.0)
    mirror = Surface((150, 20, 20), light.air, (170.0, 16.0, 12.0) if light.night else (0.0,) * 3)
    patches: list[Patch] = []

    def bar(a: tuple[float, float, float], b: tuple[float, float, float], radius: float,
            surface: Surface) -> None:  # fmt: skip
        ends = np.array([a, b], np.float32) + np.array([person.x, 0, person.z], np.float32)
        pixels = camera.project(ends)
        rings = [
            pixels[i] + _ROUND * (radius * camera.pixels_per_metre(float(ends[i, 2])))
            for i in (0, 1)
        ]
        outline = cv2.convexHull(np.concatenate(rings))[:, 0]
        patches.append(Patch([outline], surface, camera.distance(float(ends[0, 2]))))

    angles = np.linspace(0, 2 * np.pi, 13)
    for hub in (1.05, 0.0):
        rim = [(0.0, 0.34 + 0.32 * np.sin(a), hub + 0.32 * np.cos(a)) for a in angles]
        for i in range(12):
            bar(rim[i], rim[i + 1], 0.024, tyre)
    bar((0, 0.34, 1.05), (0, 1.0, 0.88), 0.02, frame)
    bar((-0.27, 1.03, 0.88), (0.27, 1.03, 0.88), 0.018, tyre)
    bar((0, 0.3, 0.5), (0, 0.8, 0.9), 0.02, frame)
    bar((0, 0.3, 0.5), (0, 0.9, 0.2), 0.02, frame)
    bar((0, 0.34, 0.0), (0, 0.85, 0.22), 0.018, frame)
    bar((-0.06, 0.94, 0.18), (0.06, 0.94, 0.18), 0.04, tyre)
    bar((0, 0.62, -0.02), (0, 0.66, -0.02), 0.035, mirror)
    return patches
