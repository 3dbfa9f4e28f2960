"""Find objects in images with a YOLO file."""

import logging
import threading
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from amg_fuse_ros.detection.detections import Detections, DetectionSettings
from amg_fuse_ros.detection.yolo import Yolo

logger = logging.getLogger(__name__)

NOT_A_NETWORK = {".yaml", ".yml", ".safetensors"}


class Detector:
    """A YOLO network with its live settings; made by :meth:`load`.

    One image at a time; calls from several threads wait for each other.
    """

    def __init__(self, yolo: Yolo) -> None:
        self._yolo = yolo
        self._settings = DetectionSettings()
        self._one_at_a_time = threading.Lock()

    @classmethod
    def load(cls, path: str | Path, device: str = "auto", half: bool = False) -> "Detector":
        """Load a network for detection or segmentation.

        Nothing is downloaded or installed, whatever the file asks for. A ``.pt`` file is a pickle:
        loading it runs the code that it carries, so name only files from sources you trust. The
        same network as ONNX or OpenVINO carries none.

        Args:
            path: Any file or folder that ultralytics loads: ``.onnx``, an OpenVINO folder
                (``NAME_openvino_model``), ``.engine``, ``.pt``...
            device: ``"auto"`` (CUDA where there is one, else the CPU), ``"cpu"``, ``"cuda:0"``...
            half: Half precision; on CUDA only, elsewhere the network keeps its own.

        Raises:
            ModuleNotFoundError: ultralytics is not installed.
            FileNotFoundError: There is no such file or folder.
            ValueError: The file cannot be read as a network, is made for another task, or the
                device is not there.
        """
        path = Path(path)
        if not path.exists():
            raise FileNotFoundError(
                f"{path}: no such file or folder; expected a YOLO network (.onnx, .engine, .pt or "
                "an OpenVINO folder). Nothing is downloaded: give the path of a file you have"
            )
        if path.suffix.lower() in NOT_A_NETWORK:
            raise ValueError(
                f"{path} is no trained YOLO network; expected .onnx, .engine, .pt or an OpenVINO "
                "folder, as `yolo export` writes them"
            )
        if path.suffix.lower() in {".pt", ".pth"}:
            logger.warning(
                "%s is a pickle and can run any code while it is loaded: use files from sources "
                "you trust only, or convert it once: amg-fuse convert-detector %s --out %s.onnx",
                path,
                path.name,
                path.stem,
            )
        return cls(Yolo(path, device, half))

    @property
    def names(self) -> Mapping[int, str]:
        """Class number to class name."""
        return self._yolo.names

    @property
    def segments(self) -> bool:
        """Whether detections come with masks."""
        return self._yolo.task == "segment"

    @property
    def device(self) -> str:
        """Where the network runs, in PyTorch's words."""
        return self._yolo.device

    @property
    def settings(self) -> DetectionSettings:
        """What the next image is looked at with."""
        return self._settings

    def check_settings(self, settings: DetectionSettings) -> None:
        """Find out, without waiting for an image under way, whether settings can be used.

        Raises:
            ValueError: The network does not know one of the classes.
            ModuleNotFoundError: Tracking is asked for and its library is not installed.
        """
        known = set(self.names.values())
        if unknown := [name for name in settings.classes if name not in known]:
            raise ValueError(
                f"classes: the network does not know {', '.join(unknown)}; "
                f"it knows {', '.join(self.names.values())}"
            )
        if settings.tracking:
            self._yolo.check_tracker()

    def change_settings(self, settings: DetectionSettings) -> None:
        """Use other settings from the next image on.

        Raises:
            ValueError: The network does not know one of the classes; the settings stay.
            ModuleNotFoundError: Tracking is asked for and its library is not installed.
        """
        self.check_settings(settings)
        with self._one_at_a_time:
            if settings.tracking:
                self._yolo.track(settings)
            else:
                self._yolo.forget_tracks()
            self._settings = settings

    def forget_tracks(self) -> None:
        """Begin tracking anew: after a jump in time, or with another camera."""
        with self._one_at_a_time:
            self._yolo.forget_tracks()
            if self._settings.tracking:
                self._yolo.track(self._settings)

    def warm_up(self, size: tuple[int, int]) -> None:
        """Run once on a grey image, so that the first real one is not late.

        Args:
            size: Height and width of the images to come, in pixels.
        """
        grey = np.full((*size, 3), 114, np.uint8)
        _check_image(grey)
        with self._one_at_a_time:
            self._yolo.run(grey, DetectionSettings())

    def detect(self, image: NDArray[np.uint8]) -> Detections:
        """Find the objects in an image.

        Args:
            image: RGB, H W 3, uint8, at least one pixel.

        Raises:
            ValueError: The image has another shape or type, or no pixels.
        """
        _check_image(image)
        with self._one_at_a_time:
            return self._yolo.run(image, self._settings)


def _check_image(image: NDArray[np.uint8]) -> None:
    found = f"found {image.dtype} of the shape {image.shape}"
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        grey = "; give a grey image three equal channels" if image.ndim == 2 else ""
        raise ValueError(f"expected an RGB image, H W 3, uint8, {found}{grey}")
    if 0 in image.shape:
        raise ValueError(f"expected an image with at least one pixel, {found}")
