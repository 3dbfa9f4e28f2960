"""What a fused image depends on, as a key: results are kept by content, not by name or date."""

import hashlib
import importlib.metadata
import os
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from training.benchmark.methods import CLEAN, Method
from training.metrics.folder import default_cache

ROOT = Path(__file__).parents[2]
_NETWORK_CODE = ("fusion.py", "engine", "imaging", "network")
_RESTORER_CODE = ("restorer", "unet.py")


class FusedStore:
    """A folder that keeps fused images by key, as PNG files.

    Args:
        folder: Made when the first image comes; ``None`` for the user's cache.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or default_cache().with_name("fused")

    def recall(self, key: str) -> bytes | None:
        """The image of this key, if it is there."""
        try:
            return self._path(key).read_bytes() or None
        except OSError:
            return None

    def keep(self, key: str, png: bytes) -> None:
        """Keep an image; a reader beside us never sees half of it.

        Raises:
            OSError: It cannot be written.
        """
        write_whole(self._path(key), png)

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.png"


def write_whole(path: Path, content: bytes) -> None:
    """Write a file and make its folder; it is there whole or not at all.

    Raises:
        OSError: It cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    partial.write_bytes(content)
    partial.replace(path)


@cache
def method_key(method: Method) -> str:
    """Digest of a method's settings, weights, restorer and code; its name does not count.

    Raises:
        OSError: A weights file cannot be read.
    """
    parts: list[bytes] = [
        repr((method.kind, method.size, method.engine, method.device, method.precision)).encode()
    ]
    if method.kind == "weights":
        parts += [Path(method.source).read_bytes(), torch_version().encode()]
        parts += _code(ROOT / "amg_fuse_ros" / name for name in _NETWORK_CODE)
    elif method.kind == "baseline":
        parts += [method.source.encode()]
        parts += _code([ROOT / "training" / "baselines.py"])
    if method.restore and method.restore != CLEAN:
        parts += [Path(method.restore).read_bytes(), torch_version().encode()]
        parts += _code(ROOT / "training" / name for name in _RESTORER_CODE)
    return digest(parts)


def image_key(method: Method, thermal: Path, visible: Path) -> str:
    """Digest of a method and the content of its two inputs.

    Raises:
        OSError: A file cannot be read.
    """
    contents = (hashlib.sha256(path.read_bytes()).digest() for path in (thermal, visible))
    return digest([method_key(method).encode(), *contents])


def digest(parts: Iterable[bytes]) -> str:
    """Digest of several contents; where one ends and the next begins counts."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(hashlib.sha256(part).digest())
    return whole.hexdigest()


def torch_version() -> str:
    """Version of torch, without importing it."""
    return importlib.metadata.version("torch")


def _code(paths: Iterable[Path]) -> Iterator[bytes]:
    for path in paths:
        files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
        yield from (file.read_bytes() for file in files)
