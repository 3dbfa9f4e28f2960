"""Gives every test process a ROS domain of its own, before anything imports rclpy.

Processes that a test starts inherit it, so they find each other and nothing else on the machine or
in the network. Under pytest-xdist each worker is such a process.
"""

import fcntl
import importlib.util
import os
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest
from message_packages import build_messages
from vision_messages import NEEDED, VISION_MSGS

# Above 101 a domain's ports reach into the range from which Linux hands out ports to clients.
DOMAINS = range(1, 102)


def _claim_domain() -> tuple[int, IO[str]]:
    """A domain that no other test process on this machine holds, beginning at one told by the pid.

    The claim lasts as long as the open file that comes with it; the file itself stays.
    """
    first = os.getpid() % len(DOMAINS)
    for domain in (*DOMAINS[first:], *DOMAINS[:first]):
        path = Path(tempfile.gettempdir()) / f"ros_test_domain_{domain}_{os.getuid()}.lock"
        file = path.open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
        else:
            return domain, file
    raise RuntimeError(f"All {len(DOMAINS)} ROS domains are held by other test processes.")


_domain, _claim = _claim_domain()
os.environ["ROS_DOMAIN_ID"] = str(_domain)
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
for _override in ("ROS_LOCALHOST_ONLY", "ROS_STATIC_PEERS"):
    os.environ.pop(_override, None)


@pytest.fixture(scope="session")
def vision_msgs(pytestconfig):
    """vision_msgs, here and in processes that a test starts; made where it is not installed."""
    with made_if_missing(pytestconfig, "vision_msgs", VISION_MSGS, NEEDED):
        yield


@pytest.fixture(scope="session")
def tf2_msgs(pytestconfig):
    """tf2_msgs, likewise: of it what carries transforms."""
    transforms = {"TFMessage": ("geometry_msgs/TransformStamped[] transforms",)}
    with made_if_missing(pytestconfig, "tf2_msgs", transforms, NEEDED):
        yield


@contextmanager
def made_if_missing(pytestconfig, package, messages, dependencies):
    with pytest.MonkeyPatch.context() as environment:
        if importlib.util.find_spec(package) is None:
            cache = pytestconfig.cache.mkdir("messages")
            folder = str(build_messages(package, messages, dependencies, cache))
            environment.setenv("PYTHONPATH", folder, prepend=os.pathsep)
            sys.path.insert(0, folder)  # for good: what was imported cannot be taken back
        yield
