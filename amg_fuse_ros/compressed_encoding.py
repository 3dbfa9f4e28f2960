"""What a ``sensor_msgs/CompressedImage`` holds, as numpy and back, for live topics and for bags.

Works on any object with the message's fields, so rclpy's and rosbags' messages both fit. The
``format`` text is what image_transport's compressed plugin writes: the camera's encoding, the
codec and what the codec was given, ``"rgb8; jpeg compressed bgr8"``, ``"mono16; png compressed "``;
drivers that compress by themselves write only the codec, ``"jpeg"``.
"""

import re
import sys
from types import SimpleNamespace
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np

from amg_fuse_ros.compressed_header import CompressedHeader, read_header
from amg_fuse_ros.image_encoding import (
    RGB_ENCODINGS,
    Array,
    Convert,
    ImageEncodingError,
    convert_with_rosbags,
    rgb_array,
)

CODECS = ("jpeg", "png")

PNG_LEVEL = 1
"""zlib's fastest; higher ones take several times as long and save a tenth of the bytes."""

_NAMES = {"jpeg": "jpeg", "jpg": "jpeg", "mjpeg": "jpeg", "mjpg": "jpeg", "png": "png"}


class CompressedImageMessage(Protocol):
    """The fields of ``sensor_msgs/CompressedImage`` that describe its pixels."""

    format: str
    data: Any


class Compressed(NamedTuple):
    """The fields of a compressed image to be sent."""

    format: str
    data: bytes


class _Format(NamedTuple):
    """A format text, taken apart."""

    encoding: str
    """What the camera sent before it was compressed; empty where the text does not say."""
    codec: str | None
    """As `CODECS`; None where the text does not say."""
    swapped: bool
    """The codec was given RGB where it expects BGR, so red and blue changed places."""


def compressed_header(message: CompressedImageMessage) -> CompressedHeader:
    """What a message holds, without decoding it.

    Args:
        message: A whole JPEG or PNG.

    Returns:
        Codec, size, channels and bits; bounded, so that decoding can be afforded.

    Raises:
        ImageEncodingError: If it is another format, damaged, too large, or not what its
            ``format`` text says.
    """
    return _checked(message)[0]


def compressed_thermal_array(message: CompressedImageMessage) -> Array:
    """The thermal image in a message.

    Args:
        message: Grey JPEG or PNG of 8 bits, or PNG of 16 bits, which keeps counts exact; colour
            of 8 bits is turned to grey, which leaves three equal channels exact.

    Returns:
        HxW, uint8 or uint16, writable.

    Raises:
        ImageEncodingError: As `compressed_header`; also for counts of 16 bits squeezed into JPEG.
    """
    header, text, data = _checked(message)
    if header.codec == "jpeg" and _bits(text.encoding) == 16:
        raise ImageEncodingError(
            f"format {message.format!r}: JPEG leaves 8 of the {text.encoding} counts' 16 bits, a "
            "few grey levels of a thermal image; set the publisher's format parameter to png"
        )
    pixels = _decode(data, header)
    if pixels.ndim == 3:
        if pixels.dtype != np.uint8:
            raise ImageEncodingError(
                "a thermal image of 16 bits should have one channel, this PNG has "
                f"{pixels.shape[2]}"
            )
        pixels = np.asarray(cv2.cvtColor(pixels[..., :3], cv2.COLOR_BGR2GRAY))
    return pixels


def compressed_rgb_array(
    message: CompressedImageMessage, convert: Convert = convert_with_rosbags
) -> Array:
    """The visible image in a message.

    Args:
        message: JPEG or PNG; grey becomes three equal channels, alpha is dropped, Bayer patterns
            (which the plugin leaves as they are in PNG) are interpolated, colours of 16 bits
            scaled from 0..65535 to 0..255.
        convert: The library that interpolates Bayer patterns.

    Returns:
        HxWx3 uint8 in the order R, G, B, writable.

    Raises:
        ImageEncodingError: As `compressed_header`; also for grey of 16 bits.
    """
    header, text, data = _checked(message)
    pixels = _decode(data, header)
    if text.encoding.startswith("bayer_") and header.codec == "png" and pixels.ndim == 2:
        return rgb_array(_mosaic(pixels, text.encoding), convert)
    if pixels.dtype == np.uint16:
        if pixels.ndim == 2:
            raise ImageEncodingError(
                f"format {message.format!r}: grey of 16 bits is no encoding a visible camera is "
                "read in; is this the thermal topic?"
            )
        pixels = np.asarray(cv2.convertScaleAbs(pixels, alpha=255 / 65535))
    if pixels.ndim == 2:
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB))
    if text.swapped:
        return np.ascontiguousarray(pixels[..., :3])
    order = cv2.COLOR_BGRA2RGB if pixels.shape[2] == 4 else cv2.COLOR_BGR2RGB
    return np.asarray(cv2.cvtColor(pixels, order))


