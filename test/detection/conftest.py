import os
from pathlib import Path

import pytest
from tiny_yolo import export_tiny_yolo

# Before the first import: no test installs packages or asks the network.
os.environ.setdefault("YOLO_AUTOINSTALL", "false")
os.environ.setdefault("YOLO_OFFLINE", "true")


def exported(factory: pytest.TempPathFactory, task: str = "") -> Path:
    pytest.importorskip("ultralytics", reason="needs the extra detect (pip install .[detect])")
    folder = factory.mktemp("yolo")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return export_tiny_yolo(folder, task).resolve()


@pytest.fixture(scope="session")
def yolo_onnx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network for detection."""
    return exported(tmp_path_factory)


@pytest.fixture(scope="session")
def yolo_seg_onnx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network for segmentation."""
    return exported(tmp_path_factory, "-seg")


@pytest.fixture(scope="session")
def yolo_cls_onnx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that only tells what an image shows as a whole."""
    return exported(tmp_path_factory, "-cls")
