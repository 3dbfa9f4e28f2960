"""The size of an image file, from its first bytes, before any pixel is decoded.

Only formats that cameras and datasets come in are read; OpenCV would recognise dozens more. The
layouts are those of the formats' specifications: BMP (BITMAPINFOHEADER), TIFF 6.0, WebP (RFC 9649),
Netpbm.
"""

import re
import struct

from amg_fuse_ros.compressed_header import check_size, read_header
from amg_fuse_ros.image_encoding import ImageEncodingError

FORMATS = "PNG, JPEG, BMP, TIFF, WebP or PGM/PPM"

_WIDTH, _HEIGHT = 256, 257
_TIFF_TYPES = {3: "H", 4: "I"}
"""Sizes of images are SHORT or LONG."""

_NETPBM = re.compile(rb"P[1-6](?:\s|#[^\n]*\n)+(\d{1,10})(?:\s|#[^\n]*\n)+(\d{1,10})\s")


def check_image_file(data: bytes) -> None:
    """Refuses an image file that is of another format, or larger than any camera's.

    Args:
        data: The file's content.

    Raises:
        ImageEncodingError: If it is, or its header is damaged.
    """
    if data.startswith((b"\x89PNG", b"\xff\xd8\xff")):
        read_header(data)
        return
    try:
        name, width, height = _size(data)
    except (struct.error, IndexError) as error:
        raise ImageEncodingError("the image's header is cut off") from error
    check_size(name, width, height)


def _size(data: bytes) -> tuple[str, int, int]:
    if data.startswith(b"BM"):
        (header,) = struct.unpack_from("<I", data, 14)
        width, height = struct.unpack_from("<HH" if header == 12 else "<ii", data, 18)
        return "BMP", abs(width), abs(height)
    if data.startswith((b"II*\0", b"MM\0*")):
        return "TIFF", *_tiff_size(data, "<" if data.startswith(b"II") else ">")
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WebP", *_webp_size(data)
    if netpbm := _NETPBM.match(data[:4096]):
        return "Netpbm image", int(netpbm[1]), int(netpbm[2])
    raise ImageEncodingError(f"it begins with {data[:8].hex(' ')}; expected {FORMATS}")


def _tiff_size(data: bytes, order: str) -> tuple[int, int]:
    """Of the first image in the file, the one that is decoded."""
    (at,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, at)
    sides: dict[int, int] = {}
    for place in range(at + 2, at + 2 + 12 * count, 12):
        tag, type_, values = struct.unpack_from(f"{order}HHI", data, place)
        if tag in {_WIDTH, _HEIGHT}:
            if type_ not in _TIFF_TYPES or values != 1 or tag in sides:
                raise ImageEncodingError("the TIFF's header is damaged")
            (sides[tag],) = struct.unpack_from(order + _TIFF_TYPES[type_], data, place + 8)
    if len(sides) != 2:
        raise ImageEncodingError("the TIFF's header names no size")
    return sides[_WIDTH], sides[_HEIGHT]


def _webp_size(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise ImageEncodingError("the WebP's header is damaged")
