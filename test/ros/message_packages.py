"""Makes a package of ROS messages from their fields, for tests where it is not installed.

ROS' own generators turn the fields into real message types, as ``colcon build`` does, in some
seconds, because only what rclpy and Fast DDS use is compiled.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pytest

TYPE_SUPPORTS = ("rosidl_typesupport_fastrtps_c", "rosidl_typesupport_introspection_c")
PARTS = ("rosidl_generator_c", *TYPE_SUPPORTS, "rosidl_generator_py")
RUNTIME = (
    *("rosidl_runtime_c", "rosidl_typesupport_c", *TYPE_SUPPORTS),
    *("rosidl_typesupport_fastrtps_cpp", "fastcdr", "rmw", "rcutils", "stdc++"),
)

Fields = Mapping[str, Sequence[str]]
"""Message name to lines of its definition, ``float64 x``; each after those that it holds."""


def build_messages(
    package: str, messages: Fields, dependencies: Sequence[str], cache: Path
) -> Path:
    """Make a package of messages, unless the same one was made before.

    Args:
        package: Its name.
        messages: Its messages.
        dependencies: Installed packages that they are made of, with those that these need.
        cache: Where what was made is kept.

    Returns:
        The folder that Python's path needs, here and in processes that use it.
    """
    for tool in ("gcc", "g++"):
        if shutil.which(tool) is None:
            pytest.skip(f"{package} is not installed, and {tool} to make it neither")
    recipe = json.dumps([package, messages, dependencies, sys.version])
    code = Path(__file__).read_bytes()
    name = hashlib.sha256(recipe.encode() + code).hexdigest()[:16]
    made = cache / f"{package}_{name}"
    if not made.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=cache))
        done = subprocess.run(
            [sys.executable, __file__, folder, recipe],
            env={"AMENT_PREFIX_PATH": sys.prefix, **os.environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        try:
            (folder / "made").rename(made)
        except OSError:  # another process was faster
            assert made.is_dir()
        shutil.rmtree(folder)
    return made


def _build(folder: Path, package: str, messages: Fields, dependencies: Sequence[str]) -> None:
    from ament_index_python import get_package_prefix

    sources, made, introspection = (
        folder / part / package for part in ("sources", "made", "introspection")
    )
    for place in (sources / "msg", made, introspection):
        place.mkdir(parents=True)
    interfaces = list(_definitions(sources, made, messages))
    prefix = Path(get_package_prefix(dependencies[0]))
    shares = [str(prefix / "share" / name) for name in dependencies]
    _generate(interfaces, shares, made, introspection)
    (made / "__init__.py").touch()
    _compile(made, introspection, prefix, dependencies)


def _definitions(sources: Path, made: Path, messages: Fields) -> Iterable[str]:
    from rosidl_adapter.msg import convert_msg_to_idl

    for name, fields in messages.items():
        relative = Path("msg") / f"{name}.msg"
        (sources / relative).write_text("\n".join(fields) + "\n")
        convert_msg_to_idl(sources, made.name, relative, made / "msg")
        yield f"{made}:msg/{name}.idl"


def _generate(interfaces: list[str], shares: list[str], made: Path, introspection: Path) -> None:
    from rosidl_generator_c.cli import GenerateC
    from rosidl_generator_py.cli import GeneratePython
    from rosidl_typesupport_c.cli import GenerateCTypesupport
    from rosidl_typesupport_fastrtps_c.cli import GenerateFastRTPSCTypesupport
    from rosidl_typesupport_introspection_c.cli import GenerateIntrospectionCTypesupport

    for generator, output in (
        (GenerateC("c"), made),
        (GenerateFastRTPSCTypesupport("fastrtps"), made),
        (GenerateIntrospectionCTypesupport("introspection"), introspection),
        (GenerateCTypesupport("c", typesupport_implementations=TYPE_SUPPORTS), made),
        (GeneratePython("py", typesupport_implementations=["rosidl_typesupport_c"]), made),
    ):
        generator.generate(made.name, interfaces, shares, output)


def _compile(made: Path, introspection: Path, prefix: Path, dependencies: Sequence[str]) -> None:
    """The libraries that the message types are looked for in, each under its name."""
    import numpy

    fastrtps, introspecting = (f"{made.name}__{name}" for name in TYPE_SUPPORTS)
    lib, include = prefix / "lib", prefix / "include"
    folders = [*(made.parent, introspection.parent, include, *include.iterdir())]
    folders += [Path(sysconfig.get_paths()["include"]), Path(numpy.get_include())]
    options = ["-O0", "-fPIC", "-w", *(f"-I{folder}" for folder in folders if folder.is_dir())]
    parts = [f"{name}__{part}" for name in dependencies for part in PARTS]
    common = [*(name for name in parts if (lib / f"lib{name}.so").is_file()), *RUNTIME]

    def link(file: Path, sources: Iterable[Path], *more: str) -> None:
        # By its soname a library that is loaded already is found, whatever the search path.
        command = ["gcc", "-shared", *options, *sources, "-o", file, f"-Wl,-soname,{file.name}"]
        command += [f"-Wl,-rpath,{lib}", "-Wl,-rpath,$ORIGIN/..", "-Wl,--no-as-needed"]
        command += [f"-L{lib}", f"-L{made.parent}", *(f"-l{name}" for name in (*common, *more))]
        subprocess.run(command, check=True)

    def in_one(name: str, sources: Iterable[Path]) -> Path:
        """Together they read the big headers once."""
        together = made / f"{name}.cpp"
        together.write_text("".join(f'#include "{path}"\n' for path in sources))
        done = together.with_suffix(".o")
        command = ["g++", "-std=c++17", *options, "-c", together, "-o", done]
        subprocess.run(command, check=True)
        return done

    messages = in_one("messages", made.glob("msg/detail/*_c.cpp"))
    link(made.parent / f"lib{fastrtps}.so", [*made.glob("msg/detail/*.c"), messages])
    link(made.parent / f"lib{introspecting}.so", introspection.rglob("*.c"), fastrtps)
    dispatch = in_one("dispatch", made.glob("msg/*__type_support.cpp"))
    link(
        made / f"{made.name}_s__rosidl_typesupport_c.so",
        [*made.glob("*.c"), *made.glob("msg/*.c"), dispatch],
        *(fastrtps, introspecting),
    )


if __name__ == "__main__":
    _build(Path(sys.argv[1]).resolve(), *json.loads(sys.argv[2])[:3])
