"""What every test may ask for."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny_yolo import exported

ROOT = Path(__file__).resolve().parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests that talk over DDS or start processes a second chance, which the report shows.

    On a machine that others keep busy a discovery or an answer gets lost once in thousands; a
    defect fails twice.
    """
    for item in items:
        if item.get_closest_marker("ros") or ROOT / "test" / "ros" in item.path.parents:
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture(scope="session", autouse=True)
def engine_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache folder of the tests' own: what this machine has measured or built does not count."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AMG_FUSE_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder of shared data and golden values: ``AMG_SHARED``, else ``../shared``."""
    path = Path(os.environ.get("AMG_SHARED", ROOT.parent / "shared"))
    if not path.is_dir():
        pytest.skip(f"no shared data at {path.name!r} beside the checkout (set AMG_SHARED)")
    return path


@pytest.fixture(scope="session")
def random_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights file of size tiny with random weights: the right form, no useful picture."""
    import torch

    from amg_fuse_ros.network import AMGFuse, save_weights

    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    torch.manual_seed(0)
    save_weights(AMGFuse.from_size("tiny"), path, {"data": "none, these weights are random"})
    return path


@pytest.fixture(scope="session")
def yolo_onnx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A YOLO network for detection, with random weights."""
    return exported(tmp_path_factory)
