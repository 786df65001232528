"""Nights whose clock is 30 days ahead or set back: what is newest stays the newest, and nothing is fresh for ever."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from tiny_warehouse import TinyWarehouse, items_of, rings

from jobs.commands.status import LAST_RUNS
from jobs.nightly.freshness import TrainingReason, families_to_train
from jobs.nightly.last_run import read_last_recommend_run
from jobs.nightly.model_store import PREVIOUS_LIVE, live_model, newest_model_by_family
from jobs.settings import Settings
from jobs.warehouse.clock_check import clock_warning
from jobs.warehouse.connection import prepare_warehouse

HISTORY = rings(60)
TONIGHT = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
SETTINGS = Settings(models=["popularity", "vsknn"])


class Clock:
    """A clock that the test sets; it goes by seconds."""

    def __init__(self) -> None:
        self.set(TONIGHT)

    def set(self, moment: datetime) -> None:
        self._readings = (moment + timedelta(seconds=second) for second in itertools.count())

    def __call__(self) -> datetime:
        return next(self._readings)


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    for module in ("warehouse.job_runs", "nightly.train", "nightly.promotion", "nightly.recommend"):
        monkeypatch.setattr(f"jobs.{module}.now", clock)
    return clock


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    warehouse = TinyWarehouse()
    warehouse.fill(HISTORY, items_of(HISTORY))
    yield warehouse
    warehouse.connection.close()


def night(tiny) -> None:
    tiny.night(SETTINGS)
    tiny.run("recommend", SETTINGS)


def why_due(tiny, present: datetime) -> set[TrainingReason]:
    newest = newest_model_by_family(tiny.connection)
    fingerprints = {family: row.recipe_fingerprint for family, row in newest.items()}
    return set(families_to_train(tiny.connection, newest, fingerprints, present, 7 * DAY).values())


def test_a_night_30_days_ahead_leaves_the_nights_after_it_as_they_would_have_been(tiny, clock):
    night(tiny)
    clock.set(TONIGHT + 30 * DAY)
    night(tiny)
    [(ahead,)] = tiny.rows("select max(finished_at) from ml.models")
    assert ahead > TONIGHT + 29 * DAY, "all were too old by that clock"

    clock.set(TONIGHT + DAY)
    assert why_due(tiny, TONIGHT + DAY) == {TrainingReason.TOO_OLD}, "nothing is fresh for ever"
    night(tiny)
    assert why_due(tiny, TONIGHT + 2 * DAY) == set()
    assert live_model(tiny.connection).finished_at < TONIGHT + 2 * DAY
    assert {row.finished_at < TONIGHT + 2 * DAY for row in newest_model_by_family(tiny.connection).values()} == {True}

    [(newest_run,)] = tiny.rows(
        "select run_id from ml.job_runs where job = 'recommend' order by run_number desc limit 1"
    )
    assert read_last_recommend_run(tiny.connection).run_id == newest_run
    assert not read_last_recommend_run(tiny.connection).has_unfinished_successor
    assert tiny.rows("select count(*) > 0 from ml.recommendations where run_id = $run", run=newest_run) == [(True,)]
    shown = {job: started_at for job, _, started_at, *_ in tiny.rows(LAST_RUNS)}
    assert all(started_at < TONIGHT + 2 * DAY for started_at in shown.values())


def test_a_decision_after_the_clock_was_set_back_is_the_newest(tiny, clock):
    tiny.night(SETTINGS)
    first = tiny.live()
    [(other,)] = tiny.rows("select model_version from ml.models where model_version <> $first", first=first)
    clock.set(TONIGHT + 30 * DAY)
    tiny.run("pin", SETTINGS, model_version=other)
    clock.set(TONIGHT + DAY)
    tiny.run("pin", SETTINGS, model_version=first)
    assert tiny.rows(PREVIOUS_LIVE) == [(other,)]
    tiny.run("unpin", SETTINGS)
    tiny.run("evaluate", SETTINGS)
    [(decided, pinned)] = tiny.rows(
        "select model_version, pinned from ml.champions where is_live order by decision_number desc limit 1"
    )
    assert (decided, pinned) == (first, False)


def test_a_model_from_the_future_is_due_after_a_deletion(tiny, clock):
    tiny.connection.execute("create schema staging")
    tiny.connection.execute(
        "create table staging.checked_events as select null::varchar as reject_reason, $at::timestamptz as loaded_at",
        {"at": TONIGHT - DAY},
    )
    clock.set(TONIGHT + 30 * DAY)
    tiny.run("train", SETTINGS)
    number = tiny.rows("select max(model_number) from ml.models")[0][0]
    deletion = (
        "insert into ml.deletions values ($id, $at, 'visitor', 2, 1, 1, 1, 0, 0, $first_loaded_at, $model_number)"
    )
    of_later = {"id": "later", "at": TONIGHT, "first_loaded_at": TONIGHT, "model_number": number}
    tiny.rows(deletion, **of_later)
    assert tiny.rows("select count(*) from ml.models_due") == [(0,)], "the events came after the training"
    tiny.rows(deletion, **(of_later | {"id": "learnt", "first_loaded_at": TONIGHT - 2 * DAY}))
    assert tiny.rows("select count(*) from ml.models_due") == [(2,)]
    clock.set(TONIGHT + DAY)
    tiny.run("train", SETTINGS)
    due = {version for (version,) in tiny.rows("select model_version from ml.models_due")}
    assert due.isdisjoint({row.model_version for row in newest_model_by_family(tiny.connection).values()})


def test_a_warehouse_of_before_gets_the_numbers_by_its_times(tiny, clock):
    night(tiny)
    clock.set(TONIGHT + 8 * DAY)
    night(tiny)
    queries = [
        "select run_id, run_number from ml.job_runs order by run_number",
        "select model_version, model_number from ml.models order by model_number",
        "select model_version, decision_number from ml.champions order by all",
    ]
    before = [tiny.rows(query) for query in queries]
    for table, number in {"job_runs": "run_number", "models": "model_number", "champions": "decision_number"}.items():
        tiny.connection.execute(f"alter table ml.{table} drop column {number}")
    tiny.connection.execute("update ml.schema_versions set version = 5")
    prepare_warehouse(tiny.connection)
    assert [tiny.rows(query) for query in queries] == before


def test_a_clock_that_has_jumped_is_said_with_both_times(tiny, clock):
    assert clock_warning(tiny.connection, TONIGHT) is None
    for number in range(5):
        clock.set(TONIGHT + number * DAY)
        tiny.run("train", Settings(models=["popularity"]))
    last = TONIGHT + 4 * DAY
    assert clock_warning(tiny.connection, last + DAY) is None
    behind = clock_warning(tiny.connection, last - timedelta(hours=2))
    assert "the clock says 2026-03-04 22:00:00 UTC, and the newest run was at 2026-03-05 00:00:0" in behind
    ahead = clock_warning(tiny.connection, last + 30 * DAY)
    assert "the clock says 2026-04-04 00:00:00 UTC, and the newest run was at 2026-03-05 00:00:0" in ahead


def test_two_models_have_two_names_if_a_clock_that_was_ahead_reads_the_same_time_again(tiny, clock):
    clock.set(TONIGHT + 30 * DAY)
    night(tiny)
    clock.set(TONIGHT)
    night(tiny)
    clock.set(TONIGHT + 30 * DAY)
    night(tiny)
    versions = [version for (version,) in tiny.rows("select model_version from ml.models where model = 'vsknn'")]
    assert len(set(versions)) == 3
