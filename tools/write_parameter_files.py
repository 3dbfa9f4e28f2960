"""Write what a node's table of settings gives: parameter file, its JSON schema, reference page.

    python -m tools.write_parameter_files [--check]

Run it after a change of ``amg_fuse_ros/settings.py`` or ``detector_settings.py``; with ``--check``
it writes nothing and fails if a file differs from its table.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from amg_fuse_ros import detector_settings, settings
from amg_fuse_ros.setting import Setting

ROOT = Path(__file__).resolve().parents[1]

FUSION_FILE_HEAD = """\
# yaml-language-server: $schema=fusion.schema.json
#
# Parameters of fusion_node with their defaults. To change some, put those into a file of your own
# and name it:
#
#   ros2 launch amg_fuse_ros fusion.launch.py params_file:=/path/to/my.yaml
#
# Live ones can be changed while the node runs, with ros2 param set.
# Written by tools/write_parameter_files.py from amg_fuse_ros/settings.py.
/**:
  ros__parameters:
"""

FUSION_PAGE_HEAD = """\
# Parameters of `fusion_node`

<!-- Written by tools/write_parameter_files.py from amg_fuse_ros/settings.py. -->

Where a value comes from; the later ones win:

1. the default of the table below;
2. the parameter file: `ros2 launch amg_fuse_ros fusion.launch.py params_file:=/path/to/my.yaml`,
   with those of [config/fusion.yaml](../config/fusion.yaml) that you want to change;
3. the launch arguments `weights`, `scale`, `engine`, `autostart` and `use_sim_time`, if given;
4. `ros2 param set /fusion_node NAME VALUE`: at once for live parameters. The others are read when
   the node is configured: deactivate it and clean it up, set them, configure and activate it again.

A double is written with its decimal point: `1.0`, not `1`. A value that cannot be taken is refused
with the reason; at start, the reason is logged and the default used. Names that are not in the
table are ignored, and the log says so with the name that may be meant; editors that know JSON
schemas find them before with
[config/fusion.schema.json](../config/fusion.schema.json), which the first line of
`config/fusion.yaml` names.

| name | type | default | values | live | what it does |
|---|---|---|---|---|---|
"""

DETECTOR_FILE_HEAD = """\
# yaml-language-server: $schema=detector.schema.json
#
# Parameters of detector_node with their defaults. To change some, put those into a file of your own
# and name it:
#
#   ros2 launch amg_fuse_ros fusion_detector.launch.py detector_params_file:=/path/to/my.yaml
#
# Live ones can be changed while the node runs, with ros2 param set.
# Written by tools/write_parameter_files.py from amg_fuse_ros/detector_settings.py.
/**/detector_node:
  ros__parameters:
"""

DETECTOR_PAGE_HEAD = """\
# Parameters of `detector_node`

<!-- Written by tools/write_parameter_files.py from amg_fuse_ros/detector_settings.py. -->

They come from the same places as [those of `fusion_node`](parameters.md), and are refused or taken
in the same way; the file is [config/detector.yaml](../config/detector.yaml). What the node does
with them is told in [detection.md](detection.md).

| name | type | default | values | live | what it does |
|---|---|---|---|---|---|
"""


class Table(NamedTuple):
    """A node's settings, and how what is written of them begins."""

    node: str
    settings: Sequence[Setting]
    file_head: str
    page_head: str


FUSION = Table("fusion_node", settings.TABLE, FUSION_FILE_HEAD, FUSION_PAGE_HEAD)
DETECTOR = Table("detector_node", detector_settings.TABLE, DETECTOR_FILE_HEAD, DETECTOR_PAGE_HEAD)

PAGE_TYPES = {bool: "bool", int: "int", float: "double", str: "string"}
SCHEMA_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}

OF_EVERY_NODE = {
    "use_sim_time": {"type": "boolean", "description": "Take the time from /clock."},
    "qos_overrides": {
        "type": "object",
        "description": "Of publishers and subscriptions that ROS itself makes.",
    },
}


def parameter_file(table: Table) -> str:
    """The text of the parameter file: every setting's default below its description."""
    return table.file_head + "".join(_yaml_lines(_tree(table.settings), "    "))


