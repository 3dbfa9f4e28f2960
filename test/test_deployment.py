"""What containers, service and deployment.md name is in the package."""

import ast
import configparser
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import typer

from amg_fuse_ros.cli import app

ROOT = Path(__file__).resolve().parents[1]
DOCKERFILES = sorted((ROOT / "docker").glob("*.Dockerfile"))
SERVICE = ROOT / "deploy" / "amg_fuse_ros.service"
ENVIRONMENT = ROOT / "deploy" / "amg_fuse_ros.env"
DOCUMENT = (ROOT / "docs" / "deployment.md").read_text()
TEXTS = {path.name: path.read_text() for path in (*DOCKERFILES, SERVICE, ENVIRONMENT)}
EVERYTHING = "\n".join([DOCUMENT, *TEXTS.values()])

FROM_APT = {"opencv-python": "python3-opencv", "PyYAML": "python3-yaml"}
"""Python packages that the distribution has under other names."""


def setup_argument(name):
    (call,) = [
        node
        for node in ast.walk(ast.parse((ROOT / "setup.py").read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "setup"
    ]
    (value,) = [keyword.value for keyword in call.keywords if keyword.arg == name]
    return ast.literal_eval(value)


def instructions(text):
    """Instructions of a Dockerfile, with continued lines joined and comments left out."""
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    joined = lines.replace("\\\n", " ")
    return [tuple(line.split(None, 1)) for line in joined.splitlines() if line.strip()]


def launch_arguments(launch_file):
    source = (ROOT / "launch" / launch_file).read_text()
    return set(re.findall(r'DeclareLaunchArgument\(\s*"(\w+)"', source))


def environment():
    lines = (line for line in TEXTS[ENVIRONMENT.name].splitlines() if not line.startswith("#"))
    return dict(line.split("=", 1) for line in lines if line.strip())


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda p: p.name)
def test_a_dockerfile_has_instructions_docker_knows_in_an_order_it_takes(dockerfile):
    found = [name for name, _ in instructions(dockerfile.read_text())]
    known = {"ARG", "FROM", "RUN", "COPY", "ENV", "USER", "VOLUME", "ENTRYPOINT", "CMD"}
    assert set(found) <= known
    assert found[0] in {"ARG", "FROM"}
    assert found[-2:] == ["ENTRYPOINT", "CMD"]
    assert found.index("USER") > max(i for i, name in enumerate(found) if name == "RUN")


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda p: p.name)
def test_a_dockerfile_installs_what_the_package_needs(dockerfile):
    text = dockerfile.read_text()
    for requirement in setup_argument("install_requires"):
        name = re.match(r"[\w-]+", requirement)[0]
        pip = f'"{requirement}' in text or f'"{name}==' in text or f'"{name}<' in text
        apt = f" {FROM_APT.get(name, f'python3-{name}')} " in text
        assert pip or apt, requirement
    assert '"numpy>=1.26,<2"' in text  # what cv_bridge of both distributions is built for
    assert '"setuptools<80"' in text  # what colcon can use


def test_the_orin_gets_the_release_of_torch_tensorrt_that_runs_there():
    text = (ROOT / "docker" / "orin.Dockerfile").read_text()
    assert '"torch==2.8.*" "torch-tensorrt==2.8.*"' in text


def test_everything_that_is_copied_into_an_image_is_in_its_context():
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored[1] == "*"
    kept = {line[1:] for line in ignored if line.startswith("!")}
    assert all((ROOT / name).exists() for name in kept)
    needed = {"package.xml", "setup.py", "setup.cfg", "README.md", "LICENSE", "amg_fuse_ros"}
    assert needed | {"resource", "launch", "config", "docker/entrypoint.sh"} <= kept
    assert (ROOT / "docker" / "entrypoint.sh").stat().st_mode & 0o111


def test_the_entrypoint_is_a_script_that_runs_its_arguments():
    script = ROOT / "docker" / "entrypoint.sh"
    subprocess.run(["bash", "-n", script], check=True)
    assert script.read_text().rstrip().endswith('exec "$@"')


def test_executables_and_launch_files_that_are_named_exist():
    scripts = setup_argument("entry_points")["console_scripts"]
    executables = {line.split("=")[0].strip() for line in scripts}
    started = set(re.findall(r"ros2 run amg_fuse_ros (\w+)", EVERYTHING))
    started |= set(re.findall(r"lib/amg_fuse_ros/([\w-]+)", EVERYTHING))
    assert started <= executables
    launched = set(re.findall(r"amg_fuse_ros ([\w.]+\.launch\.py)", EVERYTHING))
    launched |= set(re.findall(r'"([\w.]+\.launch\.py)"', EVERYTHING))
    assert launched == {"fusion.launch.py"}
    assert all((ROOT / "launch" / name).is_file() for name in launched)
    for module in re.findall(r"python3 -m ([\w.]+)", EVERYTHING):
        assert (ROOT / Path(*module.split("."))).with_suffix(".py").is_file()


def test_launch_arguments_that_are_named_exist():
    named = set(re.findall(r"(?<![\w.])(\w+):=", EVERYTHING))
    assert {"thermal_topic", "rgb_topic", "params_file", "engine"} <= named
    assert named <= launch_arguments("fusion.launch.py")


def test_commands_and_options_in_the_document_exist():
    text = re.sub(r"\\\n\s*", "", DOCUMENT)
    lines = re.findall(r"`amg-fuse ([^`]+)`|/amg-fuse (.+)", text)
    commands = [shlex.split(inline or block) for inline, block in lines]
    assert {name for name, *_ in commands} == {"bench", "info", "build-engine"}
    group = typer.main.get_command(app)
    for name, *words in commands:
        options = {option for parameter in group.commands[name].params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options


def test_parameters_that_the_document_names_exist():
    from amg_fuse_ros.settings import BY_NAME

    named = set(re.findall(r"`(qos\.\w+)`", DOCUMENT))
    assert named == {"qos.input_reliability", "qos.output_reliability"}
    assert named <= BY_NAME.keys()


@pytest.fixture
def service():
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str
    parser.read_string(TEXTS[SERVICE.name])
    return parser


def test_the_service_takes_from_its_environment_file_what_the_example_gives(service):
    assert service["Service"]["EnvironmentFile"] == f"/etc/{ENVIRONMENT.name}"
    used = set(re.findall(r"\$\$(\w+)", service["Service"]["ExecStart"]))
    assert used == {"ROS_SETUP", "WORKSPACE_SETUP", "LAUNCH_ARGUMENTS"}
    assert used <= environment().keys()
    arguments = shlex.split(environment()["LAUNCH_ARGUMENTS"].strip('"'))
    assert {a.split(":=")[0] for a in arguments} <= launch_arguments("fusion.launch.py")


def test_the_service_ends_as_ctrl_c_does_and_comes_back(service):
    section = service["Service"]
    assert (section["KillSignal"], section["KillMode"]) == ("SIGINT", "mixed")
    assert section["Restart"] == "always"
    assert service["Unit"]["StartLimitIntervalSec"] == "0"
    writable = re.findall(r"^Environment=(\w+)=(/\S+)", TEXTS[SERVICE.name], re.MULTILINE)
    assert {path.split("/")[2] for _, path in writable} == {"cache", "log"}


def test_systemd_understands_the_service():
    systemd = shutil.which("systemd-analyze")
    if systemd is None:
        pytest.skip("no systemd-analyze on this machine")
    checked = subprocess.run(
        [systemd, "verify", SERVICE], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    about_it = [line for line in checked.stderr.splitlines() if SERVICE.name in line]
    assert about_it == []
