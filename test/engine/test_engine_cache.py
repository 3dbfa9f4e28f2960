"""Built engines are kept by everything that they depend on, whole or not at all."""

import json
import logging

import pytest

from amg_fuse_ros.engine import cache
from amg_fuse_ros.engine.progress import told

KEY = {
    "engine": "tensorrt",
    "weights": "0123",
    "size": "tiny",
    "resolution": "640x480",
    "precision": "fp16",
    "tensorrt": "10.3",
    "device": "Orin",
}


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("AMG_FUSE_CACHE", str(tmp_path))
    return tmp_path


def write(text):
    return lambda folder: (folder / "engine").write_text(text) and None


def never(_):
    raise AssertionError("it was built again")


def test_what_was_built_is_found_again():
    entry = cache.find_or_build(KEY, write("first"))
    assert cache.find_or_build(KEY, never) == entry == cache.find(KEY)
    assert (entry / "engine").read_text() == "first"


@pytest.mark.parametrize("name", KEY)
def test_a_change_of_anything_in_the_key_needs_another_build(name):
    cache.find_or_build(KEY, write("first"))
    other = {**KEY, name: "other"}
    assert cache.find(other) is None
    assert (cache.find_or_build(other, write("second")) / "engine").read_text() == "second"


def test_a_stale_build_is_replaced_and_the_log_says_why(caplog):
    caplog.set_level(logging.INFO, "amg_fuse_ros.engine")
    old = cache.find_or_build(KEY, write("first"))
    cache.find_or_build({**KEY, "tensorrt": "10.9"}, write("second"))
    assert "stale (tensorrt was 10.3, is 10.9)" in caplog.text
    assert not old.exists()


def test_a_build_for_another_purpose_is_no_stale_one():
    kept = cache.find_or_build(KEY, write("first"))
    cache.find_or_build({**KEY, "resolution": "320x240"}, write("second"))
    assert cache.find(KEY) == kept


def test_a_build_that_fails_leaves_nothing(own_folder):
    def fails(folder):
        (folder / "engine").write_text("half")
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        cache.find_or_build(KEY, fails)
    assert cache.find(KEY) is None
    assert not list((own_folder / "engines").iterdir())


@pytest.mark.parametrize("content", ["", "{", "[]", json.dumps({**KEY, "device": "other"})])
def test_an_entry_whose_key_is_damaged_or_another_is_built_anew(content):
    entry = cache.find_or_build(KEY, write("first"))
    (entry / cache.KEY_FILE).write_text(content)
    assert cache.find(KEY) is None
    assert (cache.find_or_build(KEY, write("second")) / "engine").read_text() == "second"


def test_the_folder_is_the_users_cache_folder_unless_named(monkeypatch, tmp_path):
    assert cache.cache_folder() == tmp_path
    monkeypatch.delenv("AMG_FUSE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert str(cache.cache_folder()) == "/somewhere/amg_fuse_ros"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert str(cache.cache_folder()) == "/home/someone/.cache/amg_fuse_ros"


def test_long_work_is_told_at_its_begin_meanwhile_and_at_its_end(caplog):
    caplog.set_level(logging.INFO, "amg_fuse_ros.engine")
    with told("building", period_s=0.01):
        while "so far" not in caplog.text:
            pass
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0] == "building ..."
    assert lines[1].startswith("building: 0 s so far")
    assert lines[-1].startswith("building: done after 0.")
