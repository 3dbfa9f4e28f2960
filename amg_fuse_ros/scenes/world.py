"""The street and who is on it: where everything is at a given time.

Nothing is simulated. Each position is a function of the seed and of the time, so that any frame
can be drawn without the ones before it, and the street never ends.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from amg_fuse_ros.scenes.textures import stream

LANE = 3.5
"""Width of each of the two lanes in metres; x = 0 between them, the vehicle in the right one."""
KERB_X = 5.8
WALL_X = 10.4
"""Lateral distance of kerbs and house fronts from the middle of the road."""
LAMP_X, LAMP_HEIGHT, LAMP_REACH, LAMP_SPACING = 6.5, 7.0, 1.9, 30.0
EGO_SPEED = 4.5
VIEW = 150.0
"""How far objects are drawn, in metres."""

_BUILDINGS, _TREES, _PARKED, _ONCOMING, _WALKERS, _CROSSING, _CYCLISTS, _EGO, _STANDING = range(9)
_ONCOMING_SPEED, _CYCLE_SPEED, _WALK_SPEED = 8.0, 5.2, 1.35
_CROSSING_SPACING, _ONCOMING_SPACING = 52.0, 60.0

Rgb = tuple[float, float, float]


@dataclass(frozen=True)
class Building:
    """A house along the street, from ``z0`` to ``z1``; ``side`` is -1 left, 1 right."""

    side: int
    z0: float
    z1: float
    height: float
    depth: float
    wall: Rgb
    pitched: bool
    shop: bool
    warmth: float
    key: int


@dataclass(frozen=True)
class Tree:
    """A tree; ``height`` and ``width`` in metres."""

    x: float
    z: float
    height: float
    width: float
    variant: int


@dataclass(frozen=True)
class Lamp:
    """A street lamp whose arm reaches over the road."""

    x: float
    z: float


@dataclass(frozen=True)
class Car:
    """A car with its rear axle end at ``z`` when ``heading`` is 1 (away from the camera)."""

    x: float
    z: float
    heading: int
    kind: str
    paint: Rgb
    moving: bool
    braking: float = 0.0
    warm: float = 0.0


@dataclass(frozen=True)
class Person:
    """A pedestrian or, with ``riding``, a cyclist with the bicycle.

    ``heading`` is the angle from ``+z`` towards ``+x``; ``phase`` the angle of the gait or of the
    pedals, ``stride`` 0 for someone who stands and 1 for a full step.
    """

    x: float
    z: float
    heading: float
    phase: float
    stride: float
    height: float
    key: int
    riding: bool = False


Thing = Tree | Lamp | Car | Person

_PAINTS: tuple[Rgb, ...] = (
    (196, 199, 203), (228, 229, 226), (38, 40, 45), (62, 84, 128), (150, 34, 36), (92, 97, 104),
    (60, 94, 84), (178, 160, 128), (40, 66, 120), (205, 120, 52),
)  # fmt: skip
_WALLS: tuple[Rgb, ...] = (
    (196, 178, 150), (172, 112, 88), (204, 198, 186), (158, 146, 130), (186, 150, 110),
    (150, 92, 76), (168, 172, 168), (210, 188, 148), (132, 124, 122), (184, 138, 118),
)  # fmt: skip
_KINDS = ("sedan", "hatch", "suv", "van")
_KIND_SHARES = (0.34, 0.34, 0.22, 0.10)


@dataclass(frozen=True)
class Snapshot:
    """The world at one time; ``things`` and ``buildings`` from the far to the near."""

    x: float
    z: float
    yaw: float
    bounce: float
    buildings: tuple[Building, ...]
    things: tuple[Thing, ...]
    crossings: tuple[float, ...]


class World:
    """An endless street for a seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        rng = stream(seed, _EGO)
        self._start = float(rng.uniform(0, 40))
        self._plans: dict[int, tuple[float, int, int]] = {}
        self._phases = rng.uniform(0, 2 * np.pi, 4)
        self._leads = bool(rng.uniform() < 0.45)
        self._lead_kind = str(rng.choice(_KINDS, p=_KIND_SHARES))
        self._lead_paint = _PAINTS[rng.integers(len(_PAINTS))]

    def at(self, t: float) -> Snapshot:
        """The world ``t`` seconds after the start; ``t`` may be negative."""
        z = self._start + EGO_SPEED * t
        p = self._phases
        things: list[Thing] = []
        things += self._trees(z)
        things += self._lamps(z)
        things += self._parked(z)
        things += self._oncoming(z, t)
        things += self._walkers(z, t)
        things += self._crossing(z, t)
        things += self._cyclists(z, t)
        if self._leads:
            gap = 15.0 + 3.5 * np.sin(0.33 * t + p[0])
            brakes = float(np.clip(-2.2 * np.cos(0.33 * t + p[0]) - 0.8, 0.0, 1.0))
            things.append(Car(1.8, z + gap, 1, self._lead_kind, self._lead_paint, True, brakes, 1))
        things.sort(key=lambda thing: -thing.z)
        first = int(np.floor(z / _CROSSING_SPACING))
        return Snapshot(
            x=1.75 + 0.12 * float(np.sin(0.23 * t + p[1])),
            z=z,
            yaw=0.012 * float(np.sin(0.31 * t + p[2])),
            bounce=0.0016 * float(np.sin(5.1 * t + p[3]) + 0.6 * np.sin(7.7 * t)),
            buildings=tuple(sorted(self._buildings(z), key=lambda b: -b.z0)),
            things=tuple(things),
            crossings=tuple(_crossing_z(k) for k in range(first, first + 3)),
        )

    def _buildings(self, z: float) -> Iterator[Building]:
        for side in (-1, 1):
            for cell in range(int((z - 20) // 18), int((z + VIEW + 60) // 18) + 1):
                building = _building(self.seed, side, cell)
                if building is not None:
                    yield building

    def _trees(self, z: float) -> Iterator[Tree]:
        for side in (-1, 1):
            for cell in range(int(z // 9), int((z + VIEW) // 9) + 1):
                yield from _cell_trees(self.seed, side, cell)

    def _lamps(self, z: float) -> Iterator[Lamp]:
        for side in (-1, 1):
            first = int(z // LAMP_SPACING)
            for cell in range(first, first + 6):
                yield Lamp(side * LAMP_X, lamp_z(side, cell))

    def _parked(self, z: float) -> Iterator[Thing]:
        for side in (-1, 1):
            for cell in range(int((z - 6) // 6.5), int((z + VIEW) // 6.5) + 1):
                yield from _parking_place(self.seed, side, cell)

    def _oncoming(self, z: float, t: float) -> Iterator[Car]:
        spacing = _ONCOMING_SPACING
        start = z + _ONCOMING_SPEED * t
        for k in range(int((start - 30) // spacing), int((start + VIEW + 30) // spacing) + 1):
            car = _oncoming_car(self.seed, k)
            yield replace(car, z=car.z + k * spacing - _ONCOMING_SPEED * t)

    def _walkers(self, z: float, t: float) -> Iterator[Person]:
        spacing = 15.0
        for lane, (x, way) in enumerate(((-8.6, 1), (-7.3, -1), (7.2, 1), (8.6, -1))):
            start = z - way * _WALK_SPEED * t
            for k in range(int((start - 5) // spacing), int((start + 110) // spacing) + 1):
                rng = stream(self.seed, _WALKERS, lane, k)
                wobble = 0.6 * np.sin(0.4 * t + rng.uniform(0, 6.28))
                run = _WALK_SPEED * t + wobble
                place = k * spacing + rng.uniform(-6, 6) + way * run
                heading = (0.0 if way > 0 else np.pi) + rng.uniform(-0.25, 0.25)
                companions = 2 if rng.uniform() < 0.25 else 1
                for i in range(companions):
                    yield Person(
                        x=x + rng.uniform(-0.4, 0.4) + 0.75 * i,
                        z=place + 0.2 * i,
                        heading=heading,
                        phase=2 * np.pi * (run / 1.5 + rng.uniform()),
                        stride=1.0,
                        height=rng.uniform(1.52, 1.88),
                        key=(k * 8 + lane * 2 + i) & 0xFFFFF,
                    )

    def _crossing(self, z: float, t: float) -> Iterator[Person]:
        first = int(np.floor(z / _CROSSING_SPACING))
        for k in range(first, first + 3):
            if k not in self._plans:
                self._plans[k] = self._crossing_plan(k)
            start, way, count = self._plans[k]
            for i in range(count):
                rng = stream(self.seed, _CROSSING, k, i)
                delay = 0.9 * i + rng.uniform(0, 0.5)
                walked = float(np.clip((t - start - delay) * _WALK_SPEED, 0.0, 13.4))
                walking = 0.0 < walked < 13.4
                yield Person(
                    x=way * (walked - 6.7),
                    z=_crossing_z(k) + rng.uniform(-1.1, 1.1),
                    heading=way * np.pi / 2 + rng.uniform(-0.15, 0.15),
                    phase=2 * np.pi * (walked / 1.5 + rng.uniform()),
                    stride=1.0 if walking else 0.0,
                    height=rng.uniform(1.5, 1.88),
                    key=(50_000 + k * 4 + i) & 0xFFFFF,
                )

    def _crossing_plan(self, k: int) -> tuple[float, int, int]:
        """When, which way and how many cross at crossing ``k``: between the oncoming cars."""
        rng = stream(self.seed, _CROSSING, k)
        count, way = int(rng.integers(1, 4)), int(rng.choice((-1, 1)))
        arrival = (_crossing_z(k) - self._start) / EGO_SPEED
        latest = arrival - (14.8 if self._leads else 10.8)
        # Seconds after the start during which the first of them is in the oncoming lane.
        enters, leaves = (2.5, 4.9) if way > 0 else (5.1, 7.5)
        for start in latest - np.arange(0.0, 9.0, 0.5):
            whole = np.arange(start + enters, start + leaves + 0.9 * count - 0.4, 0.3)
            if all(
                not -3.0 < car.z - _crossing_z(k) < 8.5
                for when in whole
                for car in self._oncoming(_crossing_z(k) - 15.0, float(when))
            ):
                return float(start), way, count
        return float(latest), way, 0

    def _cyclists(self, z: float, t: float) -> Iterator[Person]:
        spacing = 52.0
        start = z - _CYCLE_SPEED * t
        for k in range(int(start // spacing), int((start + VIEW) // spacing) + 1):
            rng = stream(self.seed, _CYCLISTS, k)
            if rng.uniform() < 0.4:
                continue
            run = _CYCLE_SPEED * t
            yield Person(
                x=3.2 + rng.uniform(-0.1, 0.1),
                z=k * spacing + rng.uniform(0, 25) + run,
                heading=0.0,
                phase=run / 0.9,
                stride=1.0,
                height=rng.uniform(1.6, 1.85),
                key=(90_000 + k) & 0xFFFFF,
                riding=True,
            )


def lamp_z(side: int, cell: int) -> float:
    """Where along the street a lamp stands; the two sides alternate."""
    return cell * LAMP_SPACING + (0.0 if side > 0 else LAMP_SPACING / 2)


def _crossing_z(k: int) -> float:
    return k * _CROSSING_SPACING + 44.0


def _near_crossing(z: float, margin: float) -> bool:
    offset = (z - 44.0 + _CROSSING_SPACING / 2) % _CROSSING_SPACING - _CROSSING_SPACING / 2
    return abs(offset) < margin


@lru_cache(maxsize=512)
def _oncoming_car(seed: int, k: int) -> Car:
    rng = stream(seed, _ONCOMING, k)
    kind = str(rng.choice(_KINDS, p=_KIND_SHARES))
    paint = _PAINTS[rng.integers(len(_PAINTS))]
    x = -1.75 + rng.uniform(-0.2, 0.2)
    return Car(x, 4.5 + rng.uniform(-14, 14), -1, kind, paint, True, 0.0, 1.0)


@lru_cache(maxsize=512)
def _building(seed: int, side: int, cell: int) -> Building | None:
    rng = stream(seed, _BUILDINGS, side, cell)
    if rng.uniform() < 0.16:
        return None
    tall = rng.uniform() < 0.18
    return Building(
        side=side,
        z0=18.0 * cell + rng.choice((0.0, 0.0, 1.4)),
        z1=18.0 * (cell + 1),
        height=rng.uniform(15, 22) if tall else rng.uniform(6.5, 12.5),
        depth=rng.uniform(9, 13),
        wall=_WALLS[rng.integers(len(_WALLS))],
        pitched=bool(not tall and rng.uniform() < 0.6),
        shop=bool(rng.uniform() < 0.4),
        warmth=float(rng.uniform(-2.0, 2.2)),
        key=(cell * 2 + (side > 0)) & 0xFFFFF,
    )


@lru_cache(maxsize=1024)
def _cell_trees(seed: int, side: int, cell: int) -> tuple[Tree, ...]:
    rng = stream(seed, _TREES, side, cell)
    trees = []
    z = 9.0 * cell + rng.uniform(1, 8)
    clear = not _near_crossing(z, 4.0)
    if rng.uniform() < 0.42 and clear:
        height = rng.uniform(4.5, 7.5)
        trees.append(Tree(side * 6.6, z, height, height * rng.uniform(0.5, 0.66), int(cell) % 5))
    if _building(seed, side, int(z // 18)) is None:
        for _ in range(3):
            height = rng.uniform(5, 11)
            x = side * rng.uniform(WALL_X + 1.5, WALL_X + 12)
            place = z + rng.uniform(-4, 4)
            trees.append(Tree(x, place, height, height * 0.75, int(rng.integers(5))))
    return tuple(trees)


@lru_cache(maxsize=1024)
def _parking_place(seed: int, side: int, cell: int) -> tuple[Thing, ...]:
    """A parked car, or at times somebody who stands at the empty place, or nothing."""
    rng = stream(seed, _PARKED, side, cell)
    z = 6.5 * cell + rng.uniform(0.2, 1.2)
    if _near_crossing(z + 2.2, 6.5):
        return ()
    draw = rng.uniform()
    if draw < 0.5:
        kind = str(rng.choice(_KINDS, p=_KIND_SHARES))
        paint = _PAINTS[rng.integers(len(_PAINTS))]
        warm = 0.7 if rng.uniform() < 0.15 else 0.0
        x = side * (4.72 + rng.uniform(-0.1, 0.1))
        rear = z if side > 0 else z + 4.6
        return (Car(x, rear, side, kind, paint, False, 0.0, warm),)
    if draw < 0.62:
        heading = rng.uniform(0, 2 * np.pi)
        height, key = rng.uniform(1.55, 1.85), int(rng.integers(1 << 20))
        x = side * rng.uniform(4.1, 5.4)
        return (Person(x, z + 2.0, heading, 0.0, 0.0, height, key),)
    return ()
