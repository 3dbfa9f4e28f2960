"""A night of recordings for the tests, and the command line in a process that can be killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from command_line import ROOT, files_in, write_pair

PATIENCE_S = 90


def write_night(root: Path, recordings=("car1/north", "car2/south"), names="abc") -> Path:
    for number, recording in enumerate(recordings):
        thermal, rgb = ("thermal", "rgb") if number % 2 == 0 else ("ir", "vi")
        for seed, name in enumerate(names):
            folder = root / recording
            write_pair(folder / thermal / f"{name}.png", folder / rgb / f"{name}.png", seed)
    return root


def content_of(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in files_in(folder)}


def noted(out: Path) -> int:
    """Images that are known to be complete, by the manifests and the journals of a run."""
    finished = [json.loads(path.read_text())["images"] for path in out.rglob("run.json")]
    journals = [path.read_text().splitlines()[1:] for path in out.rglob(".run.journal")]
    return sum(map(len, [*finished, *journals]))


class Started:
    """The command line in a process group of its own."""

    def __init__(self, *arguments) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "amg_fuse_ros.cli", *map(str, arguments)],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "300"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill_all()
        self.process.communicate()

    def wait_until(self, condition) -> None:
        until = time.monotonic() + PATIENCE_S
        while not condition():
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < until, "it did not come so far"
            time.sleep(0.02)

    def end(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, out, err

    def workers(self) -> list[int]:
        """Processes that do jobs: multiprocessing's, without the tracker of its resources."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                command = (folder / "cmdline").read_text()
                group = int((folder / "stat").read_text().rpartition(")")[2].split()[2])
            except OSError:
                continue
            if group == self.process.pid and "spawn_main" in command:
                found.append(int(folder.name))
        return found

    def gone(self) -> bool:
        """Whether every process of the group has ended."""
        self.process.poll()  # else it stays as a zombie
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return True
        return False

    def kill_all(self) -> None:
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return


def wait_for(condition) -> None:
    until = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < until, "it did not come so far"
        time.sleep(0.02)
