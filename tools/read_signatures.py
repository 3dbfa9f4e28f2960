"""Keep the signatures of functions that cannot be imported here, for a test to compare with.

    python -m tools.read_signatures WHEEL... > test/engine/torch_tensorrt_signatures.json

Reads torch-tensorrt's wheels without installing them: their source is parsed, not run. Get some
with ``pip download --no-deps torch-tensorrt==2.8.0``.
"""

import argparse
import ast
import json
import sys
import zipfile
from pathlib import Path

FUNCTIONS = {
    "torch_tensorrt.dynamo.compile": "torch_tensorrt/dynamo/_compiler.py",
    "torch_tensorrt.save": "torch_tensorrt/_compile.py",
    "torch_tensorrt.load": "torch_tensorrt/_compile.py",
    "torch_tensorrt.runtime.enable_cudagraphs": "torch_tensorrt/runtime/_cudagraphs.py",
}


def signatures(wheel: Path) -> dict[str, dict[str, list[str]]]:
    """Names of the positional and the keyword-only parameters of each function.

    Raises:
        ValueError: If a function is not where it is looked for.
    """
    found = {}
    with zipfile.ZipFile(wheel) as archive:
        for name, path in FUNCTIONS.items():
            tree = ast.parse(archive.read(path))
            wanted = name.rpartition(".")[2]
            node = next(
                (n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == wanted), None
            )
            if node is None:
                raise ValueError(f"{wheel.name}: expected {name} in {path}, found none")
            arguments = node.args
            found[name] = {
                "positional": [a.arg for a in (*arguments.posonlyargs, *arguments.args)],
                "keyword": [a.arg for a in arguments.kwonlyargs],
            }
    return found


def main() -> None:
    """Print the signatures in each wheel, by version."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("wheels", nargs="+", type=Path)
    wheels = parser.parse_args().wheels
    by_version = {wheel.name.split("-")[1]: signatures(wheel) for wheel in wheels}
    json.dump(by_version, sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
