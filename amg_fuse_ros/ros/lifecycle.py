"""What rclpy's lifecycle nodes leave to be desired."""

from typing import Any

from lifecycle_msgs.srv import ChangeState
from rclpy.lifecycle import LifecycleNode


def refuse_impossible_transitions(node: LifecycleNode) -> None:
    """Answer them with a plain no; rclpy would let them end the process."""
    answer = node._service_change_state.callback

    def change_state(request: ChangeState.Request, response: ChangeState.Response) -> Any:
        try:
            return answer(request, response)
        except RuntimeError:  # rclpy's RCLError is private
            asked = request.transition.label or request.transition.id
            node.get_logger().warning(
                f"transition {asked} refused: it is not possible while the node is {state_of(node)}"
            )
            response.success = False
            return response

    node._service_change_state.callback = change_state


def state_of(node: LifecycleNode) -> str:
    """The label of the state that a node is in: ``unconfigured``, ``finalized`` and so on."""
    _, label = node._state_machine.current_state
    return str(label)
