"""What the documents say is there: links, commands, options, parameters."""

import re
from pathlib import Path

import pytest
import typer

from amg_fuse_ros.cli import app
from amg_fuse_ros.settings import BY_NAME
from training.evaluate import _parser as evaluation_parser

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("amg_fuse_ros/**/*.md")]
)
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_relative_link_and_picture_leads_somewhere(document):
    for target in re.findall(r"\]\(([^)#\s]+)", document.read_text()):
        if "://" not in target:
            assert (document.parent / target).exists(), target


def _documented_commands() -> list[str]:
    found = set(re.findall(r"`(amg-fuse [^`]+)`", README))
    calibration = (ROOT / "docs/calibration.md").read_text()
    found |= {line.split("  #")[0] for line in re.findall(r"^amg-fuse .+$", calibration, re.M)}
    detection = (ROOT / "docs/detection.md").read_text()
    found |= set(re.findall(r"^    (amg-fuse .+)$", detection, re.M))
    return sorted(found)


@pytest.mark.parametrize("line", _documented_commands())
def test_every_documented_command_and_option_exists(line):
    _, name, *words = line.split()
    command = typer.main.get_command(app).commands[name]
    options = {option for parameter in command.params for option in parameter.opts}
    assert {w for w in words if w.startswith("--")} <= options


def test_the_documented_commands_are_there_to_be_tested():
    assert len(_documented_commands()) >= 4


def test_every_documented_evaluation_can_be_run():
    page = (ROOT / "docs/evaluation.md").read_text()
    lines = re.findall(r"^python -m training\.evaluate (.+)$", page, re.MULTILINE)
    assert len(lines) >= 2
    for line in lines:
        assert evaluation_parser().parse_args(line.split("  #")[0].split())


def test_every_parameter_in_the_readme_is_in_the_table():
    section = README.split("## Parameters")[1].split("## ")[0]
    cells = [row.split("|")[1] for row in section.splitlines() if row.startswith("| `")]
    names = [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]
    assert len(names) >= 8
    assert set(names) <= set(BY_NAME)


def test_the_readme_names_only_make_targets_that_exist():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"^    make ([a-z]+)", README, re.MULTILINE)) <= targets
