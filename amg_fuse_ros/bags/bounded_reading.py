"""rosbags' reader with bounds: what a bag claims is checked before memory or disk is taken for it.

Plugins are extended where rosbags looks them up by name. Two things have no such place: the table
of chunk decompressors and the reading of QoS texts, which are replaced in rosbags' modules by ones
that do the same within bounds.
"""

import re
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml
from lz4.frame import LZ4FrameDecompressor
from rosbags.rosbag2 import Reader, reader, storage_mcap, storage_sqlite3
from rosbags.rosbag2.errors import ReaderError

from amg_fuse_ros.plain_yaml import PlainYamlError, check_yaml, load_yaml

MAX_MESSAGE_BYTES = 1 << 30
"""Largest message of a bag whose messages are compressed one by one."""

MAX_METADATA_BYTES = 1 << 24
"""Recorders write some 300 for each topic and file."""
MAX_QOS_CHARACTERS = 1 << 16

SPARED_BYTES = 1 << 30
"""Left free in the temporary folder when a bag of compressed files is unpacked there."""


def unpack_zstd(data: bytes, limit: int) -> bytes:
    """Unpacks zstd frames to no more than a limit.

    Args:
        data: One frame or several.
        limit: The most bytes they may unpack to.

    Raises:
        ReaderError: If they unpack to more, or are cut off.
    """
    return _unpack(reader.zstd.ZstdDecompressor, data, limit)


def unpack_lz4(data: bytes, limit: int) -> bytes:
    """The same of LZ4 frames."""
    return _unpack(LZ4FrameDecompressor, data, limit)


def _unpack(decompressor: Callable[[], Any], data: bytes, limit: int) -> bytes:
    parts, left = [], limit
    while data:
        frame = decompressor()
        # One byte more shows an excess, and none may be asked for where none is allowed.
        parts.append(frame.decompress(data, max_length=left + 1))
        left -= len(parts[-1])
        if left < 0:
            raise ReaderError(f"compressed data unpacks to more than {limit} bytes")
        if not frame.eof:
            raise ReaderError("compressed data is cut off")
        data = frame.unused_data or b""
    return parts[0] if len(parts) == 1 else b"".join(parts)


class BoundedReader(Reader):
    """rosbags' reader of bag folders and files, within bounds."""


class _Folder(reader.DirectoryReader):
    """A bag folder: bounds its description, and unpacks compressed files and messages itself."""

    metadata: Any

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._place = path
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._packed_messages = False

    def open(self) -> None:
        about = _description(self._place)
        mode = str(about.get("compression_mode") or "").lower()
        if mode == "file" and about.get("compression_format") == "zstd":
            self._temporary = tempfile.TemporaryDirectory(prefix="amg_fuse_bag_")
            self.path = _unpacked_files(self._place, about, Path(self._temporary.name))
        try:
            super().open()
        except BaseException:
            self._forget()
            raise
        if self.metadata.compression_mode == "message":
            self._packed_messages = True
            self.metadata = self.metadata._replace(compression_mode=None)

    def close(self) -> None:
        super().close()
        self._forget()

    def messages(self, *args: Any, **kwargs: Any) -> Iterator[tuple[Any, int, bytes]]:
        messages = super().messages(*args, **kwargs)
        if not self._packed_messages:
            yield from messages
            return
        for connection, record_ns, packed in messages:
            yield connection, record_ns, unpack_zstd(packed, MAX_MESSAGE_BYTES)

    def _forget(self) -> None:
        temporary, self._temporary = self._temporary, None
        if temporary is not None:
            temporary.cleanup()
            self.path = self._place


class _Sqlite(storage_sqlite3.Sqlite3Reader):
    """A sqlite3 bag: reads tables, and nothing that would be computed while it is read."""

    def open(self) -> None:
        _check_schema(self.path)
        super().open()


def _check_schema(path: Path) -> None:
    connection = sqlite3.connect(f"file:{quote(str(path))}?immutable=1&mode=ro", uri=True)
    try:
        parts = connection.execute("SELECT type, name, sql FROM sqlite_master").fetchall()
    except sqlite3.DatabaseError as error:
        raise ReaderError(f"Cannot open database {path} or database missing tables.") from error
    finally:
        connection.close()
    for kind, name, sql in parts:
        computed = re.search(r"\b(virtual|generated|as)\b", str(sql or ""), re.IGNORECASE)
        if kind not in {"table", "index"} or (kind == "table" and computed):
            raise ReaderError(f"{path.name} holds {kind} {name!r}, which no recorder writes")


def _description(folder: Path) -> dict[str, Any]:
    """The description in a bag folder; empty where it is none, which rosbags then says."""
    file = folder / "metadata.yaml"
    size = file.stat().st_size
    if size > MAX_METADATA_BYTES:
        raise ReaderError(f"{file.name} has {size} bytes, more than {MAX_METADATA_BYTES}")
    try:
        content = load_yaml(file.read_text("utf-8"), MAX_METADATA_BYTES)
    except (PlainYamlError, UnicodeDecodeError) as error:
        raise ReaderError(f"{file.name}: {error}") from error
    about = content.get("rosbag2_bagfile_information") if isinstance(content, dict) else None
    return about if isinstance(about, dict) else {}


def _unpacked_files(folder: Path, about: dict[str, Any], place: Path) -> Path:
    """A bag folder with the files of another, unpacked as far as there is room."""
    names = about.get("relative_file_paths")
    files = [Path(str(name)).name for name in names] if isinstance(names, list) else []
    for name in files:
        with (folder / name).open("rb") as packed, (place / Path(name).stem).open("xb") as raw:
            stream = reader.zstd.open(packed, "rb")
            while block := stream.read(1 << 20):
                if shutil.disk_usage(place).free < SPARED_BYTES + len(block):
                    raise ReaderError(
                        f"{name} does not fit into the temporary folder {place.parent} when it is "
                        "unpacked; set TMPDIR to a larger one, or unpack it: zstd -d"
                    )
                raw.write(block)
    plain = {
        **about,
        "relative_file_paths": [Path(name).stem for name in files],
        "compression_mode": "",
        "compression_format": "",
    }
    (place / "metadata.yaml").write_text(yaml.safe_dump({"rosbag2_bagfile_information": plain}))
    return place


def _bounded_qos(parse: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def bounded(text: Any) -> Any:
        if isinstance(text, str):
            try:
                check_yaml(text, MAX_QOS_CHARACTERS)
            except PlainYamlError as error:
                raise ReaderError(f"offered_qos_profiles: {error}") from error
        return parse(text)

    return bounded


_Folder.STORAGE_PLUGINS = {**reader.DirectoryReader.STORAGE_PLUGINS, "sqlite3": _Sqlite}
BoundedReader.STORAGE_PLUGINS = {**Reader.STORAGE_PLUGINS, "dir": _Folder, ".db3": _Sqlite}
storage_mcap.DECOMPRESSORS.update(zstd=unpack_zstd, lz4=unpack_lz4)
for module in (reader, storage_mcap, storage_sqlite3):
    module.parse_qos = _bounded_qos(module.parse_qos)
