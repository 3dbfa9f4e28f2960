"""``python -m training.wheels WHEELS SITE``: unpack the wheels of packages that are missing here.

Needs nothing but Python, not even pip.
"""

import importlib.util
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path


def unpack_missing(wheels: Iterable[Path], site: Path) -> list[str]:
    """Unpack those wheels into ``site`` that hold a module which cannot be imported here.

    Returns:
        The names of the wheels unpacked.
    """
    unpacked = []
    for wheel in sorted(wheels):
        with zipfile.ZipFile(wheel) as archive:
            tops = {name.split("/")[0].removesuffix(".py") for name in archive.namelist()}
            modules = {name for name in tops if name.isidentifier()}
            if any(importlib.util.find_spec(name) is None for name in modules):
                archive.extractall(site)
                unpacked.append(wheel.name)
    return unpacked


if __name__ == "__main__":
    found = unpack_missing(Path(sys.argv[1]).glob("*.whl"), Path(sys.argv[2]))
    print("unpacked:", ", ".join(found) or "nothing, all is there")  # noqa: T201
