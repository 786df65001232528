"""Trainings within `training_minutes`: what is trained first, what is left out and said, and what comes next."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from optional_packages import require_lightgbm
from tiny_warehouse import TinyWarehouse, items_of, rings

from jobs.commands.status import read_status
from jobs.commands.terminal import job_summary_line, print_status
from jobs.families import CLASS_OF_FAMILY
from jobs.models.fusion import Fusion
from jobs.models.item_to_item import ItemToItemModel
from jobs.models.popularity import Popularity
from jobs.models.registry import make_model
from jobs.models.sequential.model import SequentialModel
from jobs.models.sknn import SKNN
from jobs.nightly import train as train_job
from jobs.nightly.expected_fit_times import ExpectedFitTimes
from jobs.nightly.past_trainings import read_past_fits
from jobs.nightly.training_budget import CHEAP_FIRST, TrainingBudget
from jobs.settings import Settings
from jobs.training import loop
from jobs.warehouse.retention import Retention, delete_old_rows

HISTORY = rings(60)
START = datetime(2026, 3, 1, tzinfo=UTC)
GRU = {"width": 8, "hidden": 8, "epochs": 8, "patience": 8, "epoch_steps": 1, "window": 20, "recency": 0.0}
FUSION = {"parts": ["vsknn", "gru4rec"], "equal_weights": True}
LATER = [(f"later-{name}", items, [time + timedelta(days=40) for time in times]) for name, items, times in rings(30)]
LATE = [(f"late-{name}", items, [time + timedelta(minutes=9) for time in times]) for name, items, times in rings(30)]
FOUR = ["gru4rec", "ease", "vsknn", "popularity"]


class Shop(TinyWarehouse):
    """A warehouse whose clock goes on only where a family is trained, and by as much as the test says.

    ``minutes_of`` says how many minutes a family takes for both of its fits together; a network takes
    ``minutes_of_epoch`` for each epoch of both.
    """

    def __init__(self, monkeypatch) -> None:
        super().__init__()
        self.fill(HISTORY, items_of(HISTORY))
        self.minutes_of: dict[str, float] = {}
        self.minutes_of_epoch = 0.0
        self.minutes = self.minutes_of_reading = 0.0
        self.night = 0.0
        monkeypatch.setattr("jobs.warehouse.clock.monotonic", lambda: 1000.0 + 60 * self.minutes)
        for module in ("nightly.train", "nightly.promotion", "warehouse.job_runs"):
            monkeypatch.setattr(f"jobs.{module}.now", self.now)
        for model_class in (Popularity, SKNN, ItemToItemModel, Fusion):
            monkeypatch.setattr(model_class, "fit", self._slow(model_class.fit, 1 if model_class is Fusion else 2))
        run_epoch = loop.run_epoch

        def slow_epoch(*arguments):
            self.minutes += self.minutes_of_epoch
            run_epoch(*arguments)

        monkeypatch.setattr(loop, "run_epoch", slow_epoch)

    def _slow(self, fit, calls):
        def slow_fit(model, *arguments):
            self.minutes += self.minutes_of.get(model.family, 0.0) / calls
            fit(model, *arguments)

        return slow_fit

    def now(self) -> datetime:
        return START + timedelta(days=self.night, minutes=self.minutes)

    def train(self, models, minutes=None, days=1.0, **more) -> dict:
        """Train in a night that begins some days after the one before; return the run's detail."""
        self.night += days
        parameters = {"gru4rec": GRU, "fusion": FUSION, **more.pop("parameters", {})}
        found = Settings(models=models, training_minutes=minutes, parameters=parameters, **more)
        return self.run("train", found)["detail"]

    def newest(self, family) -> str:
        [(version,)] = self.rows(
            "select max_by(model_version, model_number) from ml.models where model = $family", family=family
        )
        return version

    def cases_of(self, version) -> str:
        [(cases,)] = self.rows("select cases_hash from ml.model_ranks where model_version = $version", version=version)
        return cases


