"""Searches use the training part only, continue after a kill, and find the best values."""

import sys
import time
import tomllib

import numpy as np
import optuna
import pytest
import tiny_shop
from optional_packages import require_lightgbm

from jobs.errors import NextmartError, UsageError
from jobs.experiments import runner, trials
from jobs.experiments.command import run_experiment
from jobs.experiments.evaluation_data import read_evaluation_data
from jobs.experiments.folds import make_folds
from jobs.experiments.search import SearchResult, parameters_as_toml, search_hyperparameters
from jobs.experiments.spec import ExperimentSpec, ModelVariant, read_experiment
from jobs.experiments.vectors import Allowance
from jobs.language_models.paid_services import PaidServices
from jobs.models.llmseqsim import LLMSeqSim
from jobs.models.registry import FAMILIES, make_model
from jobs.models.sknn import VSKNN
from jobs.warehouse.clock import now
from jobs.warehouse.job_runs import job_run

SPACE = {"vsknn": {"neighbours": {"low": 1, "high": 40}, "decay": ["last", "mean"]}}


def spec(trials=2, **changes):
    return ExperimentSpec(**{"name": "s", "protocol": "paper", "search": {"trials": trials, "space": SPACE}, **changes})


def find(connection, folder, what):
    settings = tiny_shop.settings(folder)
    return search_hyperparameters(
        PaidServices(connection, settings),
        what,
        read_evaluation_data(connection, settings, what.protocol),
        Allowance(0.0),
    )


def failing_at(number, error, function):
    """Return a function that raises ``error`` at its call ``number``, and a list that grows with each call."""
    calls = []

    def failing(*arguments):
        calls.append(1)
        if len(calls) == number:
            raise error
        return function(*arguments)

    return failing, calls


class Watched(VSKNN):
    family = "vsknn"
    seen: set = set()  # noqa: RUF012

    def fit(self, train_sequences, validation, catalog, context):
        for rows in (train_sequences, validation.inputs):
            self.seen.update(catalog.item_ids[rows.items])
        self.seen.update(catalog.item_ids[validation.targets])
        super().fit(train_sequences, validation, catalog, context)

    def scorer(self, catalog):
        found = super().scorer(catalog)
        top = found.top

        def watched(sequences, *rest):
            self.seen.update(catalog.item_ids[sequences.items])
            return top(sequences, *rest)

        found.top = watched
        return found


def test_no_test_case_reaches_a_search(tiny, tmp_path, monkeypatch):
    settings = tiny_shop.settings(tmp_path, holdout_share=0.2)
    cutoff_at = read_evaluation_data(tiny, settings, "cutoff").split.cutoff_at
    tiny_shop.mark_from(tiny, cutoff_at)
    data = read_evaluation_data(tiny, settings, "cutoff")
    assert set(data.catalog.item_ids[data.test_cases.targets]) == {"marker"}
    monkeypatch.setitem(FAMILIES, "vsknn", Watched)
    Watched.seen.clear()
    best, failed = search_hyperparameters(
        PaidServices(tiny, settings), spec(2, protocol="cutoff"), data, Allowance(0.0)
    )
    assert (len(best), failed) == (1, {})
    assert len(Watched.seen) > 10
    assert "marker" not in Watched.seen


def test_what_happens_in_the_test_part_changes_nothing(tiny, tmp_path):
    before, _ = find(tiny, tmp_path / "a", spec())
    data = read_evaluation_data(tiny, tiny_shop.settings(tmp_path), "paper")
    tiny.execute(
        "update sessions.sequences set items = list_reverse(items) where list_contains(?, sequence_id)",
        [data.split.test["sequence_id"].to_list()],
    )
    assert read_evaluation_data(tiny, tiny_shop.settings(tmp_path), "paper").cases_hash != data.cases_hash
    after, _ = find(tiny, tmp_path / "b", spec())
    assert before == after


