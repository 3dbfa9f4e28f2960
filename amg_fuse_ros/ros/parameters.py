"""The table of settings as ROS parameters: declared, described, validated."""

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from amg_fuse_ros.settings import TABLE, Setting, Settings


def declare(node: Node, table: Sequence[Setting] = TABLE, beside: Sequence[Setting] = ()) -> None:
    """Declare every setting of a table on ``node``.

    A value from the command line or a parameter file that cannot be taken is logged with its
    reason, and the default is used: a typing error in a file must not keep a vehicle blind.

    Args:
        node: The node.
        table: Its settings.
        beside: Those of another node in this process, which may have been given to both.
    """
    for setting in table:
        descriptor = describe(setting)
        try:
            value = node.declare_parameter(setting.name, setting.default, descriptor).value
            problem = setting.problem_with(value)
        except (InvalidParameterTypeException, InvalidParameterValueException) as error:
            problem = setting.problem_with(_override(node, setting.name)) or str(error)
        if problem is None:
            continue
        node.get_logger().error(f"parameter {problem}; {setting.default!r} is used")
        if node.has_parameter(setting.name):
            node.undeclare_parameter(setting.name)
        node.declare_parameter(setting.name, setting.default, descriptor, ignore_override=True)
    names, others = [setting.name for setting in table], {setting.name for setting in beside}
    for name in _overrides(node):
        known = node.has_parameter(name) or name in others
        if not known and not name.startswith("qos_overrides."):
            near = get_close_matches(name, names, 1)
            hint = f"; {near[0]} is meant?" if near else ""
            node.get_logger().warning(f"there is no parameter {name}, it is ignored{hint}")


def read(node: Node, table: Sequence[Setting] = TABLE) -> Settings:
    """The current values of all settings of a table."""
    return {setting.name: node.get_parameter(setting.name).value for setting in table}


def watch(
    node: Node,
    apply: Callable[[Settings], None],
    is_configured: Callable[[], bool],
    table: Sequence[Setting] = TABLE,
) -> None:
    """Refuse bad values at run time with a reason, and pass good ones on.

    Args:
        node: The node whose parameters were declared by :func:`declare`.
        apply: Called with the live settings that are about to change together, by name. A
            ``ValueError`` of it is a reason to refuse them all.
        is_configured: While this is true, settings that are not live are refused.
        table: The node's settings.
    """
    by_name = {setting.name: setting for setting in table}

    def check(parameters: Sequence[Parameter]) -> SetParametersResult:
        ours = [(by_name[p.name], p.value) for p in parameters if p.name in by_name]
        for setting, value in ours:
            problem = setting.problem_with(value)
            if problem is None and not setting.live and is_configured():
                problem = (
                    f"{setting.name}: read when the node is configured; deactivate it and clean "
                    "it up, set the value, then configure and activate it again"
                )
            if problem is not None:
                return SetParametersResult(successful=False, reason=problem)
        try:
            apply({setting.name: value for setting, value in ours if setting.live})
        except ValueError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    node.add_on_set_parameters_callback(check)


def describe(setting: Setting) -> ParameterDescriptor:
    """The setting as ``ros2 param describe`` shows it."""
    constraints = setting.form.words if setting.form is not None else ""
    if setting.choices:
        constraints = "one of: " + ", ".join(setting.choices)
    descriptor = ParameterDescriptor(
        name=setting.name,
        description=setting.description,
        additional_constraints=constraints,
    )
    if setting.minimum is not None and setting.maximum is not None:
        if setting.type is int:
            descriptor.integer_range = [
                IntegerRange(from_value=int(setting.minimum), to_value=int(setting.maximum), step=1)
            ]
        else:
            descriptor.floating_point_range = [
                FloatingPointRange(from_value=setting.minimum, to_value=setting.maximum, step=0.0)
            ]
    return descriptor


def _override(node: Node, name: str) -> object:
    given = _overrides(node).get(name)
    return None if given is None else given.value


def _overrides(node: Node) -> Mapping[str, Parameter]:
    """The values that were given at start; rclpy offers no public way to ask for them."""
    found: Mapping[str, Parameter] = getattr(node, "_parameter_overrides", {})
    return found
