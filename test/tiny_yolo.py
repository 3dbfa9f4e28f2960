"""A YOLO of a few kilobytes with random weights, made from ultralytics' own description."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

# Before ultralytics is imported: no test installs packages or asks the network.
os.environ.setdefault("YOLO_AUTOINSTALL", "false")
os.environ.setdefault("YOLO_OFFLINE", "true")

NAMES = {0: "person", 1: "bicycle", 2: "car"}
SIDE = 64
"""Of the square that the network sees."""


def exported(factory: pytest.TempPathFactory, task: str = "") -> Path:
    """The path of a new ONNX file, for a fixture; see `export_tiny_yolo`."""
    pytest.importorskip("ultralytics", reason="needs the extra detect (pip install .[detect])")
    folder = factory.mktemp("yolo")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return export_tiny_yolo(folder, task).resolve()


def export_tiny_yolo(folder: Path, task: str = "") -> Path:
    """An ONNX file with the .pt file that it was made from beside it.

    One that detects reports a small box around each point of its grids.

    Args:
        folder: Where to.
        task: ``""`` to detect, ``"-seg"``, ``"-cls"``.
    """
    import torch
    import ultralytics

    described = Path(ultralytics.__file__).parent / "cfg" / "models" / "11" / f"yolo11{task}.yaml"
    description = yaml.safe_load(described.read_text())
    description["nc"] = len(NAMES)
    description["scales"]["n"] = [0.33, 0.0625, 128]
    path = folder / f"yolo11n{task}.yaml"
    path.write_text(yaml.safe_dump(description))
    torch.manual_seed(0)
    yolo = ultralytics.YOLO(str(path))
    yolo.model.names = NAMES
    if task != "-cls":
        _speak_up(yolo.model)
    # `export` writes beside the file that the network came from.
    yolo.model.pt_path = str(path.with_suffix(".pt"))
    # `save` would store half precision, in which these weights are not finite.
    arguments = {"task": yolo.task, "imgsz": SIDE}
    torch.save({"model": yolo.model, "train_args": arguments}, path.with_suffix(".pt"))
    return Path(yolo.export(format="onnx", imgsz=SIDE, simplify=False, verbose=False))


def _speak_up(network: Any) -> None:
    """Boxes of one stride to each side and scores from 0 to 1: random ones are huge and near 0."""
    import torch

    head = network.model[-1]
    last = [classes[-1] for classes in head.cv3]
    seen: dict[int, Any] = {}
    for layer in last:
        layer.register_forward_hook(lambda layer, _, out: seen.update({id(layer): out}))
    with torch.no_grad():
        for boxes, layer in zip(head.cv2, last, strict=True):
            boxes[-1].weight.zero_()
            boxes[-1].bias.zero_()
            boxes[-1].bias.view(4, -1)[:, 1] = 20.0
            layer.bias.zero_()
        network.eval()(torch.rand(1, 3, SIDE, SIDE))
        for layer in last:
            values = seen[id(layer)]
            layer.weight.mul_(2 / values.std())
            layer.bias.copy_(-2 * values.mean(dim=(0, 2, 3)) / values.std() - 1.5)
            layer._forward_hooks.clear()