def test_only_a_search_of_a_reranker_is_another_one_after_prices_changed(tiny, tmp_path):
    require_lightgbm()
    space = {"reranker": {"leaves": [3]}, "sknn": {"neighbours": [5]}}
    parts = {"family": "reranker", "parameters": {"parts": ["popularity", "sknn"]}}
    what = spec(models=[parts], search={"trials": 1, "space": space})
    for price in (9.5, 12):
        tiny.execute("update catalog.items set price = $1 where item_id = 'i00'", [price])
        _, failed = find(tiny, tmp_path, what)
        assert failed == {}
    searches = tiny.execute("select model, count(*) from ml.experiment_runs group by all order by all").fetchall()
    assert searches == [("reranker", 2), ("sknn", 1)]


def test_each_fold_is_judged_by_what_came_after_it(tiny, tmp_path, monkeypatch):
    judged, original = [], trials.ndcg_at_20

    def noted(scorer, cases, *rest):
        judged.append(cases)
        return original(scorer, cases, *rest)

    monkeypatch.setattr(trials, "ndcg_at_20", noted)
    find(tiny, tmp_path, spec(1))
    settings = tiny_shop.settings(tmp_path)
    folds = make_folds(read_evaluation_data(tiny, settings, "paper"), settings)
    assert [cases.targets.tolist() for cases in judged] == [fold.test.targets.tolist() for fold in folds]
    assert [cases.inputs.items.tolist() for cases in judged] == [fold.test.inputs.items.tolist() for fold in folds]


def test_folds_learn_from_the_newest_sequences_if_the_setting_limits_them(tiny, tmp_path):
    whole = tiny_shop.settings(tmp_path)
    limited = tiny_shop.settings(tmp_path).model_copy(update={"training_sequences": 5})
    folds = [make_folds(read_evaluation_data(tiny, settings, "paper"), settings) for settings in (whole, limited)]
    for all_of_fold, newest_of_fold in zip(*folds, strict=True):
        assert len(all_of_fold.train) > 5
        assert newest_of_fold.train.items.tolist() == all_of_fold.train.newest(5).items.tolist()
        assert newest_of_fold.validation.targets.tolist() == all_of_fold.validation.targets.tolist()
        assert newest_of_fold.test.targets.tolist() == all_of_fold.test.targets.tolist()


def test_a_killed_search_ends_as_one_that_was_not(tiny, tmp_path, monkeypatch):
    def finished(folder):
        (path,) = (folder / "work" / "experiments").glob("*.sqlite")
        (summary,) = optuna.get_all_study_summaries(f"sqlite:///{path}")
        study = optuna.load_study(study_name=summary.study_name, storage=f"sqlite:///{path}")
        return [(trial.params, trial.value) for trial in study.trials if trial.state.is_finished()]

    whole, _ = find(tiny, tmp_path / "whole", spec(3))
    dying, calls = failing_at(5, KeyboardInterrupt(), trials.ndcg_at_20)
    monkeypatch.setattr(trials, "ndcg_at_20", dying)
    with pytest.raises(KeyboardInterrupt):
        find(tiny, tmp_path / "killed", spec(3))
    assert 0 < len(finished(tmp_path / "killed")) < 3
    assert find(tiny, tmp_path / "killed", spec(3))[0] == whole
    assert finished(tmp_path / "killed") == finished(tmp_path / "whole")
    made = len(calls)
    assert find(tiny, tmp_path / "killed", spec(3))[0] == whole
    assert len(calls) == made  # no trial is repeated


def test_no_checkpoint_of_a_fusions_parts_is_left(tiny, tmp_path):
    sasrec = {"width": 8, "blocks": 1, "window": 6, "epochs": 1, "epoch_steps": 1}
    fusion = {"family": "fusion", "parameters": {"parts": ["sasrec", "popularity"], "parameters": {"sasrec": sasrec}}}
    space = {"fusion": {"constant": {"low": 1, "high": 60}}}
    best, failed = find(tiny, tmp_path, spec(models=[fusion], search={"trials": 1, "space": space}))
    assert (len(best), failed) == (1, {})
    assert list((tmp_path / "work" / "checkpoints").iterdir()) == []


