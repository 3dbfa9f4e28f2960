"""Write the report: one HTML file without network needs, Markdown, JSON, and scores as CSV."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from training.benchmark.contents import Report
from training.benchmark.identity import digest, write_whole
from training.benchmark.markdown import markdown
from training.benchmark.record import as_record, scores_csv
from training.benchmark.results import Results

PAGE, TEXT, DATA, TABLE = "report.html", "report.md", "report.json", "scores.csv"
_TEMPLATES = Path(__file__).with_name("templates")


def write_report(report: Report, out: Path, *, strips: int | None = None) -> bool:
    """Write everything, unless what lies there says the same already.

    Args:
        report: What to say.
        out: Folder for report.html, report.md, report.json and scores.csv.
        strips: Scenes to picture for each set besides the worst ones; all by default.

    Returns:
        Whether anything had to be written.

    Raises:
        OSError: A file cannot be written.
    """
    record = as_record(report)
    key = _key(report, record, strips)
    if (out / PAGE).is_file() and _written_key(out / DATA) == key:
        return False
    # Imported here: plotting libraries load slowly, and a report that is up to date needs none.
    from training.benchmark.page import page

    write_whole(out / PAGE, page(report, strips).encode())
    write_whole(out / TEXT, markdown(report).encode())
    write_whole(out / TABLE, scores_csv(report.results).encode())
    # Last: whoever finds this file with the right key finds the others.
    write_whole(out / DATA, (json.dumps({"key": key, **record}, indent=1) + "\n").encode())
    return True


def _key(report: Report, record: Mapping[str, Any], strips: int | None) -> str:
    """Digest of all that the report is made of, the pictures and this code included."""
    code = sorted([*Path(__file__).parent.glob("*.py"), *_TEMPLATES.iterdir()])
    parts = [json.dumps([record, strips]).encode(), *(path.read_bytes() for path in code)]
    for folder in sorted(set(_picture_folders(report.results))):
        for path in sorted(folder.iterdir()):
            status = path.stat()
            parts.append(repr((path.name, status.st_size, status.st_mtime_ns)).encode())
    return digest(parts)


def _picture_folders(results: Results) -> Iterator[Path]:
    yield from results.folders.values()
    for group in results.groups:
        for s in group.sets:
            folders = (s.thermal, s.visible, s.clean_thermal, s.clean_visible)
            yield from (folder for folder in folders if folder)


def _written_key(path: Path) -> str:
    try:
        return str(json.loads(path.read_text())["key"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
