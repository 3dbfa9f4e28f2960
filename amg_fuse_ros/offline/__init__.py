"""Many recordings at once: a fleet's night of folders or bags, resumable, spread over workers.

A night's way: `recordings` finds what lies below the roots -> `manifest` tells what is complete
already -> `folders` or `bags` give the rest to `amg_fuse_ros.spread` -> results, whole or not at
all, beside a ``run.json`` that says what they were made of.
"""

from amg_fuse_ros.offline.bags import BagNight, ReplayOptions, replay_bags, replay_one
from amg_fuse_ros.offline.folders import FolderNight, fuse_folders, fuse_jobs
from amg_fuse_ros.offline.manifest import Manifest, OnlyOne
from amg_fuse_ros.offline.recipe import Recipe, choose_workers
from amg_fuse_ros.offline.recordings import (
    RGB_NAMES,
    THERMAL_NAMES,
    BagPlace,
    FolderPair,
    find_bags,
    find_folders,
    is_bag_folder,
)

__all__ = [
    "RGB_NAMES",
    "THERMAL_NAMES",
    "BagNight",
    "BagPlace",
    "FolderNight",
    "FolderPair",
    "Manifest",
    "OnlyOne",
    "Recipe",
    "ReplayOptions",
    "choose_workers",
    "find_bags",
    "find_folders",
    "fuse_folders",
    "fuse_jobs",
    "is_bag_folder",
    "replay_bags",
    "replay_one",
]
