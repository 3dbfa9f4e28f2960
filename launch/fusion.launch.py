"""Starts the fusion node, and RViz on request.

Arguments that stay empty leave the parameter file's value as it is.
"""

from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import EnvironmentVariable, LaunchConfiguration
from launch_ros.actions import LifecycleNode, Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

SHARE = FindPackageShare("amg_fuse_ros")

ARGUMENTS = [
    DeclareLaunchArgument(
        "namespace", default_value="", description="Namespace of the node and its topics."
    ),
    DeclareLaunchArgument(
        "params_file",
        default_value=[SHARE, "/config/fusion.yaml"],
        description="Parameter file of the node.",
    ),
    DeclareLaunchArgument(
        "thermal_topic",
        default_value="thermal/image_raw",
        description="Images of the thermal camera; relative names are in the namespace.",
    ),
    DeclareLaunchArgument(
        "rgb_topic", default_value="rgb/image_raw", description="Images of the RGB camera."
    ),
    DeclareLaunchArgument(
        "rgb_info_topic",
        default_value="rgb/camera_info",
        description="Calibration of the RGB camera, passed on as fused/camera_info.",
    ),
    DeclareLaunchArgument(
        "thermal_info_topic",
        default_value="thermal/camera_info",
        description="Calibration of the thermal camera, with calibration.intrinsics: topics.",
    ),
    DeclareLaunchArgument(
        "size", default_value="", description="nano, tiny, full or auto (network.size)."
    ),
    DeclareLaunchArgument(
        "weights", default_value="", description="Weights file (network.weights)."
    ),
    DeclareLaunchArgument(
        "scale",
        default_value="",
        description="Fraction of the RGB size at which pairs are fused (network.scale).",
    ),
    DeclareLaunchArgument("engine", default_value="", description="What runs the network."),
    DeclareLaunchArgument(
        "autostart",
        default_value="",
        choices=["", "true", "false"],
        description="Configure and activate at start; false is for a lifecycle manager.",
    ),
    DeclareLaunchArgument(
        "use_sim_time",
        default_value="",
        choices=["", "true", "false"],
        description="Take the time from /clock.",
    ),
    DeclareLaunchArgument(
        "log_level",
        default_value="info",
        choices=["debug", "info", "warn", "error", "fatal"],
        description="Least severity of the node's messages.",
    ),
    DeclareLaunchArgument(
        "rviz",
        default_value="false",
        choices=["true", "false"],
        description="Show thermal, RGB and fused image and mask in RViz.",
    ),
    DeclareLaunchArgument(
        "fastdds_profile",
        default_value="true",
        choices=["true", "false"],
        description="Give Fast DDS the shared memory that images need (config/fastdds.xml), unless "
        "FASTRTPS_DEFAULT_PROFILES_FILE or FASTDDS_DEFAULT_PROFILES_FILE is set; the cameras' "
        "processes need it, too.",
    ),
]


OVERRIDES = {
    "size": ("network.size", str),
    "weights": ("network.weights", str),
    "scale": ("network.scale", float),
    "engine": ("engine", str),
    "autostart": ("autostart", bool),
    "use_sim_time": ("use_sim_time", bool),
}
"""Argument: the parameter that it sets, if given, and its type."""

REMAPPINGS = [
    ("thermal/image_raw", LaunchConfiguration("thermal_topic")),
    ("rgb/image_raw", LaunchConfiguration("rgb_topic")),
    ("rgb/camera_info", LaunchConfiguration("rgb_info_topic")),
    ("thermal/camera_info", LaunchConfiguration("thermal_info_topic")),
]


def existing_file(context: LaunchContext, argument: str):
    path = LaunchConfiguration(argument).perform(context)
    if not Path(path).is_file():
        raise FileNotFoundError(f"{argument}: there is no file {path}")
    return path


def given_overrides(context: LaunchContext, table: dict):
    return {
        parameter: ParameterValue(LaunchConfiguration(argument), value_type=value_type)
        for argument, (parameter, value_type) in table.items()
        if LaunchConfiguration(argument).perform(context)
    }


def rviz(overrides: dict):
    return Node(
        package="rviz2",
        executable="rviz2",
        namespace=LaunchConfiguration("namespace"),
        parameters=[{k: v for k, v in overrides.items() if k == "use_sim_time"}],
        remappings=REMAPPINGS,
        arguments=["-d", [SHARE, "/config/fusion.rviz"]],
        condition=IfCondition(LaunchConfiguration("rviz")),
    )


def start_nodes(context: LaunchContext):
    params_file = existing_file(context, "params_file")
    # A dictionary after the file wins, whichever node names the file has.
    overrides = given_overrides(context, OVERRIDES)
    # RViz first: where it is not installed, nothing is left running.
    return [
        rviz(overrides),
        LifecycleNode(
            package="amg_fuse_ros",
            executable="fusion_node",
            name="fusion_node",
            namespace=LaunchConfiguration("namespace"),
            parameters=[params_file, overrides],
            remappings=REMAPPINGS,
            ros_arguments=["--log-level", LaunchConfiguration("log_level")],
            output="screen",
        ),
    ]


def use_fastdds_profile():
    profile = [SHARE, "/config/fastdds.xml"]
    # Jazzy reads the first of these variables, later distributions prefer the second.
    jazzy, later = "FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE"
    with_profile = IfCondition(LaunchConfiguration("fastdds_profile"))
    return [
        SetEnvironmentVariable(
            jazzy,
            EnvironmentVariable(
                jazzy, default_value=EnvironmentVariable(later, default_value=profile)
            ),
            condition=with_profile,
        ),
        SetEnvironmentVariable(
            later,
            EnvironmentVariable(later, default_value=EnvironmentVariable(jazzy)),
            condition=with_profile,
        ),
    ]


def generate_launch_description():
    return LaunchDescription(
        [*ARGUMENTS, *use_fastdds_profile(), OpaqueFunction(function=start_nodes)]
    )
