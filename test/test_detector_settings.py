"""The detector's table gives its parameter file and schema, as the fusion node's does."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from amg_fuse_ros.detector_settings import BY_NAME, TABLE, detection_settings

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / "config"
DEFAULTS = {setting.name: setting.default for setting in TABLE}


def test_every_default_can_be_taken_and_is_described():
    for setting in TABLE:
        assert setting.problem_with(setting.default) is None
        assert setting.description.endswith("."), setting.name


def test_the_parameter_file_fits_its_schema_which_finds_misspelt_names():
    schema = json.loads((CONFIG / "detector.schema.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    values = yaml.safe_load((CONFIG / "detector.yaml").read_text())
    assert validator.is_valid(values)
    values["/**/detector_node"]["ros__parameters"]["confidense"] = 0.5
    assert not validator.is_valid(values)


def test_class_names_are_separated_by_commas():
    assert detection_settings(DEFAULTS).classes == ()
    chosen = detection_settings({**DEFAULTS, "classes": "car, traffic light ,"})
    assert chosen.classes == ("car", "traffic light")


def test_values_out_of_range_are_refused_with_the_range():
    assert "0.0 to 1.0" in BY_NAME["confidence"].problem_with(1.5)
    with pytest.raises(ValueError, match="iou is 2"):
        detection_settings({**DEFAULTS, "iou": 2.0})


def test_the_document_names_parameters_and_launch_arguments_that_exist():
    text = (ROOT / "docs" / "detection.md").read_text()
    named = re.findall(r"ros2 param set /detector_node (\S+)|-p (\w+):=", text)
    assert {"confidence", "model"} <= {first or second for first, second in named}
    assert {first or second for first, second in named} <= BY_NAME.keys()
    source = (ROOT / "launch" / "fusion_detector.launch.py").read_text()
    for line in re.findall(r"fusion_detector\.launch\.py (.+)", text):
        for argument in re.findall(r"(\w+):=", line):
            assert f'DeclareLaunchArgument(\n        "{argument}"' in source
