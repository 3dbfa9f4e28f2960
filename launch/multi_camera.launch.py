"""Starts the fusion nodes of several camera pairs in one process, where they share the weights.

Each has a namespace of its own: `cameras:="front rear"` pairs `front/thermal/image_raw` with
`front/rgb/image_raw`, and `rear/...` likewise.
"""

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

SHARE = FindPackageShare("amg_fuse_ros")

ARGUMENTS = [
    DeclareLaunchArgument(
        "cameras",
        default_value="front rear",
        description="Namespaces of the camera pairs, separated by blanks.",
    ),
    DeclareLaunchArgument(
        "params_file",
        default_value=[SHARE, "/config/fusion.yaml"],
        description="Parameter file of the nodes; entries may name one: /front/fusion_node.",
    ),
    DeclareLaunchArgument(
        "log_level",
        default_value="info",
        choices=["debug", "info", "warn", "error", "fatal"],
        description="Least severity of the nodes' messages.",
    ),
]


def start_container(context: LaunchContext):
    cameras = LaunchConfiguration("cameras").perform(context).split()
    if not cameras:
        raise ValueError("cameras: expected one namespace or more, found none")
    return [
        Node(
            package="amg_fuse_ros",
            executable="fusion_container",
            arguments=cameras,
            parameters=[LaunchConfiguration("params_file")],
            ros_arguments=["--log-level", LaunchConfiguration("log_level")],
            output="screen",
        )
    ]


def generate_launch_description():
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=start_container)])
