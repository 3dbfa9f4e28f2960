"""A real fusion node in its own process, and the cameras and listeners around it."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import DescribeParameters, GetParameters, SetParameters
from rclpy.client import Client
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

ROOT = Path(__file__).resolve().parents[2]
PROFILE = ROOT / "config" / "fastdds.xml"
PATIENCE_S = 60.0
"""Longest wait for anything: only a failing test waits that long."""


class NodeProcess:
    """The node as a user starts it; ``log`` is what it has printed so far."""

    def __init__(
        self,
        log: Path,
        arguments: list[str],
        program: Sequence[str] = ("-m", "amg_fuse_ros.ros.executables"),
    ) -> None:
        self._log = log
        self._file = log.open("wb")
        self.process = subprocess.Popen(
            [sys.executable, *program, "--ros-args", *arguments],
            stdout=self._file,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env={**os.environ, "FASTRTPS_DEFAULT_PROFILES_FILE": str(PROFILE)},
        )

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def wait_for_log(self, text: str, times: int = 1) -> None:
        wait_until(lambda: self.log.count(text) >= times or self.process.poll() is not None)
        assert self.log.count(text) >= times, self.log

    def close(self) -> None:
        """End it politely: a participant that does not say goodbye stays in the graph for 20 s."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise
        self._file.close()


def wait_until(condition: Callable[[], bool], spin: Callable[[], None] | None = None) -> bool:
    """Wait for a condition, spinning or dozing; returns whether it came true in time."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            return False
        if spin is not None:
            spin()
        else:
            time.sleep(0.02)
    return True


class Rig:
    """Cameras in front of the node and listeners behind it, as one node of the test process."""

    def __init__(self, namespace: str = "") -> None:
        self.node = rclpy.create_node("rig", namespace=namespace)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        qos = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)
        self.thermal = self.node.create_publisher(Image, "thermal/image_raw", qos)
        self.rgb = self.node.create_publisher(Image, "rgb/image_raw", qos)
        self.info = self.node.create_publisher(CameraInfo, "rgb/camera_info", qos)
        self._clients: dict[str, Client] = {}
        self._stamp_ms = 1_000_000
        self.fused: list[Image] = []
        self.masks: list[Image] = []
        self.infos: list[CameraInfo] = []
        self.reports: list[DiagnosticArray] = []
        """Of the node in this namespace; /diagnostics is every node's topic."""
        self.all_reports: list[DiagnosticArray] = []
        for kind, topic, inbox in (
            (Image, "fused/image", self.fused),
            (Image, "fused/mask", self.masks),
            (CameraInfo, "fused/camera_info", self.infos),
        ):
            self.node.create_subscription(kind, topic, inbox.append, qos)
        self._node_name = f"{namespace}/fusion_node: "
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._take_report, qos)

    def close(self) -> None:
        self._executor.shutdown()
        self.node.destroy_node()

    def spin(self) -> None:
        self._executor.spin_once(timeout_sec=0.05)

    def wait(self, condition: Callable[[], bool]) -> bool:
        return wait_until(condition, self.spin)

    def wait_for_node(self) -> None:
        """Until the node's subscriptions and publishers are matched with the rig's."""
        topics = (self.thermal, self.rgb, self.info)
        assert self.wait(
            lambda: (
                all(p.get_subscription_count() > 0 for p in topics)
                and self.node.count_publishers("fused/image") > 0
                and self.node.count_publishers("fused/mask") > 0
            )
        )

    def publish(self, thermal: Image, rgb: Image) -> None:
        self.thermal.publish(thermal)
        self.rgb.publish(rgb)

    def send_until_fused(self, thermal: Image, rgb: Image) -> Image:
        """Publish the pair, again when it got lost (best effort), until its fusion comes back.

        The listener's match with the node is seen on this side first, so the first may get lost.
        """
        stamp = rgb.header.stamp
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            self.publish(thermal, rgb)
            again = time.monotonic() + 3
            while time.monotonic() < again:
                self.spin()
                for image in self.fused:
                    if image.header.stamp == stamp:
                        return image
        raise AssertionError("the pair did not come back fused")

    def play(
        self,
        until: Callable[[], bool],
        thermal: Callable[[int], Image] | None,
        rgb: Callable[[int], Image] | None,
        *,
        start_ms: int | None = None,
        period_ms: int = 50,
    ) -> bool:
        """Publish images of each camera that has some, at a rate, until something is so.

        Stamps go on from where the last call left, but for ``start_ms``. Returns whether it came
        to be so in time.
        """
        if start_ms is not None:
            self._stamp_ms = start_ms
        deadline = time.monotonic() + PATIENCE_S
        due = time.monotonic()
        while not until():
            if time.monotonic() > deadline:
                return False
            if time.monotonic() >= due:
                due += period_ms / 1000
                self._stamp_ms += period_ms
                if thermal is not None:
                    self.thermal.publish(thermal(self._stamp_ms))
                if rgb is not None:
                    self.rgb.publish(rgb(self._stamp_ms))
            self._executor.spin_once(timeout_sec=0.005)
        return True

    def mask_of(self, fused: Image) -> Image:
        found = [m for m in self.masks if m.header.stamp == fused.header.stamp]
        self.wait(
            lambda: (
                bool(found)
                or bool(found.extend(m for m in self.masks if m.header.stamp == fused.header.stamp))
            )
        )
        return found[0]

    def _take_report(self, report: DiagnosticArray) -> None:
        self.all_reports.append(report)
        if report.status[0].name.startswith(self._node_name):
            self.reports.append(report)

    def diagnostics(self) -> dict[str, str]:
        """The newest report's values, with its level and message."""
        status = self.reports[-1].status[0]
        values = {v.key: v.value for v in status.values}
        return {**values, "level": str(status.level[0]), "message": status.message}

    def call(self, kind: type, service: str, request: object, *, again: bool = True) -> object:
        """Ask a service, again when the answer got lost, which DDS allows on a first call.

        The server may not have found the client's reader yet when it answers. Requests that are
        not to be carried out twice are sent once, through a client that has had an answer.
        """
        if service not in self._clients:
            self._clients[service] = self.node.create_client(kind, service)
        client = self._clients[service]
        assert self.wait(client.service_is_ready), f"{service} is not there"
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            future = client.call_async(request)
            resend = time.monotonic() + (5 if again else PATIENCE_S)
            while not future.done() and time.monotonic() < resend:
                self.spin()
            if future.done():
                return future.result()
        raise AssertionError(f"{service} did not answer")

    def set_parameter(self, name: str, value: object) -> tuple[bool, str]:
        parameter = Parameter(name, value=value).to_parameter_msg()
        request = SetParameters.Request(parameters=[parameter])
        result = self.call(SetParameters, "fusion_node/set_parameters", request).results[0]
        return result.successful, result.reason

    def get_parameter(self, name: str) -> object:
        request = GetParameters.Request(names=[name])
        value = self.call(GetParameters, "fusion_node/get_parameters", request).values[0]
        return rclpy.parameter.parameter_value_to_python(value)

    def describe_parameter(self, name: str) -> object:
        request = DescribeParameters.Request(names=[name])
        return self.call(
            DescribeParameters, "fusion_node/describe_parameters", request
        ).descriptors[0]

    def change_state(self, transition: int) -> bool:
        service = "fusion_node/change_state"
        request = ChangeState.Request()
        if service not in self._clients:
            request.transition.id = 255  # there is none: refused, however often it is asked for
            assert not self.call(ChangeState, service, request).success
        request = ChangeState.Request()
        request.transition.id = transition
        return self.call(ChangeState, service, request, again=False).success

    def state(self) -> str:
        return self.call(GetState, "fusion_node/get_state", GetState.Request()).current_state.label


