"""A YOLO network in another form: without the pickle that a .pt file is, or faster here."""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from amg_fuse_ros.detection.detector import Detector
from amg_fuse_ros.detection.yolo import export

FORMS = {".onnx": "onnx", "_openvino_model": "openvino", ".engine": "engine"}
"""How the name of what is written ends: what ultralytics calls the form."""

SIDE_STEP = 32
"""The network's coarsest grid: sides are multiples of it, in pixels."""


def convert(
    model: Path, out: Path, size: tuple[int, int], *, half: bool = False, device: str = "auto"
) -> Mapping[int, str]:
    """Write a trained network in the form that the new name asks for, and try it.

    The network's file is a pickle, and the code that it carries is run: use files from sources you
    trust only.

    Args:
        model: A ``.pt`` file.
        out: ``NAME.onnx``, ``NAME_openvino_model`` (a folder) or ``NAME.engine`` (TensorRT, for
            this machine only).
        size: Height and width of what the network sees, in pixels, multiples of 32; images of
            other sizes are fitted into it.
        half: Half precision.
        device: Where the conversion runs: ``"auto"``, ``"cpu"``, ``"cuda:0"``...

    Returns:
        Class number to class name.

    Raises:
        FileExistsError: There is something at ``out``.
        FileNotFoundError: There is no such model.
        ModuleNotFoundError: ultralytics is not installed.
        ValueError: The model cannot be read or converted, or the name or the size are not right.
    """
    form = next((form for ending, form in FORMS.items() if out.name.endswith(ending)), None)
    if form is None:
        raise ValueError(
            f"{out}: expected a name that ends in {', '.join(FORMS)}, which says what is written"
        )
    if any(side < SIDE_STEP or side % SIDE_STEP for side in size):
        raise ValueError(
            f"expected a height and a width in multiples of {SIDE_STEP}, found {size[0]}, {size[1]}"
        )
    if out.exists():
        raise FileExistsError(f"{out} exists already; name another file or remove it")
    if not model.is_file():
        raise FileNotFoundError(f"{model}: no such file; expected a trained network, .pt")
    out.parent.mkdir(parents=True, exist_ok=True)
    # What ultralytics writes lies beside the file that it reads.
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as folder:
        copy = Path(folder) / f"{model.stem}.pt"
        shutil.copyfile(model, copy)
        written = export(copy, form, size, half=half, device=device)
        converted = written.rename(Path(folder) / out.name)
        detector = Detector.load(converted, device, half)
        detector.warm_up(size)
        converted.rename(out)
    return detector.names
