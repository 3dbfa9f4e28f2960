"""Messages that are made for the tests are real ones: they travel over a topic."""

import pytest
import rclpy
from node_harness import wait_until

pytestmark = pytest.mark.ros


@pytest.fixture
def node():
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("of_a_test", context=context)
    yield node
    node.destroy_node()
    context.try_shutdown()


def test_a_made_message_arrives_as_it_was_sent(vision_msgs, node):
    from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesisWithPose

    car = ObjectHypothesisWithPose()
    car.hypothesis.class_id, car.hypothesis.score = "car", 0.5
    sent = Detection2DArray(detections=[Detection2D(id="7", results=[car])])
    sent.detections[0].bbox.center.position.x = 3.5
    received = []
    node.create_subscription(Detection2DArray, "detections", received.append, 1)
    publisher = node.create_publisher(Detection2DArray, "detections", 1)
    executor = rclpy.executors.SingleThreadedExecutor(context=node.context)
    executor.add_node(node)

    def send():
        publisher.publish(sent)
        executor.spin_once(timeout_sec=0.05)

    assert wait_until(lambda: bool(received), send)
    executor.shutdown()
    assert received[0] == sent
