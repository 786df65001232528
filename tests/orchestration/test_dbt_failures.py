"""What failed in a build is shown with its message and rows; results are those of dbt 1.11, cut to what is read."""

import json

import pytest

from jobs.orchestration.dbt_failures import failure_texts
from jobs.warehouse.connection import connect

TRACEBACK = """Runtime Error in model train_models (models/jobs/train_models.py)
  Python model failed:
  Traceback (most recent call last):
    File "somewhere/environment.py", line 286, in run_python_job
      df = module.model(dbt, con)
           ^^^^^^^^^^^^^^^^^^^^^^
    File "jobs/nightly/train.py", line 32, in train
      raise NextmartError(text)
  jobs.errors.NextmartError: the weights are gone
  Run `nextmart train`."""


@pytest.fixture
def warehouse(tmp_path):
    path = tmp_path / "warehouse.duckdb"
    with connect(path) as connection:
        connection.execute(
            "create table numbers as select range as number, 'x' || chr(27) || '[2J' as text from range(9)"
        )
    return path


def of(tmp_path, warehouse, *results):
    full = [{"message": None, "compiled_code": None, **result} for result in results]
    (tmp_path / "run_results.json").write_text(json.dumps({"results": full}))
    return list(failure_texts(tmp_path, warehouse))


def failed_test(query):
    message = "Got 9 results, configured to fail if != 0"
    return {"status": "fail", "unique_id": "test.nextmart.few.0a1b", "message": message, "compiled_code": query}


def test_a_failed_test_shows_its_message_and_its_first_rows(tmp_path, warehouse):
    said, rows = of(tmp_path, warehouse, failed_test("select * from numbers order by number"))
    assert said == "failed: test few: Got 9 results, configured to fail if != 0"
    assert [number for number in range(9) if f" {number} │" in rows] == [0, 1, 2, 3, 4]
    assert "\x1b" not in rows  # text of the data can't move the cursor


def test_rows_that_cant_be_read_are_left_out(tmp_path, warehouse):
    assert len(of(tmp_path, warehouse, failed_test("select * from no_such_table"))) == 1


def test_a_warehouse_that_cant_be_opened_leaves_the_failure_as_it_is(tmp_path, warehouse):
    warehouse.write_bytes(b"no database, as far as DuckDB can tell")
    assert len(of(tmp_path, warehouse, failed_test("select 1"))) == 1


def test_a_job_that_failed_shows_what_it_raised_without_the_traceback(tmp_path, warehouse):
    result = {"status": "error", "unique_id": "model.nextmart.train_models", "message": TRACEBACK}
    assert of(tmp_path, warehouse, result) == [
        "failed: model train_models: the weights are gone\n  Run `nextmart train`."
    ]


def test_secrets_are_left_out(tmp_path, warehouse, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-0123")
    result = {"status": "error", "unique_id": "model.nextmart.items", "message": "no sk-secret-0123"}
    assert of(tmp_path, warehouse, result) == ["failed: model items: no <OPENAI_API_KEY>"]


def test_what_passed_was_skipped_or_warned_is_no_failure(tmp_path, warehouse):
    results = [{"status": status, "unique_id": "model.nextmart.items"} for status in ("success", "skipped", "warn")]
    assert of(tmp_path, warehouse, *results) == []


def test_a_build_that_ended_before_it_had_results_has_none(tmp_path, warehouse):
    assert list(failure_texts(tmp_path, warehouse)) == []


@pytest.mark.parametrize("written", [b"", b'{"results": [{"status": "fa', b"{}", b'{"results": [{"status": "\xc3'])
def test_results_that_a_full_disk_has_cut_off_are_told_as_such(tmp_path, warehouse, written):
    results_file = tmp_path / "run_results.json"
    results_file.write_bytes(written)
    [text] = failure_texts(tmp_path, warehouse)
    assert text.startswith(f"{results_file}, which names what failed, is cut off: no space is left on that disk")
