"""Where the thermal image lies in the RGB image: from a file, CameraInfo and TF, as they come."""

import contextlib
from functools import partial
from threading import Lock
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo

from amg_fuse_ros.calibration_file import load_calibration_parts
from amg_fuse_ros.imaging.calibration_values import CalibrationParts
from amg_fuse_ros.imaging.camera_model import CalibrationError, CameraModel, Size
from amg_fuse_ros.imaging.registration import (
    Calibration,
    Pose,
    TwoCameras,
    displacement,
    share_seen,
)
from amg_fuse_ros.ros.camera_info import SeenThrough, contents, read_camera_info, size_of_images
from amg_fuse_ros.ros.subscriptions import subscribe_newest
from amg_fuse_ros.ros.transforms import TransformTree
from amg_fuse_ros.setting import Settings

STILL_PX = 0.05
"""Cameras that move less to each other stand still: a table is not made anew for nothing."""

TF_QUEUE = 100
"""As tf2_ros has it."""


class RigError(CalibrationError):
    """It is not known where the thermal image lies; the message says why, and what to do.

    Attributes:
        lacks: What is missing or wrong: ``camera_info``, ``tf`` or ``pose``.
    """

    def __init__(self, lacks: str, text: str) -> None:
        super().__init__(text)
        self.lacks = lacks


