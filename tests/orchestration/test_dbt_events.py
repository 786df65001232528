"""A build's log becomes one line a stage; dbt's events and manifest are those of dbt 1.11, cut to what is read."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from jobs.orchestration.dbt_build import BuildLog

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)

NODES = {
    "model.shop.stg_events": {"resource_type": "model", "path": "staging/stg_events.sql"},
    "model.shop.sessions": {"resource_type": "model", "path": "sessions/sessions.sql"},
    "model.shop.train_models": {"resource_type": "model", "path": "jobs/train_models.py"},
    "snapshot.shop.item_history": {"resource_type": "snapshot", "path": "item_history.yml"},
    "test.shop.unique_sessions": {
        "resource_type": "test", "path": "unique_sessions.sql", "attached_node": "model.shop.sessions",
    },
    "test.shop.gaps": {
        "resource_type": "test", "path": "gaps.sql",
        "depends_on": {"nodes": ["model.shop.stg_events", "model.shop.sessions"]},
    },
    "test.shop.freshness": {"resource_type": "test", "path": "freshness.sql", "depends_on": {"nodes": ["source.shop"]}},
    "operation.shop.start": {"resource_type": "operation", "path": "start.sql"},
}  # fmt: skip


@pytest.fixture
def manifest(tmp_path):
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({"nodes": {n: {"config": {"materialized": "table"}, **v} for n, v in NODES.items()}}))
    return path


def event(name, seconds=0, node=None, status="", level="info", message="", **data):
    if node:
        kind = NODES[node]["resource_type"]
        finished = "" if status in ("started", "skipped") else "then"
        data["node_info"] = {
            "unique_id": node, "resource_type": kind, "node_name": node.split(".")[-1], "node_status": status,
            "node_finished_at": finished,
        }  # fmt: skip
    at = (BEGIN + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")
    return json.dumps({"data": data, "info": {"name": name, "msg": message, "level": level, "ts": at}})


def begin(seconds=0):
    return event("ConcurrencyLine", seconds)


def run(node, start, end, status="success", **data):
    name = "LogTestResult" if NODES[node]["resource_type"] == "test" else "LogModelResult"
    return [event("LogStartLine", start, node, "started"), event(name, end, node, status, **data)]


def lines(log, manifest, verbose=False):
    return [" ".join(line.split()) for line in BuildLog(manifest, verbose).terminal_lines(log)]


def test_a_stage_is_a_line_with_its_counts_and_seconds_once_all_of_it_has_passed(manifest):
    log = [
        begin(),
        *run("model.shop.stg_events", 0, 2),
        *run("model.shop.sessions", 3, 4.5),
        *run("test.shop.unique_sessions", 10, 11, "pass"),
        *run("test.shop.gaps", 11, 12, "pass"),
    ]
    assert lines(log, manifest) == ["staging 1 table, 0 tests passed 2.0 s", "sessions 1 table, 2 tests passed 3.5 s"]


def test_seconds_in_which_two_nodes_of_a_stage_run_count_once(manifest):
    first, second = run("model.shop.sessions", 0, 4), run("test.shop.gaps", 1, 3, "pass")
    log = [begin(), first[0], second[0], second[1], first[1], *run("test.shop.unique_sessions", 4, 5, "pass")]
    assert lines(log, manifest) == ["sessions 1 table, 2 tests passed 5.0 s"]


def test_a_snapshot_belongs_to_the_catalog_and_a_test_of_a_source_to_the_sources(manifest):
    log = [begin(), *run("snapshot.shop.item_history", 0, 1), *run("test.shop.freshness", 1, 2, "pass")]
    assert lines(log, manifest) == ["catalog 1 table, 0 tests passed 1.0 s", "sources 1 test passed 1.0 s"]


def test_jobs_are_left_to_the_lines_that_they_print_themselves(manifest):
    assert lines([begin(), *run("model.shop.train_models", 0, 9)], manifest) == []


@pytest.mark.parametrize("status", ["fail", "error", "skipped"])
def test_a_stage_of_which_something_failed_or_was_skipped_has_no_line(manifest, status):
    log = [begin(), *run("model.shop.sessions", 0, 1), *run("test.shop.gaps", 1, 2, "pass")]
    if status == "skipped":
        log.append(event("SkippingDetails", 3, "test.shop.unique_sessions", status))
    else:
        log += run("test.shop.unique_sessions", 2, 3, status)
    assert lines(log, manifest) == []


def test_a_warning_names_its_test_and_its_rows(manifest):
    log = [begin(), *run("test.shop.gaps", 1, 2, "warn", num_failures=1234)]
    assert lines(log, manifest) == ["WARN: test gaps, rows found: 1,234"]


def test_a_warning_of_a_test_that_measures_something_says_the_measure_and_its_limit(manifest):
    nodes = json.loads(manifest.read_text())
    nodes["nodes"]["test.shop.gaps"]["config"] = {"fail_calc": "coalesce(max(days), 0)", "warn_if": "> 2"}
    manifest.write_text(json.dumps(nodes))
    log = [begin(), *run("test.shop.gaps", 1, 2, "warn", num_failures=319)]
    assert lines(log, manifest) == ["WARN: test gaps, measured: 319, it warns if this is > 2"]


def test_a_stage_whose_last_test_warns_has_its_line_too(manifest):
    log = [begin(), *run("model.shop.sessions", 0, 1), *run("test.shop.gaps", 1, 2, "pass")]
    log += run("test.shop.unique_sessions", 2, 3, "warn", num_failures=1)
    assert lines(log, manifest) == [
        "WARN: test unique_sessions, rows found: 1",
        "sessions 1 table, 1 test passed 3.0 s",
    ]


def test_the_project_is_a_line_when_dbt_has_read_it(manifest):
    log = [event("MainReportVersion", 0), event("FoundStats", 8, stat_line="29 models, 92 data tests, 14 sources")]
    assert lines(log, manifest) == ["project 29 models, 92 data tests 8.0 s"]


def test_an_error_before_the_build_is_shown_and_one_of_the_build_is_left_to_what_failed(manifest):
    early = event("MainEncounteredError", level="error", message="Compilation Error: no such macro")
    late = event("LogModelResult", 1, "model.shop.sessions", "error", level="error", message="2 of 3 ERROR")
    assert lines([early, begin(), late], manifest) == ["Compilation Error: no such macro"]


def test_an_error_of_the_check_before_the_build_is_shown_without_dbts_words_around_it(manifest):
    message = (
        "Encountered an error:\nCompilation Error in operation nextmart-on-run-start-0 (./dbt_project.yml)\n"
        "  a var has changed: nextmart run --full-refresh\n  \n"
        "  > in macro check_settings (macros/check_settings.sql)\n"
        "  > called by operation nextmart-on-run-start-0 (./dbt_project.yml)"
    )
    late = event("MainEncounteredError", level="error", message=message)
    assert lines([begin(), late], manifest) == ["a var has changed: nextmart run --full-refresh"]


def test_verbose_shows_every_message_and_no_stages(manifest):
    log = [event("FoundStats", message="Found 29 models", stat_line=""), begin(), *run("model.shop.stg_events", 0, 2)]
    assert lines(log, manifest, verbose=True) == ["Found 29 models", "", "", ""]


def test_what_is_no_event_is_shown_without_secrets(manifest, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-0123")
    assert lines(["a package says sk-secret-0123\n", "[1]\n"], manifest) == ["a package says <OPENAI_API_KEY>", "[1]"]
