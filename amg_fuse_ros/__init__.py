"""Thermal and visible image fusion in adverse weather for ROS 2."""

__version__ = "0.1.0"
