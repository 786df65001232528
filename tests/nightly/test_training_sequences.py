"""The setting `training_sequences`: models learn from the newest sequences alone, and the cases stay the same."""

import json
import weakref

import polars as pl
import pytest
from tiny_warehouse import DAY, DIMENSIONS, START, items_of, rings

from jobs.commands.status import read_status
from jobs.commands.terminal import job_summary_line, print_status
from jobs.evaluation import newest_sequences
from jobs.evaluation.protocols import split_history
from jobs.models.base import FitOptions
from jobs.models.registry import make_model
from jobs.nightly import evaluate, freshness, holdout, training_data
from jobs.nightly.model_store import model_to_bytes
from jobs.nightly.training_data import TrainingData
from jobs.settings import Settings
from jobs.warehouse.reading import read_catalog, read_sequences

HISTORY = rings(400, length=5, size=12, rings_=10)
MODELS = ["popularity", "vsknn"]
PROTOCOLS = ["cutoff", "paper"]


def setting(training_sequences: int | None = None, **more) -> Settings:
    return Settings(**{"models": MODELS, "training_sequences": training_sequences, "validation_limit": 30, **more})


@pytest.fixture
def rows_read(monkeypatch) -> list[int]:
    """The number of rows of each frame of sequences that the jobs read."""
    rows = []

    def read_and_count(*arguments, **named):
        rows.append(len(frame := read_sequences(*arguments, **named)))
        return frame

    for module in (training_data, newest_sequences, holdout):
        monkeypatch.setattr(module, "read_sequences", read_and_count)
    return rows


def whole_data(tiny, wanted: Settings) -> TrainingData:
    """The training data as they are without a limit."""
    split = split_history(read_sequences(tiny.connection), wanted.protocol, wanted)
    catalog = read_catalog(tiny.connection, DIMENSIONS)
    return TrainingData.from_split(split, catalog, wanted.validation_limit, allow_repeats=False)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_is_stored_has_learnt_from_the_newest_sequences_and_is_measured_without_the_held_out_ones(tiny, protocol):
    wanted = setting(100, protocol=protocol)
    run = tiny.run("train", wanted)
    data = whole_data(tiny, wanted)
    assert len(data.older_sequences) > 200
    for family in MODELS:
        first = make_model(family)
        first.fit(data.older_sequences.newest(100), data.validation_cases, data.catalog, FitOptions())
        final = first.refit(data.all_sequences.newest(100), data.catalog, FitOptions())
        assert tiny.rows("select weights from ml.models where model = $family", family=family) == [
            (model_to_bytes(final, data.catalog),)
        ], family
        assert model_to_bytes(first, data.catalog) != model_to_bytes(final, data.catalog)
    assert run["rows_in"] == len(HISTORY)
    assert run["detail"]["training_sequences"] == {"used": 100, "available": len(data.all_sequences)}
    assert tiny.rows("select distinct training_rows, training_sequences, data_cutoff_at from ml.models") == [
        (100, 100, data.data_cutoff_at)
    ]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_validation_and_test_cases_are_those_without_a_limit(tiny, protocol):
    tiny.night(setting(protocol=protocol))
    tiny.night(setting(100, protocol=protocol))
    trained = tiny.rows("select training_sequences, count(*) from ml.models group by all order by all")
    assert trained == [(100, 2), (None, 2)]
    measured = tiny.rows(
        "select split, count(*), count(distinct cases_hash) from ml.model_ranks group by all order by all"
    )
    assert measured == [(f"{protocol}/test", 4, 1), (f"{protocol}/validation", 4, 1)]
    weights = tiny.rows("select count(distinct weights_sha256) from ml.models")
    assert weights == [(4,)], "the models have learnt from other sequences"


def test_the_history_before_the_newest_sequences_is_not_read(tiny, rows_read):
    tiny.night(setting(100))
    [(tested,)] = tiny.rows(
        "select count(*) from sessions.sequences where ended_at >= (select any_value(data_cutoff_at) from ml.models)"
    )
    most = 2 * 100 + 30
    assert len(rows_read) == 3
    assert sorted(rows_read) == sorted([rows_read[0], 100, tested])
    assert 100 <= rows_read[0] <= most < len(HISTORY) - tested
    assert len(tiny.rows("select split from ml.model_ranks")) == 4


def test_each_hold_out_is_read_once_and_earlier_ones_are_not_kept_in_memory(tiny, monkeypatch):
    limits = {"popularity": None, "vsknn": 100, "markov": 150, "sknn": 100}
    for family, limit in limits.items():
        tiny.run("train", setting(limit, models=[family]))
    seen, alive = [], []

    def read_and_watch(*arguments):
        alive.append([reference() is not None for reference in seen])
        seen.append(weakref.ref(found := holdout.read_holdout(*arguments)))
        return found

    monkeypatch.setattr(evaluate, "read_holdout", read_and_watch)
    tiny.run("evaluate", setting(models=[*limits]))
    assert len(tiny.rows("select split from ml.model_ranks where split = 'cutoff/test'")) == 4
    assert [before[:-1] for before in alive] == [[], [], [False]]


