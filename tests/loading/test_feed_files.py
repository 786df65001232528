"""The files of feeds: their order, their names, and which of them are new, whatever is done to them."""

import os
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import duckdb
import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from jobs.loading.feed_files import find_feed_files, mask_variable_values, natural_sort_key, unmasked_path
from jobs.loading.feed_settings import read_feeds
from jobs.loading.files_to_load import find_files_to_load
from jobs.loading.loaded_files import record_loaded_file, record_modification_time
from jobs.settings import Settings
from jobs.warehouse.clock import now
from jobs.warehouse.connection import prepare_warehouse, rolled_back_transaction

FOLDER_NAMES = st.text(st.sampled_from("abz .-_%äß"), min_size=1, max_size=8).filter(lambda text: text.strip(". "))


def feed(files, **keys):
    return read_feeds({"f": {"kind": "events", "files": files, **keys}}, 0.01)[0]


@given(st.lists(st.integers(0, 10**12), unique=True), st.sampled_from(["day_{}.csv", "{}", "a/{}/b2.csv"]))
def test_numbers_in_names_count_as_numbers(numbers, pattern):
    names = [pattern.format(number) for number in numbers]
    assert sorted(names, key=natural_sort_key) == [pattern.format(number) for number in sorted(numbers)]
    assert sorted([*names, "", "1", "a", "a1b", "1a"], key=natural_sort_key)


@settings(max_examples=50, deadline=None)
@given(FOLDER_NAMES, FOLDER_NAMES, st.sampled_from(["${A}/*/${B}.csv", "${A}/x/${B}.*", "${A}/x/${B}.csv", "${A}"]))
def test_a_masked_path_has_no_value_of_a_variable_and_leads_to_the_file(outer, inner, pattern):
    with TemporaryDirectory() as folder, patch.dict(os.environ, {"A": f"{folder}/{outer}", "B": f"key-{inner}"}):
        file = Path(folder) / outer / "x" / f"key-{inner}.csv"
        file.parent.mkdir(parents=True)
        file.touch()
        feed_ = feed(pattern)
        [found] = find_feed_files(feed_)
        assert Path(found.path).samefile(file)
        assert Path(unmasked_path(feed_, found.masked_path)).samefile(file)
        shown = mask_variable_values(feed_, f"{found.masked_path}: can't open {found.path}")
        assert folder not in shown
        assert f"key-{inner}" not in shown or "${B}" not in pattern


def test_a_value_of_a_variable_may_be_a_glob_or_a_folder_with_the_signs_of_one(tmp_path, monkeypatch):
    file = tmp_path / "[shop] *" / "day_1.csv"
    file.parent.mkdir()
    file.touch()
    monkeypatch.setenv("SHOP", str(file.parent))
    monkeypatch.setenv("DAYS", "day_*")
    assert [found.masked_path for found in find_feed_files(feed("${SHOP}/*.csv"))] == ["${SHOP}/day_1.csv"]
    [found] = find_feed_files(feed("${SHOP}/${DAYS}.csv"))
    assert Path(found.path) == file


@pytest.mark.parametrize("value", ["/shops/k3y", "/shops/k3y/"])
def test_a_message_names_a_path_below_a_folder_however_the_folder_is_written(monkeypatch, value):
    monkeypatch.setenv("SHOP", value)
    said = mask_variable_values(feed("${SHOP}/*.csv"), "can't read /shops/k3y/1.csv below /shops/k3y")
    assert said == "can't read ${SHOP}/1.csv below ${SHOP}"


ACTIONS = st.tuples(st.sampled_from(["write", "touch", "remove", "load"]), st.sampled_from("abc"), st.integers(0, 3))


@pytest.fixture(scope="module")
def connection():
    with duckdb.connect() as connection:
        prepare_warehouse(connection)
        yield connection


@settings(max_examples=30, deadline=None)
@given(actions=st.lists(ACTIONS, max_size=25))
def test_a_file_is_new_if_its_content_is_not_what_was_loaded_last(connection, actions):
    with TemporaryDirectory() as folder, rolled_back_transaction(connection):
        feed_ = feed(f"{folder}/*.csv")
        contents, loaded = {}, {}
        for seconds, (action, name, content) in enumerate([*actions, ("load", "", 0), ("load", "", 0)]):
            file = Path(folder) / f"{name}.csv"
            if action == "write":
                contents[name] = f"{content}" * (1 + content // 2)  # 0 and 1 are as long, so are 22 and 33
                file.write_text(contents[name])
            elif action == "remove":
                file.unlink(missing_ok=True)
                contents.pop(name, None)
            if action in ("write", "touch") and name in contents:
                os.utime(file, (seconds, seconds))
            if action == "load":
                news = find_files_to_load(connection, feed_)
                found = [Path(seen.feed_file.path).stem for seen in news.files]
                assert found == sorted(name for name in contents if loaded.get(name) != contents[name])
                for seen in news.files:
                    counts = {"read": 1, "loaded": 1, "unreadable": 0}
                    record_loaded_file(
                        connection, "f", seen, feed_.definition, counts, now() + timedelta(seconds=seconds)
                    )
                for seen in news.rewritten_unchanged_files:
                    record_modification_time(connection, "f", seen)
                loaded |= contents
        assert not news.files
        assert not news.rewritten_unchanged_files
        changed = find_files_to_load(connection, feed(f"{folder}/*.csv", map={"event_type": "'cart'"}))
        assert len(changed.files) == len(contents)


def test_feeds_are_not_passed_to_processes_of_dbt():
    given_ = Settings(feeds={"f": {"kind": "events", "files": "${SECRET}/e.csv"}}, seed=3).as_environment()
    assert given_["NEXTMART_SEED"] == "3"
    assert "NEXTMART_FEEDS" not in given_
