"""Where built engines are kept between starts, and how a stale one is told from a good one."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from amg_fuse_ros.engine.progress import LOGGER

KEY_FILE = "key.json"

Key = Mapping[str, str]
"""Everything that an engine depends on, by name."""

SAME_PURPOSE = ("engine", "weights", "size", "resolution", "precision")
"""Entries that agree in these and differ in others are old builds of the same thing."""


def cache_folder() -> Path:
    """``$AMG_FUSE_CACHE``, else ``amg_fuse_ros`` in the user's cache folder."""
    if own := os.environ.get("AMG_FUSE_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "amg_fuse_ros"


def entry_of(key: Key) -> Path:
    """The folder for what ``key`` describes, whether it is there or not."""
    digest = hashlib.sha256(json.dumps(dict(key), sort_keys=True).encode()).hexdigest()[:16]
    return cache_folder() / "engines" / f"{key['engine']}-{digest}"


def find(key: Key) -> Path | None:
    """The folder that was built for exactly this key."""
    entry = entry_of(key)
    return entry if _read_key(entry) == dict(key) else None


def find_or_build(key: Key, build: Callable[[Path], None]) -> Path:
    """The folder for ``key``, built when it is not there; old builds of the same are removed.

    Args:
        key: What it depends on.
        build: Fills the empty folder that it is given. An exception leaves nothing behind.
    """
    if (entry := find(key)) is not None:
        return entry
    for old, difference in stale(key):
        LOGGER.info("the kept %s engine is stale (%s): it is built anew", key["engine"], difference)
        shutil.rmtree(old, ignore_errors=True)
    entry = entry_of(key)
    partial = entry.with_name(f"{entry.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        build(partial)
        (partial / KEY_FILE).write_text(json.dumps(dict(key), indent=1))
        shutil.rmtree(entry, ignore_errors=True)
        try:
            partial.rename(entry)
        except OSError:  # another process was quicker
            if find(key) is None:
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return entry


def stale(key: Key) -> list[tuple[Path, str]]:
    """Old builds of the same purpose, each with what differs, in words."""
    found = []
    for entry in sorted((cache_folder() / "engines").glob(f"{key['engine']}-*")):
        old = _read_key(entry)
        if old is None or any(old.get(name) != key.get(name) for name in SAME_PURPOSE):
            continue
        differences = [
            f"{name} was {old.get(name)}, is {key.get(name)}"
            for name in sorted(old.keys() | key.keys())
            if old.get(name) != key.get(name)
        ]
        if differences:
            found.append((entry, ", ".join(differences)))
    return found


def _read_key(entry: Path) -> dict[str, str] | None:
    try:
        key = json.loads((entry / KEY_FILE).read_text())
    except (OSError, ValueError):
        return None
    return key if isinstance(key, dict) else None