def test_the_best_parameters_are_reported_recorded_and_ready_to_paste(tiny, tmp_path):
    models = [{"family": "vsknn", "parameters": {"idf": False}}]
    with job_run(tiny, "experiment") as record:
        text = run_experiment(tiny, tiny_shop.settings(tmp_path), record, spec(models=models), tmp_path / "out")
    pasted = (tmp_path / "out" / "s-best.toml").read_text()
    assert pasted in text
    (tmp_path / "pasted.toml").write_text('name = "p"\n' + pasted)
    (variant,) = read_experiment(tmp_path / "pasted.toml").variants()
    best = record.detail["best_parameters"]["vsknn"]
    assert (variant.label, variant.parameters) == ("vsknn tuned", best["parameters"])
    assert best["parameters"]["idf"] is False
    rows = tiny.execute(
        "select status, validation_value, parameters->>'$.decay' from ml.experiment_runs where label = 'search vsknn'"
    ).fetchall()
    assert rows == [("done", best["value"], best["parameters"]["decay"])]
    assert np.isfinite(best["value"])


def test_parameters_of_parts_are_ready_to_paste_too():
    parameters = {
        "parts": ["llmseqprompt", "sasrec"],
        "parameters": {"sasrec": {"learning_rate": 1e-5, "item_bias": True}, "llmseqprompt": {}},
        "method": 'a "method" 😀',
    }
    (entry,) = tomllib.loads(parameters_as_toml([SearchResult(ModelVariant("tuned", "fusion", parameters), 0.1, 3)]))[
        "models"
    ]
    assert entry == {"family": "fusion", "label": "tuned", "parameters": parameters}


def of_other_embeddings():
    models = [{"family": "llmseqsim", "embedding_model": "other", "grid": {"recency": [0.0, 0.1]}}]
    return spec(models=models, search={"trials": 1, "space": {"llmseqsim": {"decay": ["last", "mean"]}}})


def test_nothing_is_tried_before_all_embeddings_are_there(tiny, tmp_path):
    what, settings = of_other_embeddings(), tiny_shop.settings(tmp_path)
    what = what.model_copy(update={"search": spec().search})  # a search of a family that reads no embeddings
    with pytest.raises(NextmartError, match="nextmart embed --model other"), job_run(tiny, "experiment") as record:
        run_experiment(tiny, settings, record, what, tmp_path / "out")
    assert tiny.execute("select count(*) from ml.experiment_runs").fetchone() == (0,)


def test_a_search_is_made_with_the_embeddings_of_its_entry(tiny, tmp_path, monkeypatch):
    what = of_other_embeddings()
    tiny_shop.embed_with_other(tiny)
    seen, fit = set(), LLMSeqSim.fit

    def watched(model, train_sequences, validation, catalog, context):
        seen.add(catalog.embeddings.shape[1])
        fit(model, train_sequences, validation, catalog, context)

    monkeypatch.setattr(LLMSeqSim, "fit", watched)
    (best,), failed = find(tiny, tmp_path, what)
    assert (seen, failed) == ({3}, {})
    (entry,) = tomllib.loads(parameters_as_toml([best]))["models"]
    assert (entry["label"], entry["embedding_model"]) == ("llmseqsim tuned", "other")
    find(tiny, tmp_path, what.model_copy(update={"models": []}))
    assert seen == {3, 4}
    runs = tiny.execute("select distinct embedding_model, recipe_hash from ml.experiment_runs order by 1").fetchall()
    assert [name for name, _ in runs] == ["other", "tiny"]


def test_a_search_whose_trials_all_fail_is_recorded_with_the_last_reason(tiny, tmp_path, monkeypatch):
    def refuse(*_):
        raise ValueError("too wide")

    monkeypatch.setattr(VSKNN, "fit", refuse)
    for _ in range(2):  # trials are made once; the second call only reports them
        best, failed = find(tiny, tmp_path, spec(2))
        assert best == []
        assert "each of the 2 trials of vsknn failed, the last with: too wide" in failed["search vsknn"]
        assert tiny.execute("select status from ml.experiment_runs").fetchall() == [("failed",)]
        monkeypatch.undo()


def test_parameters_that_do_not_go_together_fail_a_trial_alone(tiny, tmp_path):
    entry = {"family": "sasrec", "parameters": {"heads": 2, "blocks": 1, "window": 6, "epochs": 1, "epoch_steps": 1}}
    search = {"trials": 5, "space": {"sasrec": {"width": [7, 8]}}}
    (best,), failed = find(tiny, tmp_path, spec(models=[entry], search=search))
    assert (best.best_variant.parameters["width"], best.trial_count, failed) == (8, 5, {})


