"""What the first bytes of a JPEG or PNG say, read before any pixel is decoded.

A few hundred bytes can ask a decoder for gigabytes, so sizes are read and bounded here first, and
only these two formats reach a decoder at all: not the dozens OpenCV would recognise. Layouts are
those of ITU-T T.81 (JPEG, annex B) and ISO/IEC 15948 (PNG, clause 11).
"""

import struct
from dataclasses import dataclass

from amg_fuse_ros.image_encoding import MAX_SIDE, ImageEncodingError

MAX_PIXELS = 1 << 26
"""8192x8192: at most 512 MB when decoded with four channels of 16 bits."""

MAX_SCANS = 64
"""Scans of a progressive JPEG; encoders write about ten. Each costs a pass over the whole image,
so that thousands of empty ones would hold a decoder up for minutes."""

_MAX_SEGMENTS = 1000
"""Segments before the first scan; cameras write about ten, a colour profile is up to 255."""

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"IEND\xaeB`\x82"
_PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
"""By colour type: grey, colour, palette, grey with alpha, colour with alpha."""

_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD8)})
_START_OF_SCAN = 0xDA


@dataclass(frozen=True)
class CompressedHeader:
    """What a compressed image says about itself."""

    codec: str
    """``"jpeg"`` or ``"png"``."""
    width: int
    height: int
    channels: int
    """Samples per pixel when decoded: 1 grey, 2 grey with alpha, 3 colour, 4 with alpha."""
    bits: int
    """Of a sample when decoded, 8 or 16."""


def read_header(data: bytes) -> CompressedHeader:
    """Reads codec and size of a compressed image and checks that its end is there.

    Args:
        data: A whole JPEG or PNG file.

    Returns:
        What it says; width and height are within the limits.

    Raises:
        ImageEncodingError: For anything else, a damaged or cut file, or too large an image.
    """
    if not data:
        raise ImageEncodingError(
            "the compressed image is empty; image_transport sends that when it cannot turn the "
            "camera's encoding into JPEG: set the publisher's format parameter to png"
        )
    if data.startswith(_PNG_SIGNATURE):
        header = _read_png(data)
    elif data.startswith(b"\xff\xd8\xff"):
        header = _read_jpeg(data)
    else:
        raise ImageEncodingError(
            f"the compressed image begins with {data[:8].hex(' ')}, which is neither JPEG nor PNG; "
            "set the publisher's format parameter to jpeg or png"
        )
    check_size(header.codec.upper(), header.width, header.height)
    return header


def check_size(kind: str, width: int, height: int) -> None:
    """Refuses a size that is no camera's.

    Args:
        kind: What it is the size of, for the message.
        width: Pixels.
        height: Pixels.

    Raises:
        ImageEncodingError: If a side is 0 or above `MAX_SIDE`, or there are more than `MAX_PIXELS`.
    """
    what = f"a {width}x{height} {kind}"
    if not 1 <= min(width, height) <= max(width, height) <= MAX_SIDE:
        raise ImageEncodingError(
            f"{what} cannot be used: width and height should be 1 to {MAX_SIDE}"
        )
    if width * height > MAX_PIXELS:
        raise ImageEncodingError(
            f"{what} is not decoded: it has more than {MAX_PIXELS} pixels, no camera's size"
        )


def _read_png(data: bytes) -> CompressedHeader:
    if len(data) < 33 or data[8:16] != b"\x00\x00\x00\x0dIHDR":
        raise ImageEncodingError("the PNG has no header: it is cut off or damaged")
    width, height, depth, colour_type = struct.unpack_from(">IIBB", data, 16)
    if colour_type not in _PNG_CHANNELS or depth not in {1, 2, 4, 8, 16}:
        raise ImageEncodingError(
            f"the PNG's header is damaged: colour type {colour_type}, {depth} bits"
        )
    if data.rfind(_PNG_END) < 0:
        raise ImageEncodingError(f"the {width}x{height} PNG is cut off after {len(data)} bytes")
    return CompressedHeader("png", width, height, _PNG_CHANNELS[colour_type], max(8, depth))


def _read_jpeg(data: bytes) -> CompressedHeader:
    at, header = 2, None
    for _ in range(_MAX_SEGMENTS):
        marker, at = _next_marker(data, at)
        if marker == _START_OF_SCAN and header is not None:
            # Compressed data never holds a marker, so this end is the image's, not a thumbnail's.
            if data.find(b"\xff\xd9", at) < 0:
                raise ImageEncodingError(
                    f"the {header.width}x{header.height} JPEG is cut off after {len(data)} bytes"
                )
            if data.count(bytes([0xFF, _START_OF_SCAN]), at) >= MAX_SCANS:
                raise ImageEncodingError(f"the JPEG has more than {MAX_SCANS} scans")
            return header
        if marker in _WITHOUT_LENGTH:
            continue
        length = int.from_bytes(data[at : at + 2], "big")
        if length < 2 or at + length > len(data):
            raise ImageEncodingError("the JPEG's header is cut off or damaged")
        if marker in _START_OF_FRAME and header is None:
            header = _frame_header(data[at + 2 : at + length])
        at += length
    raise ImageEncodingError("the JPEG's header is damaged: no image begins in it")


def _next_marker(data: bytes, at: int) -> tuple[int, int]:
    """The marker at a place and where it ends; any number of 0xFF may come before its code."""
    if data[at : at + 1] != b"\xff":
        raise ImageEncodingError("the JPEG's header is cut off or damaged")
    end = at + 1
    while data[end : end + 1] == b"\xff":
        end += 1
    if end >= len(data):
        raise ImageEncodingError("the JPEG's header is cut off or damaged")
    return data[end], end + 1


def _frame_header(segment: bytes) -> CompressedHeader:
    if len(segment) < 6:
        raise ImageEncodingError("the JPEG's header is cut off or damaged")
    bits, height, width, components = struct.unpack_from(">BHHB", segment)
    if bits != 8:
        raise ImageEncodingError(f"a JPEG of {bits} bits is not read here; send 16 bits as png")
    return CompressedHeader("jpeg", width, height, 1 if components == 1 else 3, bits)
