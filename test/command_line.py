"""What the tests of the commands share: images, bags and how a command is run."""

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import cv2
from rosbags.rosbag2 import StoragePlugin, Writer
from small_pairs import smooth_pair

from amg_fuse_ros.bags import Recording
from amg_fuse_ros.bags.recording import typestore

ROOT = Path(__file__).resolve().parents[1]
SIZE = (24, 32)


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


def write_pair(thermal_file, rgb_file, seed=0):
    thermal, rgb = smooth_pair(*SIZE, seed)
    write(thermal_file, thermal)
    write(rgb_file, rgb)


def write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image[..., ::-1] if image.ndim == 3 else image)


def files_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def refused(outcome, *words):
    """One line of error that holds the words, and nothing else."""
    assert outcome.code == 1
    lines = outcome.err.strip().splitlines()
    assert lines[-1].startswith("error: ")
    for word in words:
        assert str(word) in lines[-1]
    assert "Traceback" not in outcome.err
    return True


def make_bag(amg_fuse, folders, path):
    outcome = amg_fuse("make-bag", *folders, "--fps", "5", "--out", path)
    assert outcome.code == 0
    assert outcome.out == f"3 pairs at 5 Hz written to {path}\n"
    return path


def rewritten(bag, path, storage=StoragePlugin.MCAP, change=None):
    """The same recording, in another storage or with other bytes, by rosbags alone."""
    with (
        Recording(bag) as recording,
        Writer(path, version=9, storage_plugin=storage) as writer,
    ):
        connections = {
            topic: writer.add_connection(topic, msgtype, typestore=typestore())
            for topic, msgtype in recording.types().items()
        }
        for number, raw in enumerate(recording.messages()):
            data = change(number, raw.data) if change else raw.data
            writer.write(connections[raw.topic], raw.record_ns, data)
    return path


def in_a_process(*command, **options):
    return subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "300"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **options,
    )
