"""What is fused, to look at where RViz is not at hand: recordings and live views for Rerun."""

from amg_fuse_ros.view.rerun_log import RerunLog, ViewError

__all__ = ["RerunLog", "ViewError"]