@pytest.fixture
def shop(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shop = Shop(monkeypatch)
    yield shop
    shop.connection.close()


def trained(detail) -> list[str]:
    return [version.split("-")[0] for version in detail["trained"]]


def left_out(detail) -> list[str]:
    return [entry["family"] for entry in detail.get("left_out", [])]


def with_costs(shop, **minutes) -> None:
    """Let a first night without a limit show how long each family takes; all are too old eight days later."""
    shop.minutes_of.update(minutes)
    shop.train([*minutes])
    shop.night += 8


def test_the_order_of_the_first_night_has_every_family_and_ends_with_the_fusions():
    assert sorted(CHEAP_FIRST) == sorted(CLASS_OF_FAMILY)
    assert (CHEAP_FIRST[0], *CHEAP_FIRST[-2:]) == ("popularity", "fusion", "reranker")


def test_without_a_limit_the_settings_order_holds_and_nothing_is_left_out(shop, capsys):
    shop.minutes_of = {"popularity": 1000, "vsknn": 1000, "ease": 1000}
    shop.minutes_of_epoch = 1000
    detail = shop.train(["fusion", *FOUR])
    assert trained(detail) == [*FOUR, "fusion"]
    assert detail.keys() == {"fresh", "trained"}
    assert "left out" not in capsys.readouterr().err


def test_a_limit_that_is_not_reached_changes_no_bit_of_a_model(shop):
    shop.train(FOUR)
    before = dict(shop.rows("select model, weights_sha256 from ml.models"))
    shop.connection.execute("delete from ml.models; delete from ml.model_ranks; delete from ml.job_runs")
    assert shop.train(FOUR, minutes=60).keys() == {"fresh", "trained"}
    assert dict(shop.rows("select model, weights_sha256 from ml.models")) == before


def test_what_nobody_knows_is_trained_in_the_fixed_order(shop):
    assert trained(shop.train(["fusion", "gru4rec", "ease", "vsknn", "popularity"], minutes=60)) == [
        "popularity", "vsknn", "ease", "gru4rec", "fusion",
    ]  # fmt: skip


def test_the_cheap_come_first_and_what_does_not_fit_is_left_out_with_a_word(shop, capsys):
    with_costs(shop, vsknn=20, ease=5, popularity=1, markov=7)
    before = shop.newest("vsknn")
    detail = shop.train(["vsknn", "ease", "popularity", "markov"], minutes=30)
    assert trained(detail) == ["popularity", "ease", "markov"]
    assert detail["left_out"] == [{"family": "vsknn", "needed_minutes": 20.0, "minutes_left": 17.0, "runs_in_a_row": 1}]
    assert detail["fresh"] == []
    assert (
        "vsknn is left out: it needs about 20.0 minutes, and 17.0 of the 30 training_minutes are left; "
        "its earlier model stays in use; it comes first in the next run\n"
    ) in capsys.readouterr().err
    assert shop.newest("vsknn") == before
    assert shop.rows("select weights is not null from ml.models where model_version = $v", v=before) == [(True,)]


def test_the_cost_follows_the_number_of_sequences(shop):
    with_costs(shop, popularity=0, vsknn=10)
    [(rows,)] = shop.rows("select distinct training_rows from ml.models")
    shop.fill(rings(120), items_of(HISTORY))
    [entry] = shop.train(["popularity", "vsknn"], minutes=12)["left_out"]
    [(more,)] = shop.rows("select max(training_rows) from ml.models")
    assert entry["needed_minutes"] == pytest.approx(10 * more / rows, abs=0.01)
    assert entry["needed_minutes"] > 19


def test_what_was_left_out_comes_first_the_next_night_on_the_same_cases(shop):
    with_costs(shop, popularity=1, ease=5, vsknn=20)
    models = ["popularity", "ease", "vsknn"]
    assert left_out(shop.train(models, minutes=25)) == ["vsknn"]
    shop.fill([*HISTORY, *LATER], items_of(HISTORY))
    detail = shop.train(models, minutes=25)
    assert trained(detail) == ["vsknn"]
    assert detail["fresh"] == ["ease", "popularity"]
    assert shop.cases_of(shop.newest("vsknn")) == shop.cases_of(shop.newest("ease"))
    assert trained(shop.train(models, minutes=25)) == [], "all were trained within the week"
    assert trained(shop.train(models, minutes=60, days=8)) == ["popularity", "ease", "vsknn"]
    [(cutoffs,)] = shop.rows("select count(distinct data_cutoff_at) from ml.models")
    assert cutoffs == 2, "the later events count once all are due"


def test_where_the_cases_have_changed_all_are_trained_on_those_of_now(shop):
    with_costs(shop, popularity=1, ease=5, vsknn=20)
    models = ["popularity", "ease", "vsknn"]
    assert left_out(shop.train(models, minutes=25)) == ["vsknn"]
    shop.fill([*HISTORY, *LATE], items_of(HISTORY))
    assert trained(shop.train(models, minutes=30)) == ["vsknn", "popularity", "ease"]
    assert len({shop.cases_of(shop.newest(family)) for family in models}) == 1


def test_a_family_that_no_run_has_time_for_is_said_each_night_and_makes_no_other_due(shop, capsys):
    with_costs(shop, popularity=1, ease=5, vsknn=40)
    models = ["popularity", "ease", "vsknn"]
    assert trained(shop.train(models, minutes=30)) == ["popularity", "ease"]
    assert "set training_minutes to 41 or more to train it" in capsys.readouterr().err
    shop.fill([*HISTORY, *LATE], items_of(HISTORY))  # other cases, on which no model was measured
    detail = shop.train(models, minutes=30)
    assert (trained(detail), left_out(detail), detail["fresh"]) == ([], ["vsknn"], ["ease", "popularity"])
    assert detail["left_out"][0]["runs_in_a_row"] == 2
    assert "set training_minutes to" in capsys.readouterr().err
    assert trained(shop.train(models, minutes=100)) == ["vsknn", "popularity", "ease"]


def test_no_family_waits_for_ever_where_not_all_fit_in_one_night(shop):
    minutes = {"popularity": 0, "ease": 6, "vsknn": 7, "markov": 8, "itemknn": 9}
    with_costs(shop, **minutes)
    nights = [trained(shop.train([*minutes], minutes=15.01, retrain_after_days=0)) for _ in range(5)]
    assert nights == [
        ["popularity", "ease", "vsknn"],
        ["markov", "popularity", "ease"],
        ["itemknn", "popularity", "ease"],
        ["vsknn", "markov", "popularity"],
        ["ease", "itemknn", "popularity"],
    ]


def test_popularity_is_trained_even_if_no_time_is_left(shop, monkeypatch, capsys):
    read = train_job.read_training_data

    def read_slowly(*arguments):
        shop.minutes += 7
        return read(*arguments)

    monkeypatch.setattr(train_job, "read_training_data", read_slowly)
    detail = shop.train(["ease", "popularity"], minutes=5)
    assert (trained(detail), left_out(detail)) == (["popularity"], ["ease"])
    assert (
        "ease is left out: nothing of the 5 training_minutes is left; it has no model that can be used; "
        "it comes first in the next run\n"
    ) in capsys.readouterr().err


def test_a_network_that_nobody_knows_is_cut_short_so_that_its_refit_fits_too(shop, capsys, monkeypatch):
    scores = itertools.count()
    monkeypatch.setattr(SequentialModel, "_validation_score", lambda *_: next(scores))  # the last epoch is the best
    shop.minutes_of_epoch = 2
    detail = shop.train(["popularity", "gru4rec"], minutes=20)
    assert trained(detail) == ["popularity", "gru4rec"]
    assert detail["cut_short"] == [shop.newest("gru4rec")]
    said = capsys.readouterr().err
    assert "training gru4rec was stopped after 5 of at most 8 epochs, because its time was up" in said
    assert f"the training of {shop.newest('gru4rec')} was cut short: more training_minutes may" in said
    assert shop.minutes == 20, "five epochs, and as many of the refit"
    assert shop.cases_of(shop.newest("gru4rec")) == shop.cases_of(shop.newest("popularity"))


def test_a_network_that_was_only_cut_short_needs_half_of_the_time_and_is_cut_again(shop, capsys):
    shop.minutes_of = {"vsknn": 11}
    shop.minutes_of_epoch = 2
    models = ["popularity", "vsknn", "gru4rec"]
    detail = shop.train(models, minutes=20)
    assert (trained(detail), left_out(detail)) == (["popularity", "vsknn"], ["gru4rec"])
    assert (
        "gru4rec is left out: no earlier model tells how long it takes, so half of the 20 training_minutes must be "
        "left, and 9.0 are; it has no model that can be used; it comes first in the next run\n"
    ) in capsys.readouterr().err
    assert trained(shop.train(models, minutes=20)) == ["gru4rec"]
    again = shop.train(models, minutes=30, days=8)
    assert trained(again) == ["popularity", "vsknn", "gru4rec"]
    assert len(again["cut_short"]) == 1
    whole = shop.train(models, minutes=400, days=8)
    assert trained(whole)[-1] == "gru4rec"
    assert "cut_short" not in whole
    known = shop.train(models, minutes=20, days=8)
    assert left_out(known) == ["gru4rec"]
    assert known["left_out"][0]["needed_minutes"] == 18, "eight epochs and one of the refit: the time of a whole fit"


def test_that_a_fit_was_cut_short_is_known_as_long_as_its_model(shop):
    shop.minutes_of_epoch = 2
    [version] = shop.train(["popularity", "gru4rec"], minutes=20)["cut_short"]
    for _ in range(3):
        shop.train(["popularity"])
    before = read_past_fits(shop.connection)
    assert {fit.family: fit.was_cut_short for fit in before} == {"popularity": False, "gru4rec": True}
    kept = Retention(job_runs_kept=1, metrics_kept=1, published_lists_days=1, unreadable_rows_kept=1, runs_kept=1)
    assert delete_old_rows(shop.connection, kept) == {"ml.job_runs": 2}
    assert read_past_fits(shop.connection) == before
    shop.connection.execute("delete from ml.models where model_version = ?", [version])
    assert delete_old_rows(shop.connection, kept) == {"ml.job_runs": 1}


def test_a_network_whose_time_is_known_is_trained_to_its_end(shop):
    shop.minutes_of_epoch = 1
    shop.train(["popularity", "gru4rec"])
    [(minutes,)] = shop.rows("select epoch(finished_at - started_at) / 60 from ml.models where model = 'gru4rec'")
    shop.minutes_of_epoch = 5
    started = shop.minutes
    detail = shop.train(["popularity", "gru4rec"], minutes=minutes + 1, days=8)
    assert trained(detail) == ["popularity", "gru4rec"]
    assert "cut_short" not in detail
    assert shop.minutes - started == 5 * minutes


def test_one_slow_night_counts_little(shop):
    for minutes in (5, 6, 90):
        shop.minutes_of = {"vsknn": minutes}
        shop.train(["popularity", "vsknn"], days=8)
    [entry] = shop.train(["popularity", "vsknn"], minutes=5, days=8)["left_out"]
    assert (entry["family"], entry["needed_minutes"]) == ("vsknn", 6.0)


def test_a_fit_during_which_the_clock_was_set_back_does_not_count(shop):
    for minutes in (9, 8):
        shop.minutes_of = {"vsknn": minutes}
        shop.train(["popularity", "vsknn"], days=8)
    shop.connection.execute(
        "update ml.models set started_at = finished_at + interval 1 hour where model_version = ?",
        [shop.newest("vsknn")],
    )
    [entry] = shop.train(["popularity", "vsknn"], minutes=5, days=8)["left_out"]
    assert (entry["family"], entry["needed_minutes"]) == ("vsknn", 9.0)


def test_a_new_family_of_a_cheap_kind_does_not_wait_for_dear_ones(shop):
    with_costs(shop, popularity=1, vsknn=2, gru4rec=0, ease=30)
    assert trained(shop.train(["ease", "gru4rec", "vsknn", "popularity", "markov"], minutes=60)) == [
        "gru4rec", "popularity", "vsknn", "markov", "ease",
    ]  # fmt: skip


def test_a_reranker_is_trained_last_and_reuses_parts_with_the_settings_parameters(shop):
    require_lightgbm()
    shop.minutes_of = {"vsknn": 4, "popularity": 2}
    parameters = {"vsknn": {"neighbours": 7}, "reranker": {"parts": ["vsknn", "popularity"], "rounds": 2}}
    detail = shop.train(["reranker", "vsknn", "popularity"], parameters=parameters)
    assert trained(detail) == ["vsknn", "popularity", "reranker"]
    assert shop.minutes == 6, "each part is fitted once"


def test_the_parts_of_a_reranker_that_was_left_out_come_first_with_it():
    models = {family: make_model(family) for family in ("popularity", "ease", "vsknn")}
    models["reranker"] = make_model("reranker", {"parts": ["ease", "vsknn"]})
    nothing_known = ExpectedFitTimes(models, dict.fromkeys(models, ""), [], 100)
    budget = TrainingBudget(60, 0.0, models, nothing_known)
    assert budget.order([*models], {"reranker": 1}) == ["vsknn", "ease", "reranker", "popularity"]


@pytest.fixture
def fused(shop):
    """A shop that knows the minutes of a fusion, of its parts and of another family; all are too old."""
    shop.minutes_of_epoch = 1
    with_costs(shop, popularity=0, vsknn=5, gru4rec=0, ease=2, fusion=3)
    [(shop.gru,)] = shop.rows("select epoch(finished_at - started_at) / 60 from ml.models where model = 'gru4rec'")
    return shop


def test_a_fusion_that_fits_an_unknown_network_itself_is_cut_short_too(shop):
    shop.minutes_of_epoch = 2
    detail = shop.train(["popularity", "fusion"], minutes=20)
    assert detail["cut_short"] == [shop.newest("fusion")]
    assert shop.minutes <= 20


FUSED = ["fusion", "gru4rec", "vsknn", "ease", "popularity"]


def test_a_fusion_is_left_out_with_its_part(fused, capsys):
    detail = fused.train(FUSED, minutes=fused.gru + 5)
    assert (trained(detail), left_out(detail)) == (["popularity", "ease", "vsknn"], ["gru4rec", "fusion"])
    assert detail["left_out"][1]["needed_minutes"] == fused.gru + 3
    assert f"fusion is left out: it needs about {fused.gru + 3:.1f} minutes" in capsys.readouterr().err


def test_a_fusion_that_is_trained_alone_every_week_is_expected_to_take_as_long_as_it_does(fused):
    for _ in range(4):
        monday = fused.train(FUSED, minutes=fused.gru + 9, days=8)
        assert [(entry["family"], entry["needed_minutes"]) for entry in monday["left_out"]] == [("fusion", 3)]
        assert trained(fused.train(FUSED, minutes=fused.gru + 9)) == ["fusion"]
    [(minutes,)] = fused.rows("select epoch(finished_at - started_at) / 60 from ml.models where model_version = $v",
                              v=fused.newest("fusion"))  # fmt: skip
    assert minutes == fused.gru + 8, "with its parts"


def test_a_fusion_that_does_not_fit_with_its_parts_in_any_run_says_what_it_takes(fused, capsys):
    detail = fused.train(FUSED, minutes=fused.gru + 7)
    assert left_out(detail) == ["fusion"]
    assert detail["left_out"][0]["needed_minutes"] == 3, "its parts are trained"
    assert f"set training_minutes to {fused.gru + 9:.0f} or more to train it" in capsys.readouterr().err


def test_a_fusion_that_was_left_out_fits_its_parts_itself_on_the_same_cases(fused):
    detail = fused.train(FUSED, minutes=fused.gru + 9)
    assert (trained(detail), left_out(detail)) == (["popularity", "ease", "vsknn", "gru4rec"], ["fusion"])
    assert trained(fused.train(FUSED, minutes=fused.gru + 9)) == ["fusion"]
    assert fused.cases_of(fused.newest("fusion")) == fused.cases_of(fused.newest("gru4rec"))


def test_the_parts_of_a_fusion_that_was_left_out_come_first_with_it(fused):
    assert left_out(fused.train(FUSED, minutes=fused.gru + 9)) == ["fusion"]
    detail = fused.train(FUSED, minutes=fused.gru + 8, retrain_after_days=0)
    assert trained(detail) == ["vsknn", "gru4rec", "fusion", "popularity"]
    assert left_out(detail) == ["ease"]


def test_status_and_the_nights_line_say_what_was_left_out(shop, capsys):
    with_costs(shop, popularity=1, vsknn=40)
    models = ["popularity", "vsknn"]
    for _ in range(2):
        shop.train(models, minutes=30)
    found = read_status(shop.connection, Settings())
    assert found["left_out_of_training"] == [
        {"family": "vsknn", "needed_minutes": 40.0, "minutes_left": 30.0, "runs_in_a_row": 2}
    ]
    print_status(found)
    assert (
        "left out of the last training: vsknn (it needed 40.0 minutes, and 30.0 were left), 2 times in a row"
    ) in " ".join(capsys.readouterr().out.split())
    summary = shop.run("train", Settings(models=models, training_minutes=30))
    assert job_summary_line(summary) == "0 models trained, 1 fresh, 1 left out"
    shop.run("train", Settings(models=models))
    assert read_status(shop.connection, Settings())["left_out_of_training"] == []
