"""Calibration files: YAML in and out."""

from pathlib import Path

import yaml

from amg_fuse_ros.imaging.calibration_values import CalibrationParts, parts_from_dict
from amg_fuse_ros.imaging.registration import Calibration, CalibrationError
from amg_fuse_ros.plain_yaml import MAX_CHARACTERS, PlainYamlError, load_yaml


def load_calibration(path: str | Path) -> Calibration:
    """Read a calibration file.

    Raises:
        FileNotFoundError: If it is not there.
        CalibrationError: If it is no calibration; the message names the file and the entry.
    """
    parts = load_calibration_parts(path)
    try:
        return parts.whole()
    except CalibrationError as error:
        raise CalibrationError(f"{path}: {error}") from error


def load_calibration_parts(path: str | Path) -> CalibrationParts:
    """Read what a calibration file holds, if that is less than a calibration, too.

    Raises:
        FileNotFoundError: If it is not there.
        CalibrationError: If it is no calibration; the message names the file and the entry.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such calibration file")
    size = path.stat().st_size
    if size > 4 * MAX_CHARACTERS:
        raise CalibrationError(f"{path}: expected a few lines of YAML, found {size} bytes")
    try:
        values = load_yaml(path.read_text(encoding="utf-8"))
    except (PlainYamlError, UnicodeDecodeError) as error:
        raise CalibrationError(f"{path}: {error}") from error
    try:
        return parts_from_dict(values)
    except CalibrationError as error:
        raise CalibrationError(f"{path}: {error}") from error


def save_calibration(calibration: Calibration, path: str | Path) -> None:
    """Write a calibration file.

    Raises:
        OSError: If it cannot be written.
    """
    text = yaml.safe_dump(calibration.to_dict(), sort_keys=False, default_flow_style=None)
    Path(path).write_text(text, encoding="utf-8")
