"""Plays a recorded bag into the fusion node and ends when the bag is over.

The bag starts when the node is active, so that none of it is missed while the network loads.
The arguments of fusion.launch.py are understood, too; topics are named as in the bag.
"""

from pathlib import Path

from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    IncludeLaunchDescription,
    RegisterEventHandler,
    SetLaunchConfiguration,
    Shutdown,
)
from launch.conditions import IfCondition, UnlessCondition
from launch.event_handlers import OnShutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import (
    AndSubstitution,
    EqualsSubstitution,
    LaunchConfiguration,
    NotSubstitution,
    OrSubstitution,
)
from launch_ros.actions import Node
from launch_ros.event_handlers import OnStateTransition
from launch_ros.parameter_descriptions import ParameterValue

BOOLEAN = ["true", "false"]

ARGUMENTS = [
    DeclareLaunchArgument("bag", description="Bag folder, .mcap or .db3 file to play."),
    DeclareLaunchArgument("rate", default_value="1.0", description="Speed: 2.0 is twice as fast."),
    DeclareLaunchArgument(
        "loop", default_value="false", choices=BOOLEAN, description="Start over at the end."
    ),
    DeclareLaunchArgument(
        "player",
        default_value="bag_player",
        choices=["bag_player", "ros2bag"],
        description="bag_player is this package's own, ros2bag is ros2 bag play.",
    ),
    DeclareLaunchArgument(
        "delay",
        default_value="1.0",
        description="Seconds between the player's start and the first message.",
    ),
    DeclareLaunchArgument(
        "use_sim_time",
        default_value="true",
        choices=BOOLEAN,
        description="Let the nodes take the time of the bag, from /clock.",
    ),
    DeclareLaunchArgument(
        "rviz",
        default_value="false",
        choices=BOOLEAN,
        description="Show the images in RViz, also after the bag is over.",
    ),
]


def generate_launch_description():
    bag = LaunchConfiguration("bag")
    rate = LaunchConfiguration("rate")
    loop = LaunchConfiguration("loop")
    delay = LaunchConfiguration("delay")
    use_sim_time = LaunchConfiguration("use_sim_time")
    rviz = LaunchConfiguration("rviz")
    ending = LaunchConfiguration("ending")
    own_player = EqualsSubstitution(LaunchConfiguration("player"), "bag_player")
    ros2bag = EqualsSubstitution(LaunchConfiguration("player"), "ros2bag")
    ros2bag_play = ["ros2", "bag", "play", bag, "--rate", rate, "--delay", delay]
    ros2bag_play += ["--clock", "100", "--disable-keyboard-controls"]
    # Ctrl-C ends the player, too; asking for the end once more would be an error of launch_ros.
    bag_over = Shutdown(
        reason="the bag is over", condition=UnlessCondition(OrSubstitution(rviz, ending))
    )
    not_configured = Shutdown(reason="the fusion node could not be configured, see above")
    players = [
        Node(
            package="amg_fuse_ros",
            executable="bag_player",
            parameters=[
                {
                    "bag": ParameterValue(bag, value_type=str),
                    "rate": ParameterValue(rate, value_type=float),
                    "loop": ParameterValue(loop, value_type=bool),
                    "clock": ParameterValue(use_sim_time, value_type=bool),
                    "start_delay": ParameterValue(delay, value_type=float),
                }
            ],
            output="screen",
            on_exit=bag_over,
            condition=IfCondition(own_player),
        ),
        ExecuteProcess(
            cmd=ros2bag_play,
            output="screen",
            on_exit=bag_over,
            condition=IfCondition(AndSubstitution(ros2bag, NotSubstitution(loop))),
        ),
        ExecuteProcess(
            cmd=[*ros2bag_play, "--loop"],
            output="screen",
            on_exit=bag_over,
            condition=IfCondition(AndSubstitution(ros2bag, loop)),
        ),
    ]
    return LaunchDescription(
        [
            *ARGUMENTS,
            SetLaunchConfiguration("ending", "false"),
            RegisterEventHandler(OnShutdown(on_shutdown=SetLaunchConfiguration("ending", "true"))),
            RegisterEventHandler(
                OnStateTransition(goal_state="active", entities=players, handle_once=True)
            ),
            RegisterEventHandler(
                OnStateTransition(
                    start_state="configuring", goal_state="unconfigured", entities=[not_configured]
                )
            ),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(str(Path(__file__).with_name("fusion.launch.py"))),
                launch_arguments={"use_sim_time": use_sim_time, "rviz": rviz}.items(),
            ),
        ]
    )
