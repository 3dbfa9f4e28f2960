"""rosbag2 recordings in and out, without a ROS graph.

A bag's way: `Recording` -> `guess_topics` -> `read_pairs` -> a fusion -> `BagWriter`; `replay` is
all of it, `make_bag` makes bags of image folders.
"""

from amg_fuse_ros.bags.folders import BagSummary, FilePairs, make_bag, pair_files
from amg_fuse_ros.bags.pairs import FramePair, PairCounts, read_pairs
from amg_fuse_ros.bags.recording import BagError, Header, MessageError, Recording
from amg_fuse_ros.bags.replaying import Pending, ReplaySummary, replay, replay_ahead
from amg_fuse_ros.bags.topics import Topics, guess_topics
from amg_fuse_ros.bags.writing import BagWriter, CameraModel

__all__ = [
    "BagError",
    "BagSummary",
    "BagWriter",
    "CameraModel",
    "FilePairs",
    "FramePair",
    "Header",
    "MessageError",
    "PairCounts",
    "Pending",
    "Recording",
    "ReplaySummary",
    "Topics",
    "guess_topics",
    "make_bag",
    "pair_files",
    "read_pairs",
    "replay",
    "replay_ahead",
]
