"""What lies complete in a folder of results, and what it was made of."""

import fcntl
import glob
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import amg_fuse_ros
from amg_fuse_ros.image_files import PARTIAL, write_whole

MANIFEST = "run.json"
JOURNAL = ".run.journal"

Stat = tuple[int, int]
"""Size in bytes and time of the last change in nanoseconds."""


class Manifest:
    """The ``run.json`` of a folder of fused images; use it in a ``with`` statement.

    While images come in, each is noted by a line in a journal, which survives a killed process;
    leaving the ``with`` statement makes it part of the manifest. Images that were made by another
    recipe are removed when the manifest is opened, so that a folder never mixes two.
    """

    def __init__(self, folder: Path, recipe: Mapping[str, Any]) -> None:
        """Read what is there.

        Args:
            folder: Of the results; made when the first is noted.
            recipe: What fuses, as JSON knows it; see :meth:`amg_fuse_ros.offline.Recipe.card`.
        """
        self._folder = folder
        self._recipe = dict(recipe)
        self._images: dict[str, dict[str, Any]] = {}
        self._journal: Any = None

    def __enter__(self) -> "Manifest":
        journal = self._folder / JOURNAL
        runs = [_finished_run(self._folder), _killed_run(journal)]
        for made_by, images in runs:
            if same_recipe(made_by, self._recipe):
                self._images.update(images)
            else:
                self._remove(images)
        if runs[1][1]:
            self._write()
        journal.unlink(missing_ok=True)
        remove_partials(self._folder)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def is_complete(self, name: str, inputs: Mapping[str, Stat], outputs: Iterable[Path]) -> bool:
        """Whether all outputs are there, made of these inputs."""
        known = self._images.get(name)
        if known is None or any(stat_of(path)[0] == 0 for path in outputs):
            return False
        return all(known.get(role) == list(stat) for role, stat in inputs.items())

    def note(self, name: str, inputs: Mapping[str, Stat], **more: str) -> None:
        """Tell that a result is there.

        Args:
            name: The images' common name.
            inputs: As they were before they were read, by role.
            more: Anything else worth knowing.
        """
        if self._journal is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._journal = (self._folder / JOURNAL).open("a", encoding="utf-8")
            self._journal.write(json.dumps(self._recipe) + "\n")
        image = {**{role: list(stat) for role, stat in inputs.items()}, **more}
        self._images[name] = image
        self._journal.write(json.dumps({"name": name, "image": image}) + "\n")
        self._journal.flush()

    def close(self) -> None:
        """Make the journal part of the manifest; done by leaving the ``with`` statement."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None
            self._write()
            (self._folder / JOURNAL).unlink(missing_ok=True)

    def _remove(self, names: Iterable[str]) -> None:
        for name in names:
            if Path(name).name == name:  # nothing beyond this folder, whatever the file says
                for place in _places(self._folder):
                    (place / f"{name}.png").unlink(missing_ok=True)

    def _write(self) -> None:
        images = {name: self._images[name] for name in sorted(self._images)}
        write_manifest(self._folder, {**self._recipe, "images": images})


class OnlyOne:
    """Keeps two runs from working into one folder; use it in a ``with`` statement.

    Raises:
        ValueError: On entering, if another run works there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._handle = -1

    def __enter__(self) -> "OnlyOne":
        self._folder.mkdir(parents=True, exist_ok=True)
        self._handle = os.open(self._folder, os.O_RDONLY)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._handle)
            raise ValueError(
                f"another run writes into {self._folder}; wait for its end or name another"
            ) from error
        except OSError:
            pass  # a file system without locks: then it is up to people
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._handle)


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The ``run.json`` of a folder of results; ``None`` where there is none that can be read."""
    try:
        content = json.loads((folder / MANIFEST).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def write_manifest(folder: Path, content: Mapping[str, Any]) -> None:
    """Write the ``run.json`` of a folder of results, whole or not at all.

    Raises:
        OSError: If it cannot be written.
    """
    made_by = {"made_by": f"amg_fuse_ros {amg_fuse_ros.__version__}"}
    text = json.dumps({**made_by, **content}, indent=1, ensure_ascii=False)
    write_whole(folder / MANIFEST, f"{text}\n".encode())


def stat_of(path: Path) -> Stat:
    """Size and time of the last change of a file; zeros where there is none."""
    try:
        stat = path.stat()
    except OSError:
        return 0, 0
    return stat.st_size, stat.st_mtime_ns


def same_recipe(made_by: Mapping[str, Any], recipe: Mapping[str, Any]) -> bool:
    """Whether results were made by a recipe; of its weights the content counts, not the name."""
    return all(made_by.get(key) == recipe[key] for key in recipe.keys() - {"weights_file"})


def remove_partials(folder: Path, name: str = "") -> None:
    """Remove what a killed run left half-written in a folder; only under `OnlyOne`.

    Args:
        folder: Of results.
        name: Only what would have become this.
    """
    for place in _places(folder):
        for partial in place.glob(f".{glob.escape(name) or '*'}{PARTIAL}*"):
            if partial.is_dir() and not partial.is_symlink():
                shutil.rmtree(partial, ignore_errors=True)
            else:
                partial.unlink(missing_ok=True)


_Images = dict[str, dict[str, Any]]


def _finished_run(folder: Path) -> tuple[dict[str, Any], _Images]:
    """What made the images of a folder, and what it was made of, by name."""
    content = read_manifest(folder) or {}
    images = content.get("images")
    if not isinstance(images, dict):
        return content, {}
    return content, {name: image for name, image in images.items() if isinstance(image, dict)}


def _killed_run(journal: Path) -> tuple[dict[str, Any], _Images]:
    """The same of a run that did not come to its end."""
    lines = []
    with suppress(OSError, ValueError):  # the last line of a killed process may be cut off
        for line in journal.read_text("utf-8", errors="replace").splitlines():
            lines.append(json.loads(line))  # noqa: PERF401 - those before a damaged one count
    if not lines or not all(isinstance(line, dict) for line in lines):
        return {}, {}
    notes = (line for line in lines[1:] if isinstance(line.get("image"), dict))
    return lines[0], {str(line.get("name")): line["image"] for line in notes}


def _places(folder: Path) -> tuple[Path, ...]:
    return folder, folder / "mask", folder / "side_by_side"
