"""Bags for the tests, written by rosbags itself so that reading is tested against its format."""

import struct
from pathlib import Path

import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer

from amg_fuse_ros.bags.recording import COMPRESSED_IMAGE, Header, RawMessage, typestore
from amg_fuse_ros.bags.writing import header_message, image_message
from amg_fuse_ros.compressed_encoding import compress

START_NS = 1_700_000_000_000_000_000
FRAME_NS = 33_333_333
THERMAL, RGB = "/thermal/image_raw", "/rgb/image_raw"


def image(topic, number, pixels, encoding, *, stamp_ns=None, record_ns=None, frame_id="camera"):
    """A recorded image; stamped and recorded on the 30 Hz grid unless said otherwise."""
    stamp_ns = START_NS + number * FRAME_NS if stamp_ns is None else stamp_ns
    message = image_message(pixels, encoding, Header(stamp_ns, frame_id))
    return serialised(topic, message, stamp_ns if record_ns is None else record_ns)


def serialised(topic, message, record_ns):
    data = bytes(typestore().serialize_cdr(message, message.__msgtype__))
    return RawMessage(topic, message.__msgtype__, record_ns, data)


def compressed(topic, number, pixels, codec, *, text=None, frame_id="camera"):
    """A compressed image on the 30 Hz grid, its format text as image_transport's unless given."""
    stamp_ns = START_NS + number * FRAME_NS
    fields = compress(pixels, codec)
    message = typestore().types[COMPRESSED_IMAGE](
        header=header_message(Header(stamp_ns, frame_id)),
        format=fields.format if text is None else text,
        data=np.frombuffer(fields.data, np.uint8),
    )
    return serialised(topic, message, stamp_ns)


def thermal(number, **options):
    return image(THERMAL, number, np.full((6, 8), 1000 + number, np.uint16), "mono16", **options)


def rgb(number, **options):
    pixels = np.full((12, 16, 3), [number % 256, 50, 200], np.uint8)
    return image(RGB, number, pixels, "rgb8", **options)


def pairs(count):
    return [make(number) for number in range(count) for make in (thermal, rgb)]


def record(path: Path, messages, storage=StoragePlugin.MCAP, msgdef=None) -> Path:
    """Writes serialised messages as a bag."""
    with Writer(path, version=9, storage_plugin=storage) as writer:
        connections = {}
        for raw in messages:
            key = raw.topic, raw.msgtype
            if key not in connections:
                known = {"msgdef": msgdef, "rihs01": "RIHS01_0"} if msgdef else {}
                connections[key] = writer.add_connection(*key, typestore=typestore(), **known)
            writer.write(connections[key], raw.record_ns, raw.data)
    return path


def damaged(raw: RawMessage) -> RawMessage:
    """The message with its last quarter missing."""
    return raw._replace(data=raw.data[: len(raw.data) * 3 // 4])


def chunk_indexes(content: bytes) -> list[int]:
    """Offsets of the chunk index records in an mcap file's summary."""
    (summary,) = struct.unpack_from("<Q", content, len(content) - 28)
    at, found = summary, []
    while content[at] != 0x02:
        if content[at] == 0x08:
            found.append(at + 9)
        at += 9 + struct.unpack_from("<Q", content, at + 1)[0]
    return found
