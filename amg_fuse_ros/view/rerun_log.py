"""Images, masks and latencies as a Rerun recording: into a file, to a viewer, or both.

Everything lies on the timeline ``stamp``, the time at which the cameras measured. rerun-sdk is an
optional dependency and is imported when a log is opened.
"""

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

import numpy as np

from amg_fuse_ros.bags import FramePair
from amg_fuse_ros.bags.replaying import Fused
from amg_fuse_ros.compressed_encoding import compress
from amg_fuse_ros.image_encoding import Array

APPLICATION = "amg_fuse_ros"
TIMELINE = "stamp"

THERMAL, RGB, FUSED, MASK = "thermal", "rgb", "fused", "mask"
"""Each has a view of its own that shows what lies below it, too: boxes of ``fused/detections``."""

DETECTIONS = f"{FUSED}/detections"

LATENCY = "latency_ms"
"""A curve for each stage lies below it."""

NO_VIEWER, SPAWN = "none", "spawn"


class ViewError(RuntimeError):
    """Nothing can be shown or recorded; the message says what to do about it."""


class RerunLog:
    """Logs frames to Rerun.

    Colour images and masks are logged as JPEG, thermal images with their counts. Used in a ``with``
    statement the file appears under its name when all is well; left by an exception, it is removed.

    Args:
        file: The ``.rrd`` file to create.
        viewer: ``"none"``, ``"spawn"`` for a viewer that is started here, or the address of one:
            ``rerun+http://HOST:9876/proxy``.
        quality: Of the JPEG images, 1 to 100.

    Raises:
        ViewError: rerun-sdk is not installed or cannot do what was asked, the file exists already
            or cannot be written.
    """

    def __init__(
        self, file: Path | str | None = None, *, viewer: str = NO_VIEWER, quality: int = 90
    ) -> None:
        self._rerun = _import_rerun()
        self._quality = quality
        self._file = Path(file) if file else None
        self._folder = _folder_beside(self._file) if self._file else None
        try:
            self._stream = self._open(viewer)
        except Exception as error:
            self._discard()
            raise ViewError(f"Rerun cannot be used: {error}") from error

    def __enter__(self) -> "RerunLog":
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc_type is None:
            self.close()
        else:
            self._stream.disconnect()
            self._discard()

    def thermal(self, stamp_ns: int, image: Array) -> None:
        """Logs a thermal image.

        Args:
            stamp_ns: When it was measured, nanoseconds since the epoch.
            image: HxW, uint8 or uint16.
        """
        self._log(THERMAL, stamp_ns, self._rerun.Image(image, color_model="L"))

    def rgb(self, stamp_ns: int, image: Array) -> None:
        """Logs a visible image.

        Args:
            stamp_ns: When it was measured, nanoseconds since the epoch.
            image: HxWx3 uint8 RGB.
        """
        self._log(RGB, stamp_ns, self._jpeg(image))

    def fused(self, stamp_ns: int, image: Array) -> None:
        """Logs a fused image.

        Args:
            stamp_ns: Of the visible image that went in, nanoseconds since the epoch.
            image: HxWx3 uint8 RGB.
        """
        self._log(FUSED, stamp_ns, self._jpeg(image))

    def mask(self, stamp_ns: int, mask: Array) -> None:
        """Logs a mask.

        Args:
            stamp_ns: Of the visible image that went in, nanoseconds since the epoch.
            mask: HxW, float32 in 0..1 or uint8: the share of the visible camera.
        """
        self._log(MASK, stamp_ns, self._jpeg(mask))

    def detections(
        self, stamp_ns: int, boxes: Array, captions: Sequence[str], class_ids: Sequence[int]
    ) -> None:
        """Logs what was found in a fused image, over it.

        Args:
            stamp_ns: Of the fused image, nanoseconds since the epoch.
            boxes: Nx4, x0, y0, x1, y1 in pixels.
            captions: One for each box.
            class_ids: Likewise; boxes of a class have one colour.
        """
        rerun = self._rerun
        found = rerun.Boxes2D(
            array=boxes, array_format=rerun.Box2DFormat.XYXY, labels=captions, class_ids=class_ids
        )
        self._log(DETECTIONS, stamp_ns, found)

    def latencies(self, stamp_ns: int, seconds: Mapping[str, float]) -> None:
        """Logs how long something took.

        Args:
            stamp_ns: Of the visible image that went in, nanoseconds since the epoch.
            seconds: By stage; shown in milliseconds.
        """
        for stage, value in seconds.items():
            part = self._rerun.escape_entity_path_part(stage)
            self._log(f"{LATENCY}/{part}", stamp_ns, self._rerun.Scalars(value * 1e3))

    def pair(self, pair: FramePair, frame: Fused) -> None:
        """Logs a pair with what it was fused to.

        Args:
            pair: The images with their stamps; where a driver left them 0, the record time counts.
            frame: The fused image and the mask; also ``timings``, where it has them.
        """
        stamp_ns = pair.rgb_header.stamp_ns or pair.record_ns
        self.thermal(pair.thermal_header.stamp_ns or pair.record_ns, pair.thermal)
        self.rgb(stamp_ns, pair.rgb)
        self.fused(stamp_ns, frame.image)
        self.mask(stamp_ns, frame.mask)
        self.latencies(stamp_ns, getattr(frame, "timings", {}))

    def close(self, patience_s: float = 30.0) -> None:
        """Writes what is left and gives the file its name.

        Args:
            patience_s: What was logged has this long to be written, seconds.

        Raises:
            ViewError: It could not be written.
        """
        try:
            self._stream.flush(timeout_sec=patience_s)
        except Exception as error:  # a viewer that went away must not cost the file
            flush_error: Exception | None = error
        else:
            flush_error = None
        self._stream.disconnect()
        if self._folder is None or self._file is None:
            return
        try:
            (self._folder / self._file.name).rename(self._file)
        except OSError as error:
            raise ViewError(f"{self._file} cannot be written: {flush_error or error}") from error
        finally:
            self._discard()

    def _open(self, viewer: str) -> Any:
        rerun = self._rerun
        stream = rerun.RecordingStream(APPLICATION)
        sinks = []
        if viewer == SPAWN:
            stream.spawn(connect=False)
            sinks.append(rerun.GrpcSink())
        elif viewer != NO_VIEWER:
            sinks.append(rerun.GrpcSink(viewer))
        if self._folder is not None and self._file is not None:
            sinks.append(rerun.FileSink(str(self._folder / self._file.name)))
        if sinks:
            stream.set_sinks(*sinks, default_blueprint=_views(rerun))
        return stream

    def _log(self, path: str, stamp_ns: int, what: Any) -> None:
        self._stream.set_time(TIMELINE, timestamp=np.datetime64(stamp_ns, "ns"))
        self._stream.log(path, what)

    def _jpeg(self, image: Array) -> Any:
        data = compress(image, "jpeg", self._quality).data
        return self._rerun.EncodedImage(contents=data, media_type="image/jpeg")

    def _discard(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


def _import_rerun() -> ModuleType:
    try:
        import rerun
    except ImportError as error:
        raise ViewError(
            f"rerun-sdk is needed to record or show this way ({error}); install it: "
            "pip install 'rerun-sdk>=0.26', or this package with its extra: amg_fuse_ros[view]"
        ) from error
    return rerun


def _folder_beside(file: Path) -> Path:
    """A hidden folder beside a place that is still free; the file is written there."""
    if os.path.lexists(file):
        raise ViewError(f"{file} exists already; name another file or remove it")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f".{file.name}.partial-", dir=file.parent))
    except OSError as error:
        raise ViewError(f"{file} cannot be written: {error.strerror or error}") from error


def _views(rerun: ModuleType) -> Any:
    """Four pictures and the curves of the latencies below them."""
    views = rerun.blueprint
    pictures = [
        views.Spatial2DView(origin=name, name=name.capitalize() if name != RGB else "RGB")
        for name in (THERMAL, RGB, FUSED, MASK)
    ]
    curves = views.TimeSeriesView(origin=LATENCY, name="Latency, ms")
    return views.Blueprint(
        views.Vertical(views.Grid(*pictures, grid_columns=2), curves, row_shares=[4, 1])
    )
