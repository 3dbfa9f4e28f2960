"""The detector that the package ships, and where it lies."""

from pathlib import Path

from amg_fuse_ros.weights import FOLDER


def shipped_detector() -> Path:
    """Path of the shipped YOLO network.

    Raises:
        FileNotFoundError: If none is shipped; the message says what to do.
    """
    path = FOLDER / "detector.onnx"
    if not path.is_file():
        raise FileNotFoundError(
            "no detector is shipped with this version; name a YOLO network of yours (the setting "
            "model): a .onnx, .engine or .pt file, or an OpenVINO folder"
        )
    return path