def compress(array: Array, codec: str, quality: int = 90) -> Compressed:
    """Compresses an image to be sent.

    Args:
        array: HxWx3 uint8 RGB; HxW uint8; HxW uint16 (PNG only); or a mask, HxW float32 of
            0..1, which becomes 0..255 (rounded and clipped).
        codec: One of `CODECS`.
        quality: Of JPEG, 1 to 100.

    Returns:
        The format text as image_transport's compressed plugin writes it, and the data.

    Raises:
        ImageEncodingError: If the array or its size does not fit, or the codec is another one.
    """
    if codec not in CODECS:
        raise ImageEncodingError(f"codec should be one of {', '.join(CODECS)}, not {codec!r}")
    if not 1 <= quality <= 100:
        raise ImageEncodingError(f"JPEG's quality should be 1 to 100, not {quality}")
    encoding = _encoding_of(array)
    if encoding == "mono16" and codec == "jpeg":
        raise ImageEncodingError("JPEG has 8 bits; send images of 16 bits as png")
    if encoding == "rgb8":
        array = np.asarray(cv2.cvtColor(array, cv2.COLOR_RGB2BGR))
    elif array.dtype == np.float32:
        array = np.asarray(cv2.multiply(array, 255.0, dtype=cv2.CV_8U))
    given = {"rgb8": "bgr8", "mono8": "mono8" if codec == "jpeg" else "", "mono16": ""}[encoding]
    if codec == "jpeg":
        options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    else:
        options = [cv2.IMWRITE_PNG_COMPRESSION, PNG_LEVEL]
        if encoding != "rgb8":  # a sixth quicker and smaller there, and larger for colours
            options += [cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY]
    try:
        done, data = cv2.imencode(f".{codec}", array, options)
    except cv2.error as error:  # JPEG ends at 65500 pixels
        raise ImageEncodingError(f"{array.shape} cannot be written as {codec}: {error}") from error
    if not done:
        raise ImageEncodingError(f"{array.shape} cannot be written as {codec}")
    return Compressed(f"{encoding}; {codec} compressed {given}", data.tobytes())


def _encoding_of(array: Array) -> str:
    kinds = {("uint8", 3): "rgb8", ("uint8", 2): "mono8", ("uint16", 2): "mono16"}
    kinds["float32", 2] = "mono8"
    encoding = kinds.get((array.dtype.name, array.ndim), "")
    if not encoding or not array.size or (array.ndim == 3 and array.shape[2] != 3):
        raise ImageEncodingError(
            "compressed are HxWx3 uint8, or HxW uint8, uint16 or float32, not "
            f"{array.dtype} of shape {array.shape}"
        )
    return encoding


def _checked(message: CompressedImageMessage) -> tuple[CompressedHeader, _Format, bytes]:
    text = _parse_format(message.format)
    data = memoryview(message.data).tobytes()
    try:
        header = read_header(data)
    except ImageEncodingError as error:
        raise ImageEncodingError(f"format {message.format!r}: {error}") from error
    if text.codec not in {None, header.codec}:
        raise ImageEncodingError(
            f"format {message.format!r} says {text.codec}, but the data is {header.codec}"
        )
    bits = _bits(text.encoding)
    if header.codec == "png" and bits not in {None, header.bits}:
        raise ImageEncodingError(
            f"format {message.format!r} says {bits} bits, but the PNG has {header.bits}"
        )
    return header, text, data


def _parse_format(text: str) -> _Format:
    before, semicolon, after = text.partition(";")
    encoding, how = (before.strip(), after) if semicolon else ("", before)
    words = how.lower().split() or [""]
    if words[0] and words[0] not in _NAMES:
        raise ImageEncodingError(
            f"format {text!r} is not read here; expected jpeg or png, as image_transport's "
            "compressed plugin sends (not compressedDepth, tiff, webp or video)"
        )
    swapped = words[1:] in (["compressed", "rgb8"], ["compressed", "rgb16"])
    return _Format(encoding, _NAMES.get(words[0]), swapped)


def _bits(encoding: str) -> int | None:
    """Bits per sample of an encoding's name, None where it has none: 16 of mono16, 8 of 8UC3."""
    found = re.fullmatch(r"[a-z_]*?(8|16)|(8|16|32|64)[USF]C[0-9]+", encoding)
    return int(found[1] or found[2]) if found else None


def _decode(data: bytes, header: CompressedHeader) -> Array:
    # Unchanged: bits and channels stay, and a tag for upright display turns no camera's image.
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except (cv2.error, MemoryError) as error:
        raise ImageEncodingError(
            f"the {header.codec.upper()} cannot be decoded: {error}"
        ) from error
    if pixels is None:
        raise ImageEncodingError(
            f"the {header.width}x{header.height} {header.codec.upper()} is damaged"
        )
    found = np.asarray(pixels)
    if found.shape[:2] != (header.height, header.width) or found.dtype not in (np.uint8, np.uint16):
        raise ImageEncodingError(
            f"the {header.codec.upper()} says {header.width}x{header.height}, but decodes to "
            f"{found.dtype} of shape {found.shape}"
        )
    return found


def _mosaic(pixels: Array, encoding: str) -> Any:
    """A raw image message of a Bayer pattern that travelled as grey."""
    if encoding not in RGB_ENCODINGS:
        raise ImageEncodingError(f"encoding {encoding!r} is no Bayer pattern that is read here")
    height, width = pixels.shape
    return SimpleNamespace(
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=int(sys.byteorder == "big"),
        step=width * pixels.itemsize,
        data=pixels.reshape(-1).view(np.uint8),
    )
