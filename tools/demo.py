"""The demo: real cameras' messages over real DDS through the real node, then pictures to look at.

Draws a street in fog, rain and snow (or takes a folder of pairs), makes a bag of it, starts the
fusion node in its own process, plays the bag into it in another, records what the node publishes,
and writes a summary and pictures to ``demo/``.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any

import cv2
import numpy as np
import typer
from numpy.typing import NDArray

if TYPE_CHECKING:
    from amg_fuse_ros.scenes.lighting import TimeOfDay, Weather
    from tools.demo_recorder import Recorded

ROOT = Path(__file__).resolve().parents[1]

SCENES: "tuple[tuple[Weather, TimeOfDay, int, float], ...]" = (
    ("rain", "night", 2, 9.5),
    ("fog", "day", 4, 19.5),
    ("snow", "day", 4, 20.5),
)
"""Weather, time of day, seed, and the second at which the demo looks: people are crossing there."""

MODULES = {
    "fusion_node": "amg_fuse_ros.ros.executables",
    "bag_player": "amg_fuse_ros.ros.bag_player",
}

SECONDS_PER_SCENE = 2.0
FPS = 30.0
START_TIMEOUT_S = 90.0
QUIET_S = 3.0
"""The node has nothing left to do when it has published nothing for this long."""


def main(
    data: Annotated[
        Path | None, typer.Option(help="Real pairs instead of the drawn street: ir/ + vi/.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("demo"),
    scale: Annotated[
        float, typer.Option(help="The live part is fused at this fraction of the RGB size.")
    ] = 1.0,
    fps: Annotated[float, typer.Option(help="Rate of the bag.")] = FPS,
    weights: Annotated[str, typer.Option(help="Weights file instead of the shipped one.")] = "",
    size: Annotated[
        str, typer.Option(help="nano, tiny or full; auto: tiny with a GPU, else nano.")
    ] = "auto",
) -> None:
    """Run the demo."""
    _prepare_environment()
    for name in ("samples", "bag", "fused_bag", "pictures"):
        shutil.rmtree(out / name, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)

    if data is None:
        _say("drawing a street in rain, fog and snow ...")
        thermal, rgb = _draw_samples(out / "samples", fps)
    else:
        thermal, rgb = _find_folders(data)
    from amg_fuse_ros.bags import make_bag

    written = make_bag(thermal, rgb, fps, out / "bag")
    _say(f"bag: {written.pairs} pairs at {fps:g} Hz in {out / 'bag'}")

    parameters: dict[str, object] = {
        "network.scale": scale,
        "network.size": size,
        "network.warm_up": _resolution(rgb),
    }
    if weights:
        parameters["network.weights"] = weights
    with _process("fusion_node", out, parameters) as node:
        recorded = _record(node, out, written.pairs / fps)
    _say(recorded.summary(written.pairs, scale))
    if not recorded.frames:
        raise SystemExit(f"the node published nothing; its log is {out / 'fusion_node.log'}")
    recorded.write_bag(out / "fused_bag")
    _write_live_pictures(recorded, out / "pictures")
    _write_full_scale_pictures(thermal, rgb, out / "pictures", weights, size, scale)
    _say(f"pictures: {out / 'pictures'}; recording: {out / 'fused_bag'}")


def _prepare_environment() -> None:
    """A ROS domain of its own on this machine, and a DDS profile that carries images."""
    os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ.setdefault("FASTRTPS_DEFAULT_PROFILES_FILE", str(ROOT / "config" / "fastdds.xml"))


def _draw_samples(folder: Path, fps: float) -> tuple[Path, Path]:
    from amg_fuse_ros.scenes import Scene, write_folders

    scenes = [
        (Scene(seed, time_of_day=time, weather=weather), start, SECONDS_PER_SCENE)
        for weather, time, seed, start in SCENES
    ]
    write_folders(folder, scenes, fps)
    return folder / "thermal", folder / "rgb"


def _find_folders(data: Path) -> tuple[Path, Path]:
    for thermal, rgb in (("ir", "vi"), ("thermal", "rgb"), ("thermal", "visible")):
        if (data / thermal).is_dir() and (data / rgb).is_dir():
            return data / thermal, data / rgb
    raise SystemExit(f"{data}: expected folders ir/ and vi/, or thermal/ and rgb/")


def _resolution(rgb: Path) -> str:
    """Of the first image, so that the engine is ready for it when the bag is played."""
    from amg_fuse_ros.bags.folders import read_rgb

    height, width = read_rgb(min(p for p in rgb.iterdir() if p.is_file())).shape[:2]
    return f"{width}x{height}"


@contextmanager
def _process(
    executable: str, out: Path, parameters: Mapping[str, object]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run an executable of the package with ROS parameters; ended by SIGINT as by Ctrl-C."""
    command = [sys.executable, "-m", MODULES[executable], "--ros-args"]
    for name, value in parameters.items():
        command += ["-p", f"{name}:={value}"]
    with (out / f"{executable}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _record(node: subprocess.Popen[bytes], out: Path, seconds: float) -> "Recorded":
    """Start the player when the node is ready, and record until both are done."""
    import rclpy

    from tools.demo_recorder import Recorder

    rclpy.init()
    recorder = Recorder()
    recorded = recorder.recorded
    try:
        _say("starting the node ...")
        began = monotonic()
        while not recorder.node_is_ready():
            rclpy.spin_once(recorder, timeout_sec=0.2)
            if node.poll() is not None or monotonic() - began > START_TIMEOUT_S:
                return recorded
        _say(f"node ready after {monotonic() - began:.1f} s; playing {seconds:.1f} s of bag ...")
        options = {"bag": out / "bag", "stamp": "now", "wait_for_subscribers": 2}
        with _process("bag_player", out, options) as player:
            last = monotonic()
            while player.poll() is None or monotonic() - last < QUIET_S:
                before = len(recorded.frames)
                rclpy.spin_once(recorder, timeout_sec=0.2)
                if player.poll() is None or len(recorded.frames) > before:
                    last = monotonic()
    finally:
        recorder.destroy_node()
        rclpy.try_shutdown()
    return recorded


def _write_live_pictures(recorded: "Recorded", folder: Path) -> None:
    """What came back over DDS: the fused image, the mask over it, everything side by side."""
    from amg_fuse_ros.imaging.visualize import color_mask, overlay_mask, side_by_side

    frames = recorded.frames
    for number, frame in enumerate(frames[:: max(1, len(frames) // 6)][:6]):
        _write_rgb(folder / f"live_{number}_fused.png", frame.image)
        panels: dict[str, NDArray[Any]] = {}
        if frame.rgb is not None:
            panels["RGB camera"] = frame.rgb
        if frame.thermal is not None:
            panels["thermal camera"] = frame.thermal
        panels["fused"] = frame.image
        if frame.mask is not None:
            overlay = overlay_mask(frame.image, frame.mask)
            _write_rgb(folder / f"live_{number}_mask_overlay.png", overlay)
            panels["mask: blue RGB, red thermal"] = color_mask(frame.mask)
        _write_rgb(folder / f"live_{number}_side_by_side.png", side_by_side(panels))


def _write_full_scale_pictures(
    thermal: Path, rgb: Path, folder: Path, weights: str, size: str, scale: float
) -> None:
    """Three pairs fused offline at full scale, so that the pictures show what the network can."""
    if scale == 1.0:
        return
    from amg_fuse_ros.bags import pair_files
    from amg_fuse_ros.fusion import Fuser
    from amg_fuse_ros.image_files import fuse_files

    _say("fusing three pairs at full scale for the pictures ...")
    pairs = pair_files(thermal, rgb).pairs
    picked = [pairs[int(len(pairs) * share)] for share in (1 / 6, 1 / 2, 5 / 6)]
    fuser = Fuser.from_options(weights=weights, size=size)
    fuse_files(picked, folder / "full_scale", fuser, mask=True, side_by_side=True)


def _write_rgb(path: Path, image: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR)):
        raise OSError(f"{path}: cannot be written")


def _say(text: str) -> None:
    typer.echo(text)


if __name__ == "__main__":
    typer.run(main)
