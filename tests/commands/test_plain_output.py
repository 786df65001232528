"""What commands print: reports on stdout, no control sequences or markup of others' texts, and errors as JSON too."""

import json
import sys
from importlib.metadata import version

import pytest

from jobs.cli import main
from jobs.commands.terminal import print_status
from jobs.progress import without_control_characters
from jobs.warehouse.connection import connect, prepare_warehouse

CLEAR_SCREEN = "\x1b[2J\x1b]0;owned\x07"


@pytest.fixture
def nextmart(tmp_path, monkeypatch, capsys):
    """Run a command in a folder with a warehouse; return its exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    with connect(tmp_path / "warehouse.duckdb") as connection:
        prepare_warehouse(connection)
        connection.execute(
            "insert into ml.job_runs (run_id, job, started_at, status, error) values "
            "('r1', 'embed', now(), 'failed', ?), ('r2', 'train', now(), 'failed', 'no [/bold] and :smile: [red]')",
            [f"refused{CLEAR_SCREEN}\npublished: elsewhere"],
        )

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["nextmart", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code or 0, *capsys.readouterr()

    return call


def publish_something(path, **_):
    with connect(path) as copy:
        copy.execute("create schema recommendations")
        copy.execute(
            "create table recommendations.publication as select '2026-01-02 03:00:00+00'::timestamptz published_at"
        )


def test_status_prints_errors_as_they_are_but_for_control_characters(nextmart):
    code, out, err = nextmart("status")
    assert (code, err) == (0, "")
    assert "no [/bold] and :smile: [red]" in out
    assert "refused" in out
    assert not any(character in out for character in "\x1b\x07")
    assert not any(line.startswith("published: elsewhere") for line in out.splitlines())


def test_every_text_of_status_is_printed_without_control_characters(capsys):
    names = ["counts", "freshness", "feeds", "embedding_backlog", "embedding_batches", "last_runs"]
    state = {name: [] for name in names} | {"counts": {}, "newest_build": None, "published": None}
    bad = f"x{CLEAR_SCREEN}[/b]"
    with connect_in_memory() as connection:
        now = connection.execute("select now()").fetchone()[0]
    state |= {
        "embedding_backlog": [{"status": "failed", "items": 1, "missing_since": now, "error": bad}],
        "embedding_batches": [{"texts": 1, "embedding_model": bad, "status": bad, "created_at": now}],
        "live_model": {
            "model_version": "m",
            "data_cutoff_at": now,
            "training_rows": 7,
            "training_sequences": None,
            "ndcg_at_20": 0.5,
            "is_pinned": False,
            "reason": bad,
        },
        "damaged_models": [],
        "due_for_retraining": [],
        "left_out_of_training": [],
        "placements": [{"placement": bad, "visitors": 1, "short_visitors": 0, "rows": 1, "newest_at": now}],
        "published": {"file": bad, "published_at": None, "problem": bad},
        "sizes": {
            "warehouse": {"bytes": 1, "free_share": 0.0},
            **{name: {"bytes": 0} for name in ("published", "logs", "checkpoints")},
            "backups": {"bytes": 0, "copies": 0},
            "set_aside": [{"file": bad, "bytes": 1}],
            "tables": [{"table": bad, "rows": 1, "bytes": 1}],
        },
    }
    print_status(state)
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert said.count("[/b]") == 8


def connect_in_memory():
    from pathlib import Path

    return connect(Path(":memory:"))


def test_a_published_file_that_can_not_be_read_is_named_and_the_rest_is_shown(nextmart, tmp_path):
    (tmp_path / "published.duckdb").write_bytes(b"no database at all")
    code, out, _ = nextmart("status")
    assert code == 0
    assert "raw events" in out
    assert "published: published.duckdb can't be read, and `nextmart publish` writes it anew" in out
    (tmp_path / "published.duckdb").unlink()
    with connect(tmp_path / "published.duckdb") as empty:
        empty.execute("create table other (i int)")
    assert "published.duckdb can't be read" in nextmart("status")[1]


def test_forget_deletes_in_the_warehouse_where_the_published_file_is_broken_and_says_what_is_left(nextmart, tmp_path):
    with connect(tmp_path / "warehouse.duckdb") as connection:
        connection.execute(
            "insert into raw.events (event_id, visitor_id, item_id, event_type, event_at, loaded_at) "
            "values ('e1', 'ann', 'lamp', 'view', '2026-01-01', now())"
        )
    (tmp_path / "published.duckdb").write_bytes(b"no database at all")
    code, out, _ = nextmart("forget", "--visitor", "ann", "--json")
    assert code == 1
    detail = json.loads(out)["detail"]
    assert detail["deleted"]["raw.events"] == 1
    assert "published.duckdb" in detail["published_problem"]
    with connect(tmp_path / "warehouse.duckdb", read_only=True) as connection:
        assert connection.execute("select count(*) from raw.events").fetchone() == (0,)


def test_status_finds_the_file_that_the_option_names_or_that_was_published_to(nextmart, tmp_path):
    publish_something(tmp_path / "elsewhere.duckdb")
    assert "published: nothing yet" in nextmart("status")[1]
    said = "elsewhere.duckdb at 2026-01-02 03:00 UTC"
    assert said in nextmart("status", "--published", "elsewhere.duckdb")[1]
    with connect(tmp_path / "warehouse.duckdb") as connection:
        connection.execute(
            "insert into ml.job_runs (run_id, job, started_at, status, detail) "
            "values ('r3', 'publish', now(), 'done', ?)",
            [json.dumps({"file": "elsewhere.duckdb"})],
        )
    assert said in nextmart("status")[1]


@pytest.mark.parametrize(
    ("arguments", "exit_code", "says"),
    [
        (["status", "--warehouse", "none.duckdb"], 1, "Is this the right folder, and is its disk mounted?"),
        (["status", "--wrong"], 2, "No such option: --wrong"),
        (["forget"], 2, "say whom to forget"),
        (["wrong"], 2, "No such command 'wrong'"),
    ],
)
def test_with_json_an_error_is_json_on_stdout_and_a_line_on_stderr(nextmart, arguments, exit_code, says):
    code, out, err = nextmart(*arguments, "--json")
    assert code == exit_code
    error = json.loads(out)
    assert error["exit_code"] == exit_code
    assert says in error["error"]
    assert says in err


def test_the_version_is_printed(nextmart):
    assert nextmart("--version") == (0, f"nextmart {version('nextmart')}\n", "")


def test_controls_of_an_error_are_not_printed(nextmart):
    code, _, err = nextmart("status", "--warehouse", "a\x1b[2Jb.duckdb")
    assert code == 1
    assert "\x1b" not in err


def test_lines_stay_lines():
    assert without_control_characters("a\nb\x1bc") == "a\nb�c"


def test_forget_names_what_a_service_keeps(nextmart, tmp_path):
    with connect(tmp_path / "warehouse.duckdb") as connection:
        connection.execute(
            "insert into ml.fine_tunes (fine_tune_id, recipe, base_model, status, validation_file_id, "
            "fine_tuned_model, examples, tokens, created_at) "
            "values ('1', 'r', 'b', 'succeeded', 'file-7', 'ft:b:1', 1, 1, now())"
        )
        connection.execute("insert into raw.visitors (visitor_id, updated_at, loaded_at) values ('ann', now(), now())")
    _, out, _ = nextmart("forget", "--visitor", "ann")
    assert "out of reach, delete it at the service: fine-tuned model ft:b:1, training file file-7" in out