def parameter_schema(table: Table) -> str:
    """The text of the JSON schema for parameter files of a node.

    JSON has one kind of number: that ROS wants a decimal point in a double is not in it.
    """
    entries = _object_schema(_tree(table.settings))
    # ROS takes network.scale: 1.0 like network: {scale: 1.0}.
    entries["properties"] |= {s.name: _value_schema(s) for s in table.settings}
    entries["properties"] |= OF_EVERY_NODE
    node = {"type": "object", "properties": {"ros__parameters": entries}}
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Parameter file of {table.node}",
        "type": "object",
        # Keys are node names, perhaps with a namespace and wildcards; other nodes may be there.
        "patternProperties": {rf"^/\*\*$|(^|/){table.node}$": node},
    }
    return json.dumps(schema, indent=2) + "\n"


def parameter_page(table: Table) -> str:
    """The text of the reference page."""
    rows = [
        f"| `{setting.name}` | {PAGE_TYPES[setting.type]} | `{json.dumps(setting.default)}` "
        f"| {_values(setting)} | {'yes' if setting.live else ''} | {setting.description} |\n"
        for setting in table.settings
    ]
    return table.page_head + "".join(rows)


FILES = {
    "config/fusion.yaml": partial(parameter_file, FUSION),
    "config/fusion.schema.json": partial(parameter_schema, FUSION),
    "docs/parameters.md": partial(parameter_page, FUSION),
    "config/detector.yaml": partial(parameter_file, DETECTOR),
    "config/detector.schema.json": partial(parameter_schema, DETECTOR),
    "docs/detector-parameters.md": partial(parameter_page, DETECTOR),
}


def _tree(settings: Sequence[Setting]) -> dict[str, Any]:
    """The settings, nested by the dots of their names."""
    tree: dict[str, Any] = {}
    for setting in settings:
        *groups, leaf = setting.name.split(".")
        branch = tree
        for group in groups:
            branch = branch.setdefault(group, {})
        branch[leaf] = setting
    return tree


def _yaml_lines(tree: Mapping[str, Any], indent: str) -> list[str]:
    lines = []
    for key, value in tree.items():
        if not isinstance(value, Setting):
            lines += [f"{indent}{key}:\n", *_yaml_lines(value, indent + "  ")]
            continue
        lines.append(f"{indent}# {value.description}\n")
        if values := _values(value):
            lines.append(f"{indent}# Values: {values}.{' Live.' if value.live else ''}\n")
        elif value.live:
            lines.append(f"{indent}# Live.\n")
        # JSON's notation of a text, a number or a truth value is YAML's, too.
        lines.append(f"{indent}{key}: {json.dumps(value.default)}\n")
    return lines


def _object_schema(tree: Mapping[str, Any]) -> dict[str, Any]:
    properties = {
        key: _value_schema(value) if isinstance(value, Setting) else _object_schema(value)
        for key, value in tree.items()
    }
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _value_schema(setting: Setting) -> dict[str, Any]:
    schema: dict[str, Any] = {
        "type": SCHEMA_TYPES[setting.type],
        "default": setting.default,
        "description": setting.description,
    }
    if setting.choices:
        schema["enum"] = list(setting.choices)
    if setting.form is not None:
        # Python's $ would take a line break after it.
        schema["pattern"] = f"^({setting.form.pattern})$(?!\\n)"
    if setting.minimum is not None:
        schema |= {"minimum": setting.minimum, "maximum": setting.maximum}
    return schema


def _values(setting: Setting) -> str:
    if setting.choices:
        return ", ".join(setting.choices)
    return "" if setting.minimum is None else f"{setting.minimum} to {setting.maximum}"


def main() -> int:
    """Write or check all files; 1 if a check found one that differs."""
    options = argparse.ArgumentParser(prog="write_parameter_files")
    options.add_argument("--check", action="store_true", help="write nothing, only compare")
    check = options.parse_args().check
    stale = []
    for name, text in FILES.items():
        path = ROOT / name
        if path.is_file() and path.read_text(encoding="utf-8") == text():
            continue
        stale.append(name)
        if not check:
            path.write_text(text(), encoding="utf-8")
    if check and stale:
        sys.stderr.write(
            f"{', '.join(stale)}: not what the tables of settings say; "
            "run python -m tools.write_parameter_files\n"
        )
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
