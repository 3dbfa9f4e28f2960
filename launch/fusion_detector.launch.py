"""Starts the fusion node and a detector of what it publishes, in one process on request.

The arguments of fusion.launch.py are understood, too. Arguments that stay empty leave the parameter
files' values as they are.
"""

import atexit
import runpy
import tempfile
from pathlib import Path

import yaml
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode, Node
from launch_ros.substitutions import FindPackageShare

FUSION = runpy.run_path(str(Path(__file__).with_name("fusion.launch.py")))
"""What the two launch files share; an included one would start its node in a process of its own."""

SHARE = FindPackageShare("amg_fuse_ros")

ARGUMENTS = [
    DeclareLaunchArgument(
        "model",
        default_value="",
        description="Network file or folder of the detector; empty: that of the parameter file.",
    ),
    DeclareLaunchArgument(
        "tracking",
        default_value="",
        choices=["", "true", "false"],
        description="Give objects ids that stay from image to image.",
    ),
    DeclareLaunchArgument(
        "image_topic",
        default_value="fused/image",
        description="What the detector looks at, unless composed.",
    ),
    DeclareLaunchArgument(
        "detector_params_file",
        default_value=[SHARE, "/config/detector.yaml"],
        description="Parameter file of the detector node.",
    ),
    DeclareLaunchArgument(
        "composed",
        default_value="false",
        choices=["true", "false"],
        description="Run both nodes in one process, where the fused image needs no DDS.",
    ),
]

DETECTOR_OVERRIDES = {
    "model": ("model", str),
    "tracking": ("tracking", bool),
    "autostart": ("autostart", bool),
    "use_sim_time": ("use_sim_time", bool),
}
"""Argument: the parameter that it sets, if given, and its type."""


def file_for_the_detector(context: LaunchContext, overrides: dict):
    """A dictionary would be for both nodes of a process, and come after what a file names one."""
    values = {name: value.evaluate(context) for name, value in overrides.items()}
    with tempfile.NamedTemporaryFile("w", prefix="detector_", suffix=".yaml", delete=False) as file:
        yaml.safe_dump({"/**/detector_node": {"ros__parameters": values}}, file)
    atexit.register(Path(file.name).unlink, missing_ok=True)
    return file.name


def start_nodes(context: LaunchContext):
    existing_file, given_overrides = FUSION["existing_file"], FUSION["given_overrides"]
    detector_file = existing_file(context, "detector_params_file")
    overrides = given_overrides(context, DETECTOR_OVERRIDES)
    common = {
        "package": "amg_fuse_ros",
        "namespace": LaunchConfiguration("namespace"),
        "ros_arguments": ["--log-level", LaunchConfiguration("log_level")],
        "output": "screen",
    }
    if LaunchConfiguration("composed").perform(context) == "true":
        of_fusion = given_overrides(context, FUSION["OVERRIDES"])
        return [
            FUSION["rviz"](of_fusion),
            # Without a name, which would be that of both nodes.
            Node(
                executable="fusion_detector",
                parameters=[
                    existing_file(context, "params_file"),
                    of_fusion,
                    # What a file of the user's leaves out must not come from the fusion's.
                    [SHARE, "/config/detector.yaml"],
                    detector_file,
                    file_for_the_detector(context, overrides),
                ],
                remappings=FUSION["REMAPPINGS"],
                **common,
            ),
        ]
    return [
        *FUSION["start_nodes"](context),
        LifecycleNode(
            executable="detector_node",
            name="detector_node",
            parameters=[detector_file, overrides],
            remappings=[("fused/image", LaunchConfiguration("image_topic"))],
            **common,
        ),
    ]


def generate_launch_description():
    return LaunchDescription(
        [
            *ARGUMENTS,
            *FUSION["ARGUMENTS"],
            *FUSION["use_fastdds_profile"](),
            OpaqueFunction(function=start_nodes),
        ]
    )
