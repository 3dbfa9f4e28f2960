"""An animated street of our own: matching thermal and RGB frames with boxes, in any weather."""

from amg_fuse_ros.scenes.folders import write_folders
from amg_fuse_ros.scenes.samples import sample_pairs
from amg_fuse_ros.scenes.scene import LABELS, Box, Scene, ScenePair

__all__ = ["LABELS", "Box", "Scene", "ScenePair", "sample_pairs", "write_folders"]
