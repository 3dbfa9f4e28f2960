"""Commands, options and help."""

import json

import pytest
import typer
from command_line import in_a_process

from amg_fuse_ros import cli
from amg_fuse_ros.settings import BY_NAME

BAD_OPTIONS = [
    ("--scale", "2", "0.05 to 1.0, found 2.0"),
    ("--scale", "nan", "0.05 to 1.0, found nan"),
    ("--engine", "warp", "auto, eager"),
    ("--precision", "int8", "auto, fp32, bf16, fp16, fp64, found 'int8'"),
    ("--size", "huge", "auto, nano, tiny, full, found 'huge'"),
    ("--mask-form", "nice", "local, paper, found 'nice'"),
    ("--slop-ms", "-1", "0.0 to 10000.0, found -1.0"),
]


@pytest.mark.parametrize(("option", "value", "words"), BAD_OPTIONS)
def test_a_value_beyond_its_range_is_refused_before_anything_is_loaded(
    amg_fuse, tmp_path, option, value, words
):
    outcome = amg_fuse("replay", tmp_path, "--out", tmp_path / "out", option, value)
    assert outcome.code == 2
    assert f"Invalid value for '{option}'" in outcome.err
    assert words in outcome.err


COMMANDS = typer.main.get_command(cli.app).commands


def test_the_commands_are_those_of_the_documents():
    recordings, engines = (
        {"make-bag", "make-scene", "calibrate"},
        {"bench", "build-engine", "export", "convert-detector"},
    )
    assert set(COMMANDS) == {"fuse", "replay", "info"} | recordings | engines


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_has_help(amg_fuse, name):
    outcome = amg_fuse(name, "--help")
    assert outcome.code == 0
    assert COMMANDS[name].help in outcome.out
    for parameter in COMMANDS[name].params:
        assert parameter.help, parameter.name
        assert parameter.help in outcome.out


OPTION_OF_SETTING = {
    "weights": "network.weights",
    "size": "network.size",
    "scale": "network.scale",
    "engine": "engine",
    "device": "device",
    "precision": "precision",
    "mask_form": "mask.form",
    "slop_ms": "sync.slop_ms",
}


@pytest.mark.parametrize("command", ["fuse", "replay"])
def test_options_that_are_settings_have_their_default_and_description(command):
    options = {parameter.name: parameter for parameter in COMMANDS[command].params}
    for option, setting in OPTION_OF_SETTING.items():
        if option in options:
            assert options[option].default == BY_NAME[setting].default
            assert options[option].help == BY_NAME[setting].description
    assert OPTION_OF_SETTING.keys() - options.keys() <= {"slop_ms"}


def test_without_a_command_the_help_is_shown(amg_fuse):
    outcome = amg_fuse()
    for name in COMMANDS:
        assert name in outcome.out + outcome.err


def test_help_is_quick_because_it_loads_neither_torch_nor_ros():
    code = (
        "import json, sys; from amg_fuse_ros import cli\n"
        "sys.argv = ['amg-fuse', 'fuse', '--help']\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        "print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    )
    loaded = json.loads(in_a_process("-c", code).stdout.splitlines()[-1])
    assert "typer" in loaded
    assert not {"torch", "rclpy", "numba"} & set(loaded)
