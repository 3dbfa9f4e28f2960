from pathlib import Path

import pytest
from tiny_yolo import exported


@pytest.fixture(scope="session")
def yolo_seg_onnx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network for segmentation."""
    return exported(tmp_path_factory, "-seg")


@pytest.fixture(scope="session")
def yolo_cls_onnx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that only tells what an image shows as a whole."""
    return exported(tmp_path_factory, "-cls")