class Rig:
    """The two cameras of a configured node; for use from several threads.

    What a calibration is made of comes with messages, so it is whole from some moment on, and may
    become another one while the node runs.
    """

    def __init__(self, settings: Settings) -> None:
        """Read the file, if there is one.

        Args:
            settings: The node's; ``calibration.distance_m`` is read anew each time.

        Raises:
            FileNotFoundError: If the calibration file is not there.
            CalibrationError: If it cannot be used, or does not hold what the settings want of it.
            RuntimeError: If transforms are wanted and tf2_msgs is not installed.
        """
        self._settings = settings
        self._path = str(settings["registration"])
        self._from_topics = settings["calibration.intrinsics"] == "topics"
        self._from_tf = settings["calibration.extrinsics"] == "tf"
        self._parts = load_calibration_parts(self._path) if self._path else None
        self._tf_message = _tf_message() if self._from_tf else None
        self._check()
        self._lock = Lock()
        self._node: Node | None = None
        self._subscriptions: list[Any] = []
        self._topics: dict[str, str] = {}
        self._infos: dict[str, CameraInfo] = {}
        self._seen_through: dict[str, SeenThrough | CalibrationError] = {}
        self._tree = TransformTree()
        self._made: TwoCameras | None = None
        self._share = 0.0

    @property
    def rgb_info(self) -> CameraInfo | None:
        """The newest CameraInfo of the RGB camera."""
        return self._infos.get("rgb")

    def open(self, node: Node, reliability: ReliabilityPolicy) -> None:
        """Subscribe to what is wanted.

        Args:
            node: Who subscribes.
            reliability: Asked of the cameras.
        """
        self._node = node
        for name in ("rgb", "thermal") if self._from_topics else ("rgb",):
            take = partial(self._take_info, name)
            topic = f"{name}/camera_info"
            subscription = subscribe_newest(node, CameraInfo, topic, take, reliability)
            self._topics[name] = subscription.topic_name
            self._subscriptions.append(subscription)
        if self._tf_message is not None:
            moving = QoSProfile(depth=TF_QUEUE)
            static = QoSProfile(depth=TF_QUEUE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
            for topic, profile in (("/tf", moving), ("/tf_static", static)):
                self._subscriptions.append(
                    node.create_subscription(
                        self._tf_message, topic, self._take_transforms, profile
                    )
                )

    def close(self) -> None:
        """Unsubscribe; what is known stays known."""
        for subscription in self._subscriptions:
            assert self._node is not None
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()

    def calibration(self, thermal_frame: str, rgb_frame: str) -> Calibration | None:
        """The calibration as it is known now, the same object while it is the same.

        Args:
            thermal_frame: ``frame_id`` of the thermal image.
            rgb_frame: That of the RGB image.

        Returns:
            It; ``None`` if both cameras are to be taken for one view.

        Raises:
            RigError: If something of it is missing or makes no sense.
        """
        parts = self._parts
        if parts is not None and parts.homography is not None:
            return parts.homography
        if parts is None and not self._from_topics:
            return None
        with self._lock:
            try:
                made = self._assemble(parts or CalibrationParts(), thermal_frame, rgb_frame)
                if self._made is None or displacement(self._made, made) >= STILL_PX:
                    self._made, self._share = made, _share_seen(made)
            except RigError:
                self._made = None
                raise
            except CalibrationError as error:
                self._made = None
                raise RigError("pose", str(error)) from error
            return self._made

    def told_sizes(self) -> dict[str, Size]:
        """Width and height of images by their CameraInfo, of the cameras that sent a whole one."""
        sizes = {}
        for name, info in list(self._infos.items()):
            with contextlib.suppress(CalibrationError):  # told where it is needed
                sizes[name] = size_of_images(info)
        return {name: size for name, size in sizes.items() if min(size) > 0}

    @property
    def words(self) -> str:
        """What the calibration is, for people."""
        parts = self._parts
        if parts is not None and parts.homography is not None:
            return "homography"
        if parts is None and not self._from_topics:
            return "none, both cameras are taken for one view"
        if self._made is None:
            return "two cameras, not known yet"
        return f"two cameras, thermal sees {100 * self._share:.0f} % of the RGB image"

    def problem(self, thermal_frame: str, rgb_frame: str) -> RigError | None:
        """What `calibration` raises at the moment, if it does."""
        try:
            self.calibration(thermal_frame, rgb_frame)
        except RigError as error:
            return error
        return None

    def rgb_view(self) -> tuple[Size | None, str]:
        """Size and frame of the RGB images, as far as they are known without one."""
        info, size = self.rgb_info, self.told_sizes().get("rgb")
        frame = str(self._settings["calibration.rgb_frame"])
        if info is not None:
            frame = frame or info.header.frame_id
        if size is not None:
            return size, frame
        parts = self._parts
        known = None if parts is None else parts.homography or parts.rgb
        if known is None:
            return None, frame
        return (known.size if isinstance(known, CameraModel) else known.rgb_size), frame

    def _check(self) -> None:
        """Refuse a file that does not hold what is wanted of it."""
        parts, live = self._parts, self._from_topics or self._from_tf
        if parts is not None and not live:
            try:
                parts.whole()
            except CalibrationError as error:
                raise CalibrationError(f"{self._path}: {error}") from error
        if not live:
            return
        if parts is not None and parts.homography is not None:
            raise CalibrationError(
                f"{self._path} holds a homography, which needs neither CameraInfo nor TF: set "
                "calibration.intrinsics and calibration.extrinsics to file, or name another file"
            )
        cameras = parts is not None and parts.rgb is not None and parts.thermal is not None
        if not self._from_topics and not cameras:
            raise CalibrationError(
                "calibration.intrinsics is file: registration must name a calibration file that "
                "holds both cameras (rgb_*, thermal_*); or set it to topics"
            )
        if not self._from_tf and (parts is None or parts.pose is None):
            raise CalibrationError(
                "calibration.extrinsics is file: registration must name a calibration file that "
                "holds rotation and translation_m; or set it to tf"
            )

    def _assemble(self, parts: CalibrationParts, thermal_frame: str, rgb_frame: str) -> TwoCameras:
        if self._from_topics:
            rgb, thermal = self._seen("rgb"), self._seen("thermal")
        else:
            assert parts.rgb is not None
            assert parts.thermal is not None
            rgb, thermal = SeenThrough(parts.rgb), SeenThrough(parts.thermal)
        pose = self._look_up(thermal_frame, rgb_frame) if self._from_tf else parts.pose
        assert pose is not None
        turned = Pose(thermal.turn @ pose.rotation @ rgb.turn.T, thermal.turn @ pose.translation_m)
        distance_m = float(self._settings["calibration.distance_m"]) or parts.distance_m
        return TwoCameras(rgb.model, thermal.model, turned, distance_m)

    def _seen(self, name: str) -> SeenThrough:
        if name not in self._seen_through:
            topic = self._topics.get(name, f"{name}/camera_info")
            assert self._node is not None
            publishers = self._node.count_publishers(topic)
            what = f"no CameraInfo on {topic} so far; "
            what += f"{publishers} publish it" if publishers else "nobody publishes it"
            what += ": let the camera's driver send one with each image, or set "
            raise RigError("camera_info", what + "calibration.intrinsics to file")
        found = self._seen_through[name]
        if isinstance(found, CalibrationError):
            text = f"the CameraInfo on {self._topics[name]} is of no use: {found}"
            raise RigError("camera_info", text)
        return found

    def _look_up(self, thermal_frame: str, rgb_frame: str) -> Pose:
        thermal = self._frame("thermal", thermal_frame)
        rgb = self._frame("rgb", rgb_frame)
        try:
            matrix = self._tree.between(rgb, thermal)
        except LookupError as error:
            raise RigError(
                "tf",
                f"on /tf and /tf_static {error}; publish the missing link (robot_state_publisher, "
                "static_transform_publisher), or set calibration.extrinsics to file",
            ) from error
        return Pose(matrix[:3, :3], matrix[:3, 3])

    def _frame(self, name: str, frame_id: str) -> str:
        frame = str(self._settings[f"calibration.{name}_frame"]) or frame_id
        if not frame:
            raise RigError(
                "tf",
                f"the {name} images have no frame_id: let the driver set it, or set "
                f"calibration.{name}_frame",
            )
        return frame

    def _take_info(self, name: str, info: CameraInfo) -> None:
        with self._lock:
            known = self._infos.get(name)
            self._infos[name] = info
            if not self._from_topics or (known is not None and contents(known) == contents(info)):
                return
            rectified = self._settings["calibration.rectified"] in (name, "both")
            try:
                self._seen_through[name] = read_camera_info(info, rectified=rectified)
            except CalibrationError as error:
                self._seen_through[name] = error

    def _take_transforms(self, message: Any) -> None:
        with self._lock:
            self._tree.add(message.transforms)


def _share_seen(calibration: TwoCameras) -> float:
    share = share_seen(calibration)
    if share == 0:
        raise RigError(
            "pose",
            "by the calibration the thermal camera sees nothing of what the RGB camera sees; check "
            "that both frames are optical ones (z ahead, x right, y down), and that the pose is "
            "that of the RGB camera in the thermal one's frame",
        )
    return share


def _tf_message() -> type:
    try:
        from tf2_msgs.msg import TFMessage
    except ImportError as error:
        raise RuntimeError(
            "calibration.extrinsics: tf needs the package tf2_msgs (apt install "
            "ros-$ROS_DISTRO-tf2-msgs)"
        ) from error
    return TFMessage
