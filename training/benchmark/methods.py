"""The file of methods: what is compared, read from YAML and checked before anything runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from training.baselines import BASELINES

DEFAULT_FILE = Path(__file__).with_name("default_methods.yaml")
CLEAN = "@clean"
"""In the place of a restorer: the method is handed the clean pair, as by a perfect restorer."""
SHIPPED = "shipped"

KINDS = ("weights", "baseline", "results")
_ENGINE_OPTIONS = ("size", "engine", "device", "precision")
_ONE_CAMERA = ("visible", "thermal")


class MethodsError(ValueError):
    """A file of methods that cannot be used: which file and entry, what was expected, found."""


@dataclass(frozen=True)
class Method:
    """One way to make a fused image.

    Attributes:
        name: What tables and pictures call it.
        kind: One of `KINDS`.
        source: Weights file, name of a baseline, or folder of results.
        size: With weights, as for :meth:`amg_fuse_ros.fusion.Fuser.from_options`.
        engine: Likewise.
        device: Likewise.
        precision: Likewise.
        restore: Restorer's weights file, `CLEAN`, or "" for none. With results `CLEAN` tells
            that they were made from the clean pair.
    """

    name: str
    kind: str
    source: str
    size: str = "auto"
    engine: str = "auto"
    device: str = "auto"
    precision: str = "auto"
    restore: str = ""

    @property
    def ranked(self) -> bool:
        """Whether it takes part in best and second best.

        A copy of one camera fuses nothing, and who is handed the clean pair knows the answer.
        """
        return self.restore != CLEAN and not (self.kind == "baseline" and self.one_camera)

    @property
    def one_camera(self) -> bool:
        """Whether it is a copy of one camera."""
        return self.kind == "baseline" and self.source in _ONE_CAMERA


@dataclass(frozen=True)
class Plan:
    """What a file of methods asks for.

    Attributes:
        methods: In the order of the tables.
        main: The one that is tested against the others.
        real_weather: Patterns of the names of sets of real weather.
        ablations: ``ablations.json`` of ``training.ablations``, if there is one.
    """

    methods: tuple[Method, ...]
    main: Method
    real_weather: tuple[str, ...] = ("*real*",)
    ablations: Path | None = None


def read_plan(path: Path) -> Plan:
    """Read a file of methods.

    Paths in it are relative to its folder; that files and folders exist is checked here.

    Raises:
        FileNotFoundError: There is no such file.
        MethodsError: It is not YAML, an entry is not of the form, or names what is not there.
    """
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such file of methods") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise MethodsError(f"{path}: cannot be read as YAML: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("methods"), list):
        raise MethodsError(f"{path}: expected `methods:` with a list, see {DEFAULT_FILE.name}")
    _check_keys(content, {"methods", "main", "real_weather", "ablations"}, str(path))

    methods = tuple(
        _read_method(entry, f"{path}: method {number}", path.parent.resolve())
        for number, entry in enumerate(content["methods"], 1)
    )
    by_name = {method.name: method for method in methods}
    if not methods or len(by_name) < len(methods):
        names = [method.name for method in methods]
        raise MethodsError(f"{path}: expected methods with names of their own, found {names}")
    main = content.get("main", _likely_main(methods).name)
    if main not in by_name:
        raise MethodsError(f"{path}: main: expected one of {list(by_name)}, found {main!r}")
    return Plan(
        methods,
        by_name[main],
        _patterns(content.get("real_weather", ["*real*"]), path),
        _ablations(content.get("ablations"), path),
    )


def _read_method(entry: Any, where: str, base: Path) -> Method:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str) or not entry["name"]:
        raise MethodsError(f"{where}: expected a mapping with a name, found {entry!r}")
    where = f"{where} ({entry['name']})"
    kinds = [kind for kind in KINDS if kind in entry]
    if len(kinds) != 1:
        raise MethodsError(f"{where}: expected one of {', '.join(KINDS)}, found {kinds or 'none'}")
    (kind,) = kinds
    known = {"name", kind, "restore"}
    known |= set(_ENGINE_OPTIONS) if kind == "weights" else set()
    _check_keys(entry, known, where)
    for key, value in entry.items():
        if not isinstance(value, str):
            raise MethodsError(f"{where}: {key}: expected text, found {value!r}")

    size = entry.get("size", "auto")
    options = {name: entry[name] for name in _ENGINE_OPTIONS if name in entry}
    source = _source(kind, entry[kind], size, where, base)
    return Method(entry["name"], kind, source, restore=_restore(entry, where, base), **options)


def _source(kind: str, value: str, size: str, where: str, base: Path) -> str:
    if kind == "baseline":
        if value not in BASELINES:
            expected = ", ".join(BASELINES)
            raise MethodsError(f"{where}: baseline: expected one of {expected}, found {value!r}")
        return value
    if kind == "weights":
        if value == SHIPPED:
            from amg_fuse_ros.weights import find_weights

            try:
                return str(find_weights(size=size))
            except FileNotFoundError as error:
                raise MethodsError(f"{where}: {error}") from error
        return str(_existing_file(value, f"{where}: weights", base))
    folder = base / Path(value).expanduser()
    if not folder.is_dir():
        raise MethodsError(f"{where}: results: expected a folder of images, found none at {folder}")
    return str(folder)


def _restore(entry: Mapping[str, str], where: str, base: Path) -> str:
    value = entry.get("restore", "")
    if value in ("", CLEAN):
        return value
    if "results" in entry:
        raise MethodsError(
            f"{where}: restore: expected {CLEAN} where these results were made from the clean "
            f"pair, found {value!r}; a restorer cannot work on what is fused already"
        )
    return str(_existing_file(value, f"{where}: restore ({CLEAN}, or a file)", base))


def _existing_file(value: str, where: str, base: Path) -> Path:
    path = base / Path(value).expanduser()
    if not path.is_file():
        raise MethodsError(f"{where}: no such file: {path}")
    return path


def _check_keys(found: Mapping[Any, Any], known: set[str], where: str) -> None:
    if unknown := [key for key in found if key not in known]:
        raise MethodsError(f"{where}: expected only {sorted(known)}, found {unknown}")


def _likely_main(methods: tuple[Method, ...]) -> Method:
    """The project's own network before others' results before baselines, the first of its kind."""
    if not methods:
        return Method("none", "results", "")
    return min(methods, key=lambda method: ("weights", "results", "baseline").index(method.kind))


def _patterns(value: Any, path: Path) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise MethodsError(f"{path}: real_weather: expected a list of patterns, found {value!r}")
    return tuple(value)


def _ablations(value: Any, path: Path) -> Path | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise MethodsError(f"{path}: ablations: expected a file, found {value!r}")
    return _existing_file(value, f"{path}: ablations", path.parent)