@contextmanager
def nodes_in_this_process(weights: Path) -> Iterator[Callable[..., Rig]]:
    """Gives what runs a node in this process and returns the rig that belongs to it.

    Its arguments: the namespace, what loads the network, and parameters with ``__`` for the dots.
    """
    from amg_fuse_ros.ros.fusion_node import FusionNode

    context = rclpy.Context()
    rclpy.init()
    rclpy.init(context=context)
    open_ones: list[Callable[[], object]] = []

    def run(namespace: str, load: Callable, **parameters: object) -> Rig:
        settings = {
            "network.weights": str(weights),
            "diagnostics_period_s": 0.2,
            "diagnostics.warn_dropped": 1.0,  # this machine may be busy
            **{name.replace("__", "."): value for name, value in parameters.items()},
        }
        node = FusionNode(
            namespace=namespace,
            context=context,
            load=load,
            parameter_overrides=[Parameter(k, value=v) for k, v in settings.items()],
        )
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)
        node.start()
        spinning = threading.Thread(target=executor.spin, daemon=True)
        spinning.start()
        rig = Rig(namespace)
        open_ones.extend(
            [rig.close, node.close, lambda: executor.shutdown(timeout_sec=1), spinning.join]
        )
        rig.wait_for_node()
        return rig

    yield run
    for close in open_ones:
        close()
    context.try_shutdown()
    rclpy.try_shutdown()


def compressed(message: Image, codec: str = "png") -> CompressedImage:
    """The message as image_transport's plugin would send it."""
    channels = 3 if message.encoding in {"rgb8", "bgr8"} else 1
    kind = np.uint16 if message.encoding == "mono16" else np.uint8
    pixels = np.frombuffer(message.data, kind).reshape(message.height, message.width, channels)
    done, data = cv2.imencode(f".{codec}", pixels[..., ::-1] if channels == 3 else pixels)
    assert done
    stored = "bgr8" if channels == 3 else message.encoding
    text = f"{message.encoding}; {codec} compressed {stored}"
    return CompressedImage(header=message.header, format=text, data=data.tobytes())


def image(pixels: np.ndarray, encoding: str, stamp_ms: int, frame: str = "camera") -> Image:
    """A message of these pixels, stamped so many milliseconds after the start of time."""
    message = Image(
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        step=pixels.nbytes // pixels.shape[0],
        data=pixels.tobytes(),
    )
    message.header.stamp.sec = stamp_ms // 1000
    message.header.stamp.nanosec = stamp_ms % 1000 * 1_000_000
    message.header.frame_id = frame
    return message


def thermal_image(stamp_ms: int, height: int = 24, width: int = 32) -> Image:
    rng = np.random.default_rng(stamp_ms)
    return image(rng.integers(0, 256, (height, width), np.uint8), "mono8", stamp_ms, "lwir")


def rgb_image(stamp_ms: int, height: int = 24, width: int = 32) -> Image:
    rng = np.random.default_rng(stamp_ms + 1)
    return image(rng.integers(0, 256, (height, width, 3), np.uint8), "rgb8", stamp_ms, "front")
