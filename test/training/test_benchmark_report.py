"""The command as people use it: what it writes, and what is in it."""

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from benchmark_trees import image_set, methods_file, results_of_others
from typer.testing import CliRunner

from training.benchmark.__main__ import app
from training.benchmark.methods import CLEAN
from training.metrics import METRICS, score
from training.metrics.folder import read_image

ROOT = Path(__file__).parents[2]


class Page(HTMLParser):
    """Addresses, alternative texts, names of places and text of a page."""

    def __init__(self, html):
        super().__init__()
        self.addresses, self.images, self.places, self.text = [], [], set(), ""
        self.feed(html)
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.addresses += [found[key] for key in ("src", "href") if key in found]
        self.places |= {found["id"]} if "id" in found else set()
        if tag == "img":
            self.images.append(found)

    def handle_data(self, data):
        self.text += f" {data}"


def make_tree(folder):
    """Sets of each kind, and a file of methods of each kind that needs no torch."""
    data = folder / "data"
    image_set(data / "rain", ("a", "b", "c"), weather=True)
    image_set(data / "snow", weather=True)
    image_set(data / "real_fog", ("a",))
    image_set(data / "day")
    results_of_others(folder / "theirs" / "rain", data / "rain" / "vi")
    methods_file(
        folder / "methods.yaml",
        {"name": "Laplacian <pyramid>", "baseline": "laplacian"},
        {"baseline": "average"},
        {"name": "theirs", "results": "theirs"},
        {"name": "average@clean", "baseline": "average", "restore": CLEAN},
        {"name": "visible alone", "baseline": "visible"},
        main="Laplacian <pyramid>",
    )
    return folder


def run_in(folder, *options):
    """Run the command in this process: (result, folder of the report)."""
    out = folder / "report"
    command = ["--data", folder / "data", "--methods", folder / "methods.yaml", "--out", out]
    command += ["--cache", folder / "cache", "--jobs", 1, "--no-measure", *options]
    return CliRunner().invoke(app, [str(word) for word in command]), out


@pytest.fixture
def tree(tmp_path):
    return make_tree(tmp_path)


@pytest.fixture
def benchmark(tree):
    return lambda *options: run_in(tree, *options)


@pytest.fixture(scope="module")
def finished_tree(tmp_path_factory):
    """A tree with its report, for tests that only read."""
    folder = make_tree(tmp_path_factory.mktemp("finished"))
    result, _ = run_in(folder)
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture(scope="module")
def finished(finished_tree):
    return finished_tree / "report"


def record_of(out):
    return json.loads((out / "report.json").read_text())


def test_the_page_needs_nothing_else_and_describes_its_pictures(finished):
    page = Page((finished / "report.html").read_text())
    inside = [address for address in page.addresses if address.startswith("#")]
    embedded = [address for address in page.addresses if address.startswith("data:image/")]
    assert sorted(inside + embedded) == sorted(page.addresses)
    assert {address[1:] for address in inside} <= page.places
    assert len(page.images) > 40
    assert all(image["alt"].strip() for image in page.images)


def test_every_scene_is_shown_with_its_sources_every_method_and_the_mask(finished):
    page = Page((finished / "report.html").read_text())
    assert {"scene-rain-a", "scene-rain-c", "scene-real_fog-a", "scene-day-b"} <= page.places
    scenes = page.text.split("Above the whole image")[1]
    strip = scenes.split("rain / a")[1].split("rain / b")[0]
    for caption in ("thermal", "visible", "visible, clean", "Laplacian <pyramid>", "average",
                    "theirs", "average@clean", "mask of Laplacian <pyramid>"):  # fmt: skip
        assert caption in strip
    assert "theirs" not in scenes.split("day / a")[1]


def test_fewer_scenes_are_shown_when_asked_for_but_for_the_worst(benchmark):
    _, out = benchmark("--strips", 1, "--set", "rain")
    page = Page((out / "report.html").read_text())
    shown = {place for place in page.places if place.startswith("scene-")}
    worst = {f"scene-rain-{case['name']}" for case in record_of(out)["groups"][0]["worst"]}
    assert shown == {"scene-rain-a"} | worst