def test_a_limit_above_the_number_of_sequences_changes_no_bit(tiny):
    tiny.night(setting())
    before = tiny.rows("select model, weights_sha256 from ml.models order by model")
    figures = "select metric, k, segment, split, value, n from ml.model_metrics order by all"
    measured = tiny.rows(figures)
    tiny.connection.execute("delete from ml.models; delete from ml.model_ranks; delete from ml.model_metrics")
    run = tiny.run("train", setting(5000))
    tiny.run("evaluate", setting(5000))
    assert tiny.rows("select model, weights_sha256 from ml.models order by model") == before
    assert tiny.rows(figures) == measured
    assert run["detail"]["training_sequences"]["used"] == run["detail"]["training_sequences"]["available"]
    assert job_summary_line(run) == "2 models trained, 0 fresh"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_targets_that_only_older_sequences_hold_are_cold(tiny, protocol):
    """A model can't know them, so the metrics by segment must not count them among what it has learnt."""
    last = START + 19 * DAY
    gone = [(f"old{number}", [HISTORY[0][1][0], "gone"], [START, START]) for number in range(10)]
    back = [(f"s9{number}", [HISTORY[0][1][0], "gone"], [last, last]) for number in range(5)]
    newest = max((times[0], items) for _, items, times in HISTORY if times[0] < last - DAY)[1]
    known = [("s95", newest[:2], [last, last])]
    tiny.fill([*HISTORY, *gone, *back, *known], [*items_of(HISTORY), "gone"])
    wanted = setting(cutoff_at=last, protocol=protocol)
    split = split_history(read_sequences(tiny.connection), protocol, wanted)
    targets = split.test["target"].cast(pl.String)
    learnt = split.train.tail(100)["items"].explode().cast(pl.String)
    cold = (~targets.is_in(learnt.implode())).sum()
    assert 5 <= cold < len(targets)
    found = []
    for limit in (None, 100):
        tiny.night(setting(limit, cutoff_at=last, protocol=protocol))
        found += tiny.rows(
            "select max(n) from ml.model_metrics where segment = 'cold_target' and ends_with(split, '/test') and "
            "model_version in (select max_by(model_version, model_number) from ml.models group by model)"
        )
    assert found == [(None,), (cold,)]


def test_another_limit_trains_anew_and_the_same_does_not(tiny):
    assert len(tiny.run("train", setting())["detail"]["trained"]) == 2
    assert len(tiny.run("train", setting(100))["detail"]["trained"]) == 2
    unchanged = tiny.run("train", setting(100))
    assert unchanged["detail"] == {"fresh": MODELS, "trained": []}
    assert len(tiny.run("train", setting(150))["detail"]["trained"]) == 2


def test_shops_that_do_not_set_it_keep_their_models(monkeypatch):
    """An upgrade must not change the hash of a recipe; else it would train every model of every shop anew."""
    hashed = []
    monkeypatch.setattr(freshness.json, "dumps", lambda recipe, **_: hashed.append(recipe) or "")
    for chosen in (setting(), setting(100)):
        freshness.fingerprint_of_recipe(make_model("vsknn"), chosen, chosen.job_vars())
    assert hashed[1].keys() - hashed[0].keys() == {"training_sequences"}
    assert {name: hashed[1][name] for name in hashed[0]} == hashed[0]


def test_too_little_history_is_said_as_without_a_limit(tiny):
    tiny.connection.execute("delete from sessions.sequences")
    run = tiny.run("train", setting(100))
    assert (run["detail"]["reason"], run["rows_in"]) == ("too little history", 0)


def test_a_model_is_not_measured_if_nothing_is_left_of_the_history(tiny):
    tiny.run("train", setting(100))
    tiny.connection.execute("delete from sessions.sequences")
    tiny.run("evaluate", setting(100))
    assert tiny.rows("select count(*) from ml.model_ranks where ends_with(split, '/test')") == [(0,)]


def test_people_are_told_how_many_sequences_were_used(tiny, capsys):
    run = tiny.run("train", setting(100))
    tiny.run("evaluate", setting(100))
    available = run["detail"]["training_sequences"]["available"]
    assert job_summary_line(run) == f"2 models trained, 0 fresh, on the newest 100 of {available} sequences"
    [(stored,)] = tiny.rows("select detail from ml.job_runs where job = 'train'")
    assert json.loads(stored)["training_sequences"] == {"used": 100, "available": available}
    print_status(read_status(tiny.connection, setting(100)))
    assert f"live model: {tiny.live()} (newest 100 sequences before" in capsys.readouterr().out


def test_the_status_of_a_model_without_a_limit_says_history(tiny, capsys):
    tiny.night(setting())
    print_status(read_status(tiny.connection, setting()))
    assert f"live model: {tiny.live()} (history before" in capsys.readouterr().out
