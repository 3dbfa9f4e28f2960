"""Reads .rrd files back with Rerun's own reader."""

from collections import defaultdict

import cv2
import numpy as np


def columns(file):
    """``{entity: {column: values}}`` in the order of the stamps; without what has none."""
    import rerun.chunk

    rows = defaultdict(list)
    for chunk in rerun.chunk.RrdReader(str(file)).stream():
        batch = chunk.to_record_batch()
        names = batch.schema.names
        if "stamp" not in names:
            continue
        stamps = batch.column("stamp").cast("int64").to_pylist()
        values = [batch.column(name) for name in names]
        for number, stamp in enumerate(stamps):
            fields = {n: v[number] for n, v in zip(names, values, strict=True)}
            rows[chunk.entity_path].append((stamp, fields))
    found = {}
    for entity, entries in rows.items():
        entries.sort(key=lambda entry: entry[0])
        found[entity] = {"stamp": [stamp for stamp, _ in entries]}
        for name in entries[0][1].keys() - {"stamp", "log_time"}:
            found[entity][name] = [fields[name] for _, fields in entries]
    return found


def jpeg(cell):
    """The image in a cell of an encoded image, RGB or grey."""
    content = np.array(cell.values.flatten(), np.uint8)
    image = cv2.imdecode(content, cv2.IMREAD_UNCHANGED)
    return image[..., ::-1] if image.ndim == 3 else image


def pixels(cell, dtype, shape):
    """The samples in a cell of a raw image."""
    return np.array(cell.values.flatten(), np.uint8).view(dtype).reshape(shape)


def scalars(cells):
    return [cell.as_py()[0] for cell in cells]
