"""One table gives the parameters, the parameter file, its schema and the reference page."""

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import assume, example, given
from hypothesis import strategies as st

from amg_fuse_ros.settings import BY_NAME, TABLE, defaults

ROOT = Path(__file__).resolve().parents[1]
PARAMETER_FILE = ROOT / "config" / "fusion.yaml"
VALIDATOR = jsonschema.Draft202012Validator(
    json.loads((ROOT / "config" / "fusion.schema.json").read_text())
)
CHOICES = sorted({choice for setting in TABLE for choice in setting.choices})
VALUES = st.one_of(
    st.booleans(),
    st.integers(-10, 20_000),
    st.floats(allow_nan=False),
    st.text(),
    st.sampled_from(CHOICES),
)


def flattened(tree, prefix=""):
    flat = {}
    for key, value in tree.items():
        flat |= (
            flattened(value, f"{prefix}{key}.")
            if isinstance(value, dict)
            else {prefix + key: value}
        )
    return flat


def fits_schema(node, parameters):
    return VALIDATOR.is_valid({node: {"ros__parameters": parameters}})


def test_the_files_are_what_the_table_says():
    done = subprocess.run(
        [sys.executable, "-m", "tools.write_parameter_files", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_parameter_file_holds_every_default_with_its_type():
    values = flattened(yaml.safe_load(PARAMETER_FILE.read_text())["/**"]["ros__parameters"])
    assert values == defaults()
    assert {name: type(value) for name, value in values.items()} == {
        setting.name: setting.type for setting in TABLE
    }


def test_every_default_can_be_taken():
    assert [setting.problem_with(setting.default) for setting in TABLE] == [None] * len(TABLE)


def test_every_setting_is_described_in_the_parameter_file_and_on_the_reference_page():
    page = (ROOT / "docs" / "parameters.md").read_text()
    for setting in TABLE:
        assert setting.description.endswith("."), setting.name
        assert f"# {setting.description}\n" in PARAMETER_FILE.read_text()
        assert f"| `{setting.name}` |" in page


@given(setting=st.sampled_from(TABLE), value=VALUES)
@example(setting=BY_NAME["network.scale"], value=0.05)
@example(setting=BY_NAME["network.scale"], value=1.01)
@example(setting=BY_NAME["sync.queue"], value=0)
@example(setting=BY_NAME["lazy"], value=1)
@example(setting=BY_NAME["network.warm_up"], value="640x480")
@example(setting=BY_NAME["network.warm_up"], value="15x480")
@example(setting=BY_NAME["network.warm_up"], value="a 640x480")
@example(setting=BY_NAME["network.warm_up"], value="\n")
def test_the_schema_takes_what_the_table_takes(setting, value):
    # JSON has one kind of number, ROS has two.
    both_numbers = {type(value), setting.type} == {int, float}
    assume(not both_numbers)
    taken = setting.problem_with(value) is None
    group, _, leaf = setting.name.rpartition(".")
    assert fits_schema("/**", {setting.name: value}) == taken
    assert fits_schema("fusion_node", {group: {leaf: value}} if group else {leaf: value}) == taken


@pytest.mark.parametrize("node", ["/**", "fusion_node", "/front/fusion_node", "/**/fusion_node"])
def test_the_schema_finds_misspelt_names(node):
    assert fits_schema(node, {"network": {"scale": 0.5}, "use_sim_time": True})
    assert not fits_schema(node, {"network": {"scal": 0.5}})
    assert not fits_schema(node, {"netwrok": {"scale": 0.5}})


def test_the_schema_leaves_other_nodes_alone():
    assert fits_schema("camera_driver", {"exposure": 3})


def test_a_refusal_says_what_was_expected_and_found():
    assert BY_NAME["network.scale"].problem_with(2.0) == (
        "network.scale: expected 0.05 to 1.0, found 2.0"
    )
    assert BY_NAME["network.scale"].problem_with(1) == (
        "network.scale: expected a number with a decimal point, found 1 (a whole number), write 1.0"
    )
    assert BY_NAME["mask.form"].problem_with("nice") == (
        "mask.form: expected one of local, paper, found 'nice'"
    )
    assert BY_NAME["network.warm_up"].problem_with("3x") == (
        "network.warm_up: expected a resolution as 640x480, of 16 or more, or nothing, found '3x'"
    )