def unusable(kind):
    """Return an experiment in which one of two values of the space can't be used with the tiny shop's data."""
    if kind == "ease":
        return spec(search={"trials": 5, "space": {"ease": {"l2": [1e-9, 100.0]}}}), "l2"
    # all items have the same category
    models = [{"family": "llmseqsim", "parameters": {"width": 2}}]
    return spec(models=models, search={"trials": 5, "space": {"llmseqsim": {"reduction": ["lda", "pca"]}}}), "reduction"


@pytest.mark.parametrize("kind", ["ease", "llmseqsim"])
def test_parameters_that_the_data_can_not_take_fail_a_trial_alone(tiny, tmp_path, kind):
    what, name = unusable(kind)
    (best,), failed = find(tiny, tmp_path, what)
    good = what.search.space[kind][name][1]
    assert (best.best_variant.parameters[name], best.trial_count, failed) == (good, 5, {})


@pytest.mark.parametrize("error", [OSError("disk full"), UsageError("over prompt_max_cost")])
def test_what_no_parameter_causes_leaves_the_trial_to_be_made_again(tiny, tmp_path, monkeypatch, error):
    whole, _ = find(tiny, tmp_path / "whole", spec(3))
    monkeypatch.setattr(VSKNN, "fit", failing_at(5, error, VSKNN.fit)[0])
    found, failed = find(tiny, tmp_path / "again", spec(3))
    assert (found, failed) == ([], {"search vsknn": f"{type(error).__name__}: {error}"})
    assert find(tiny, tmp_path / "again", spec(3)) == (whole, {})


def test_nothing_is_fitted_where_optuna_is_missing(tiny, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(NextmartError, match=r"nextmart\[experiments\]"), job_run(tiny, "experiment") as record:
        run_experiment(tiny, tiny_shop.settings(tmp_path), record, spec(models=[{"family": "vsknn"}]), tmp_path / "out")
    assert tiny.execute("select count(*) from ml.experiment_runs").fetchone() == (0,)


def test_too_few_sequences_for_folds_are_told_of(tiny, tmp_path):
    tiny.execute("delete from sessions.sequences where sequence_id > 'v003'")
    with pytest.raises(NextmartError, match="too short for a search: 3 sequences"):
        find(tiny, tmp_path, spec())


def test_what_a_search_took_is_added_up_over_calls_and_stays_when_all_is_made(tiny, tmp_path, monkeypatch):
    original = VSKNN.fit

    def slow(*arguments):
        time.sleep(0.3)
        original(*arguments)

    def record():
        rows = "select status, started_at, finished_at, fit_seconds from ml.experiment_runs"
        return tiny.execute(rows).fetchall()

    monkeypatch.setattr(VSKNN, "fit", failing_at(4, OSError(), slow)[0])  # fails at the first fold of the second trial
    find(tiny, tmp_path, spec(2))
    monkeypatch.setattr(VSKNN, "fit", original)
    began = now()
    find(tiny, tmp_path, spec(2))
    ((status, started_at, finished_at, seconds),) = before = record()
    assert (status, seconds > 0.9, began <= started_at < finished_at) == ("done", True, True)
    find(tiny, tmp_path, spec(2))
    assert record() == before
    find(tiny, tmp_path, spec(3))  # makes one trial more
    assert record()[0][3] > seconds


def test_searches_and_runs_spend_from_one_purse(tiny, tmp_path, monkeypatch):
    purses, fit = [], VSKNN.fit

    def noting(family, parameters=None, paid_services=None):
        if paid_services:
            purses.append(paid_services)
        return make_model(family, parameters, paid_services)

    def spending(model, *arguments):
        purses[-1].spent_usd += 1
        fit(model, *arguments)

    for module in (trials, runner):
        monkeypatch.setattr(module, "make_model", noting)
    monkeypatch.setattr(VSKNN, "fit", spending)
    with job_run(tiny, "experiment") as record:
        run_experiment(
            tiny, tiny_shop.settings(tmp_path), record, spec(1, models=[{"family": "vsknn"}]), tmp_path / "out"
        )
    assert len({id(paid_services) for paid_services in purses}) == 1
    assert purses[0].spent_usd == 3 + 2  # the folds of one trial; the first and the second fit of one run
