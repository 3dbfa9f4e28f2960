"""Half a minute of everything that cameras do wrong, one after the other."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.ros

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(300)
def test_the_node_recovers_from_half_a_minute_of_faults_and_does_not_grow():
    # In half a minute memory has hardly settled: the 2 percent are for half an hour.
    command = [sys.executable, "-m", "tools.soak", "--minutes", "0.5", "--max-growth", "10"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["missed"] == []
    assert len(report["faults"]) >= 3
    assert report["fused"] > 10
