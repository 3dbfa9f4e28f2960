"""Pseudo ground truth kept on disk, so that each pair is fused once."""

import hashlib
import os
import tempfile
import warnings
from pathlib import Path

import cv2
import numpy as np

from training.pseudo_truth.protocol import FloatImage, PseudoTruth


class CachedPseudoTruth:
    """A generator whose images are looked up on disk before they are made.

    An entry is an 8-bit PNG under the hash of the pair's content and the generator's name and
    version. Many processes may share a directory: files appear whole or not at all. An unreadable
    entry is made anew; a full disk costs a warning and the cache, never the training.

    Args:
        generator: makes the images.
        directory: where they are kept; created when missing.
    """

    def __init__(self, generator: PseudoTruth, directory: str | os.PathLike[str]) -> None:
        self._generator = generator
        self._directory = Path(directory)
        self._directory.mkdir(parents=True, exist_ok=True)

    @property
    def name(self) -> str:
        """The generator's name."""
        return self._generator.name

    @property
    def version(self) -> str:
        """The generator's version."""
        return self._generator.version

    def path(self, visible: FloatImage, thermal: FloatImage) -> Path:
        """Where this pair's image is or would be kept."""
        digest = hashlib.sha256(f"{self.name}\n{self.version}\n".encode())
        for image in (visible, thermal):
            array = np.ascontiguousarray(image, np.float32)
            digest.update(f"{array.shape}".encode())
            digest.update(array.data)
        return self._directory / f"{digest.hexdigest()}.png"

    def __call__(self, visible: FloatImage, thermal: FloatImage) -> FloatImage:
        """Fuse one pair, or read what was fused before.

        Args:
            visible: H x W x 3 RGB, float32 in [0, 1].
            thermal: H x W, float32 in [0, 1].

        Returns:
            H x W x 3 RGB, float32 in [0, 1], rounded to 256 levels whether read or made.
        """
        path = self.path(visible, thermal)
        pixels = _read(path)
        if pixels is None or pixels.shape != visible.shape:
            fused = self._generator(visible, thermal)
            pixels = cv2.convertScaleAbs(np.clip(fused, 0.0, 1.0), alpha=255.0)
            try:
                _write(path, pixels)
            except OSError as error:
                warnings.warn(
                    f"pseudo ground truth is not cached: cannot write {path} ({error}); "
                    "free some space or choose another directory.",
                    stacklevel=2,
                )
        return pixels.astype(np.float32) / np.float32(255.0)


def _read(path: Path) -> np.ndarray | None:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    if not data:
        return None
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return None if image is None else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _write(path: Path, pixels: np.ndarray) -> None:
    _, data = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data.tobytes())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