def test_weather_is_scored_against_the_clean_pair_and_everything_else_against_its_inputs(
    finished, finished_tree
):
    for entry in record_of(finished)["scores"]:
        if entry["method"] != "average":
            continue
        folder = finished_tree / "data" / entry["set"]
        prefix = "clean_" if entry["set"] in ("rain", "snow") else ""
        files = [folder / f"{prefix}{kind}" / f"{entry['name']}.png" for kind in ("ir", "vi")]
        fused = finished / "fused" / "average" / entry["set"] / f"{entry['name']}.png"
        expected = score(*(read_image(path) for path in (*files, fused)))
        assert {key: entry[key] for key in METRICS} == pytest.approx(expected)


def test_the_sets_are_grouped_as_in_the_papers_tables(finished):
    groups = record_of(finished)["groups"]
    assert [(g["paper_table"], g["sets"], g["images"]) for g in groups] == [
        ("1", ["rain", "snow"], 5),
        ("2", ["real_fog"], 1),
        ("4 and 5", ["day"], 2),
    ]


def test_means_are_over_the_images_of_the_group_and_the_best_two_that_are_ranked_are_marked(
    finished,
):
    record = record_of(finished)
    weather = record["groups"][0]["means"][0]
    rows = {row["method"]: row for row in weather["rows"]}
    for name, row in rows.items():
        mine = [e for e in record["scores"] if e["method"] == name and e["set"] in ("rain", "snow")]
        assert row["images"] == len(mine)
        for key in METRICS:
            assert row[key]["mean"] == pytest.approx(np.mean([entry[key] for entry in mine]))
            low, high = row[key]["interval"]
            assert low <= row[key]["mean"] <= high
    ranked = [row for row in rows.values() if row["ranked"]]
    assert {row["method"] for row in ranked} == {"Laplacian <pyramid>", "average", "theirs"}
    for key in METRICS:
        by_mean = sorted({round(row[key]["mean"], 3) for row in ranked}, reverse=True)
        for row in rows.values():
            expected = by_mean.index(round(row[key]["mean"], 3)) + 1 if row in ranked else 0
            assert row[key]["place"] == (expected if expected < 3 else 0)


def test_the_main_method_is_tested_against_each_ranked_other_on_the_images_of_both(finished):
    record = record_of(finished)
    compared = {c["opponent"]: c for c in record["groups"][0]["comparisons"]}
    assert {name: c["images"] for name, c in compared.items()} == {"average": 5, "theirs": 3}
    scores = {(e["method"], e["set"], e["name"]): e for e in record["scores"]}
    for key in METRICS:
        differences = [
            scores["Laplacian <pyramid>", s, n][key] - scores["theirs", s, n][key]
            for m, s, n in scores
            if m == "theirs"
        ]
        found = compared["theirs"][key]
        assert found["difference"] == pytest.approx(np.mean(differences))
        assert found["p_holm"] >= 0.05  # three images show nothing
    assert "too few for any difference" in " ".join(record["groups"][0]["findings"])


def test_the_worst_image_of_each_metric_stands_before_the_tables(finished):
    record = record_of(finished)
    for group in record["groups"]:
        assert [case["metric"] for case in group["worst"]] == list(METRICS)
        for case in group["worst"]:
            mine = [
                entry[case["metric"]]
                for entry in record["scores"]
                if entry["method"] == record["main"] and entry["set"] in group["sets"]
            ]
            assert case["score"] == pytest.approx(min(mine))
    text = Page((finished / "report.html").read_text()).text
    assert text.index("Failures first") < text.index("scores lowest") < text.index("Means over")


def test_an_image_that_failed_is_told_at_the_top_and_in_the_terminal_and_the_rest_is_done(
    benchmark, tree
):
    (tree / "data" / "rain" / "ir" / "a.png").write_bytes(b"no image")
    (tree / "theirs" / "rain" / "b.png").unlink()
    result, out = benchmark("--strips", 0)
    assert result.exit_code == 0
    problems = {(p["method"], p["set"], p["name"]) for p in record_of(out)["problems"]}
    assert {("average", "rain", "a"), ("theirs", "rain", "b")} <= problems
    for text in (result.output, Page((out / "report.html").read_text()).text,
                 (out / "report.md").read_text()):  # fmt: skip
        assert re.search(r"average, rain/a: \S*a\.png: cannot be decoded", text)
    rows = {row["method"]: row for row in record_of(out)["groups"][0]["means"][0]["rows"]}
    assert rows["average"]["images"] == 4


