"""Fixtures of the commands' tests."""

import sys

import pytest
from command_line import Outcome, write_pair

from amg_fuse_ros import cli


@pytest.fixture
def amg_fuse(monkeypatch, capsys):
    """Runs the command line in this process, as its console script does."""
    monkeypatch.setenv("COLUMNS", "300")  # so that no message is wrapped

    def run(*arguments) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["amg-fuse", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            cli.main()
        except SystemExit as exit_:
            code = exit_.code or 0
        return Outcome(code, *capsys.readouterr())

    return run


@pytest.fixture
def network(random_weights):
    """Options that make the network quick."""
    return ["--weights", random_weights, "--scale", "0.5", "--device", "cpu"]


@pytest.fixture
def folders(tmp_path):
    """``--thermal`` and ``--rgb`` with the pairs a, b and c."""
    thermal, rgb = tmp_path / "thermal", tmp_path / "rgb"
    for seed, name in enumerate("abc"):
        write_pair(thermal / f"{name}.png", rgb / f"{name}.png", seed)
    return ["--thermal", thermal, "--rgb", rgb]
