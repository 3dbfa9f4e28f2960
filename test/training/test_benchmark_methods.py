import pytest
from benchmark_trees import methods_file

from amg_fuse_ros.weights import shipped_weights
from training.baselines import BASELINES
from training.benchmark.methods import CLEAN, DEFAULT_FILE, MethodsError, read_plan


def read(tmp_path, *methods, **settings):
    return read_plan(methods_file(tmp_path / "methods.yaml", *methods, **settings))


def test_the_file_that_comes_along_can_be_used_as_it_is():
    plan = read_plan(DEFAULT_FILE)
    assert plan.main.source == str(shipped_weights("tiny"))
    assert {m.source for m in plan.methods if m.kind == "baseline"} == set(BASELINES)
    assert any(method.restore == CLEAN for method in plan.methods)


def test_paths_are_relative_to_the_file_that_they_stand_in(tmp_path, monkeypatch):
    folder = tmp_path / "deep"
    (folder / "theirs").mkdir(parents=True)
    (folder / "r.safetensors").write_bytes(b"weights")
    monkeypatch.chdir(tmp_path)
    plan = read(folder, {"results": "theirs"}, {"baseline": "average", "restore": "r.safetensors"})
    assert [m.source for m in plan.methods] == [str(folder / "theirs"), "average"]
    assert plan.methods[1].restore == str(folder / "r.safetensors")


def test_the_main_method_is_the_one_named_else_the_first_network(tmp_path):
    network, average = {"weights": "shipped"}, {"baseline": "average"}
    assert read(tmp_path, average, network).main.kind == "weights"
    assert read(tmp_path, average, network, main="average").main.source == "average"


def test_only_what_fuses_the_given_pair_is_ranked(tmp_path):
    plan = read(
        tmp_path,
        {"baseline": "average"},
        {"baseline": "visible"},
        {"baseline": "thermal"},
        {"baseline": "maximum", "restore": CLEAN},
        {"results": ".", "restore": CLEAN},
    )
    assert [method.ranked for method in plan.methods] == [True, False, False, False, False]


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ({"baseline": "wavelet"}, "expected one of average, .*found 'wavelet'"),
        ({"weights": "none.pth"}, r"method 1 \(none.pth\): weights: no such file: .*none.pth"),
        ({"weights": "shipped", "size": "full"}, "no weights of size 'full' are shipped"),
        ({"results": "none"}, "expected a folder of images, found none at .*none"),
        ({"results": ".", "restore": "r.pth"}, "restore: expected @clean where.*found 'r.pth'"),
        ({"results": ".", "engine": "eager"}, r"found \['engine'\]"),
        ({"baseline": "average", "engine": "eager"}, r"found \['engine'\]"),
        ({"baseline": "average", "restore": "none.pth"}, "@clean, or a file.*no such file"),
        ({"baseline": "average", "weights": "shipped"}, "expected one of weights, baseline"),
        ({"name": "nothing"}, "expected one of weights, baseline, results, found none"),
        ({"baseline": 3}, "expected a mapping with a name"),
        ({"name": "x", "baseline": 3}, "baseline: expected text, found 3"),
    ],
)
def test_a_method_that_cannot_be_used_is_answered_with_what_was_expected(tmp_path, method, message):
    with pytest.raises(MethodsError, match=message):
        read(tmp_path, method)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"main": "other"}, r"main: expected one of \['average'\], found 'other'"),
        ({"real_weather": "awmm"}, "expected a list of patterns, found 'awmm'"),
        ({"ablations": "none.json"}, "ablations: no such file"),
        ({"metrics": []}, r"found \['metrics'\]"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(tmp_path, settings, message):
    with pytest.raises(MethodsError, match=message):
        read(tmp_path, {"baseline": "average"}, **settings)


def test_two_methods_of_one_name_are_refused(tmp_path):
    with pytest.raises(MethodsError, match="names of their own"):
        read(tmp_path, {"baseline": "average"}, {"baseline": "average"})


@pytest.mark.parametrize("text", ["methods: [", "average", "methods: average", "methods: []"])
def test_what_is_no_file_of_methods_is_refused(tmp_path, text):
    (tmp_path / "methods.yaml").write_text(text)
    with pytest.raises(MethodsError, match=r"expected|YAML"):
        read_plan(tmp_path / "methods.yaml")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.yaml: no such file of methods"):
        read_plan(tmp_path / "none.yaml")