def test_a_second_run_with_nothing_new_writes_nothing(benchmark, tree):
    benchmark("--strips", 0)
    written = {path: path.stat().st_mtime_ns for path in (tree / "report").rglob("*.*")}
    result, out = benchmark("--strips", 0)
    assert "report.html: is up to date" in result.output
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.*")} == written


def test_a_new_result_makes_a_new_report(benchmark, tree):
    benchmark("--strips", 0, "--set", "rain")
    image = np.full((48, 64), 99, np.uint8)
    image[::2] = 120
    cv2.imwrite(str(tree / "theirs" / "rain" / "a.png"), image)
    result, _ = benchmark("--strips", 0, "--set", "rain")
    assert "report.html: written" in result.output


def test_markdown_has_a_table_with_intervals_for_each_group_and_marks_the_best(finished):
    text = (finished / "report.md").read_text()
    for heading in ("## Weather", "## Real weather", "## Clean data sets"):
        assert heading in text
    assert re.search(r"\*\*\d\.\d{3}\*\* \[-?\d\.\d\d, \d\.\d\d\]", text)
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in table} == {9}
    assert any(line.startswith("| theirs (3 images) |") for line in table)


def test_ablations_become_the_papers_table_6(benchmark, tree):
    rows = [
        {"variant": name, "steps": 7, "minutes": 1.5, "scores": dict.fromkeys(METRICS, value)}
        for name, value in (("all strategies", 0.7), ("without MCCA", 0.25), ("without TDAS", 0.5))
    ]
    (tree / "ablations.json").write_text(json.dumps(rows))
    plan = (tree / "methods.yaml").read_text()
    (tree / "methods.yaml").write_text(plan + "ablations: ablations.json\n")
    _, out = benchmark("--strips", 0, "--set", "day")
    text = (out / "report.md").read_text()
    assert "| all strategies | 7 | **0.700** |" in text
    assert "| without TDAS | 7 | <u>0.500</u> |" in text
    assert "| without MCCA | 7 | 0.250 |" in text
    assert "without MCCA" in Page((out / "report.html").read_text()).text


def test_only_the_sets_asked_for_are_compared(benchmark):
    _, out = benchmark("--strips", 0, "--set", "day", "--set", "snow")
    assert {entry["set"] for entry in record_of(out)["scores"]} == {"day", "snow"}
    result, _ = benchmark("--set", "night")
    assert result.exit_code == 1
    assert "(day, rain, real_fog, snow), found ['night']" in result.output


def test_what_cannot_be_read_ends_with_one_line_of_reason(benchmark, tree):
    (tree / "methods.yaml").write_text("methods: [{name: x, baseline: wavelet}]")
    result, out = benchmark()
    assert result.exit_code == 1
    assert "baseline: expected one of average" in result.output
    assert not (out / "report.html").exists()


def test_where_nothing_could_be_scored_the_exit_status_says_so(benchmark, tree):
    for path in (tree / "data").glob("*/*/*.png"):
        path.write_bytes(b"")
    result, _ = benchmark()
    assert result.exit_code == 1
    assert "not one image could be scored" in result.output


def test_the_command_measures_and_shows_published_figures_as_such(tree):
    methods = methods_file(tree / "small.yaml", {"baseline": "average"}, {"baseline": "maximum"})
    command = [sys.executable, "-m", "training.benchmark", "--data", tree / "data" / "snow"]
    command += ["--methods", methods, "--out", tree / "out", "--cache", tree / "c", "--jobs", "2"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "Of 2 ranked methods average" in done.stdout
    record = record_of(tree / "out")
    assert set(record["efficiency"]["methods"]) == {"average", "maximum"}
    text = Page((tree / "out" / "report.html").read_text()).text
    assert "AMG-Fuse Tiny (published) 4,910,000 20.97" in text
    assert "on its images and its machine" in text
    assert "*AMG-Fuse Tiny (published)*" in (tree / "out" / "report.md").read_text()
