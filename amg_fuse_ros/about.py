"""What is installed here and what the weights are, as ``amg-fuse info`` shows it."""

import platform
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import torch

import amg_fuse_ros
from amg_fuse_ros.engine import ENGINES, UNTRIED, EngineUnavailableError, create_engine
from amg_fuse_ros.engine.choice import choices, usual
from amg_fuse_ros.network import FusionNetwork, load_weights, make_network, read_card
from amg_fuse_ros.weights import find_weights
from amg_fuse_ros.weights.detector import shipped_detector


def describe(weights: str | None = None, device: str = "auto") -> Iterator[str]:
    """Lines for people: versions, devices, engines, ROS parts, weights, what auto takes.

    Args:
        weights: File to tell about, by default the shipped one that is taken here.
        device: Where engines shall run.

    Raises:
        FileNotFoundError: If the file is not there.
        ValueError: If it cannot be used.
    """
    yield f"amg_fuse_ros {amg_fuse_ros.__version__}, Python {platform.python_version()}"
    yield f"torch {torch.__version__}, {torch.get_num_threads()} CPU threads, {_cuda()}"
    for package in ("numpy", "opencv-python", "numba", "rosbags", "rosbags-image"):
        yield f"{package} {_version(package)}"
    yield f"rclpy: {_is_there('rclpy', 'no ROS 2 here; the node cannot run')}"
    yield f"cv_bridge: {_is_there('cv_bridge', 'rosbags-image converts messages')}"
    yield f"message_filters: {_is_there('message_filters', 'the own synchronizer pairs')}"
    yield f"vision_msgs: {_is_there('vision_msgs', 'detector_node cannot run')}"
    yield f"ultralytics (detector_node) {_version('ultralytics')}; {_shipped_detector()}"
    for name in ENGINES:
        yield f"engine {name}: {_try_engine(name, device)}"
    path = find_weights(weights, device=device)
    network = load_weights(path)
    yield from _describe_weights(path, network)
    yield from _describe_choice(network, device)


def _describe_weights(path: Path, network: FusionNetwork) -> Iterator[str]:
    parameters = sum(p.numel() for p in network.parameters())
    yield f"weights {path}: size {network.size.name}, {parameters:,} parameters"
    for key, value in read_card(path).items():
        if key != "size":
            yield f"  {key}: {value}"


def _describe_choice(network: FusionNetwork, device: str) -> Iterator[str]:
    where = create_engine(make_network("nano"), "eager", device).device
    found = choices(network, where)
    for (height, width), choice in sorted(found.items()):
        yield f"auto at {width}x{height}: {choice.engine} {choice.precision}; {choice.why}"
    elsewhere = "at other resolutions" if found else "nothing was measured here"
    otherwise = usual(network.size.name, where)
    name = "eager" if otherwise is None else f"{otherwise.engine} {otherwise.precision}"
    yield f"auto: {name}, {elsewhere} (amg-fuse build-engine --resolution WxH measures)"


def _try_engine(name: str, device: str) -> str:
    untried = f", {UNTRIED[name]}" if name in UNTRIED else ""
    try:
        engine = create_engine(make_network("nano"), name, device)
    except EngineUnavailableError as error:
        return f"not here: {error}{untried}"
    return f"{engine.precision} on {engine.device}{untried}"


def _shipped_detector() -> str:
    try:
        return f"shipped: {shipped_detector()}"
    except FileNotFoundError:
        return "no detector is shipped"


def _cuda() -> str:
    if not torch.cuda.is_available():
        return "no CUDA device"
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return "CUDA: " + ", ".join(names)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _is_there(module: str, otherwise: str) -> str:
    if find_spec(module) is None:
        return f"not installed, {otherwise}"
    try:
        import_module(module)
    except ImportError as error:
        return f"installed but not usable ({error}), {otherwise}"
    return "installed"
