"""Subscriptions to cameras, and what to say when their QoS does not fit."""

from collections.abc import Callable
from typing import Any

from rclpy.event_handler import QoSRequestedIncompatibleQoSInfo, SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from rclpy.topic_endpoint_info import TopicEndpointInfo

from amg_fuse_ros.setting import Settings

QUEUE = 5
"""Messages that wait for the executor; it only takes and pairs them, so few are enough."""


def reliability_of(settings: Settings, side: str) -> ReliabilityPolicy:
    """What ``qos.input_reliability`` or ``qos.output_reliability`` asks for.

    Args:
        settings: The node's.
        side: ``input`` or ``output``.
    """
    policies = {
        "best_effort": ReliabilityPolicy.BEST_EFFORT,
        "reliable": ReliabilityPolicy.RELIABLE,
    }
    return policies[settings[f"qos.{side}_reliability"]]


def subscribe_newest(
    node: Node,
    message_type: type,
    topic: str,
    callback: Callable[[Any], None],
    reliability: ReliabilityPolicy,
    on_mismatch: Callable[[str], None] | None = None,
) -> Subscription:
    """Subscribe for the newest messages, and tell of publishers whose QoS does not fit.

    Args:
        node: Who subscribes.
        message_type: The type of the topic's messages.
        topic: Its name, relative to the node's namespace.
        callback: Takes each message.
        reliability: Asked of the publishers; a best-effort publisher never serves a reliable
            subscription.
        on_mismatch: Told which publisher offers what, in words; by default the log is.
    """
    profile = QoSProfile(depth=QUEUE, reliability=reliability)

    def explain(_: QoSRequestedIncompatibleQoSInfo) -> None:
        name = node.resolve_topic_name(topic)
        offers = ", ".join(
            f"{_name(info)} offers "
            f"{info.qos_profile.reliability.name} and {info.qos_profile.durability.name}"
            for info in node.get_publishers_info_by_topic(name)
        )
        tell = on_mismatch or node.get_logger().warning
        tell(
            f"{name}: a publisher's QoS does not fit, its images do not arrive: asked for "
            f"{profile.reliability.name} and {profile.durability.name}, {offers or 'found none'}; "
            "set qos.input_reliability to best_effort, or the publisher to RELIABLE"
        )

    return node.create_subscription(
        message_type,
        topic,
        callback,
        profile,
        event_callbacks=SubscriptionEventCallbacks(incompatible_qos=explain),
    )


def _name(publisher: TopicEndpointInfo) -> str:
    if publisher.node_name.startswith("_"):  # not discovered yet; its QoS is known first
        return "one"
    return f"{publisher.node_namespace.rstrip('/')}/{publisher.node_name}"
