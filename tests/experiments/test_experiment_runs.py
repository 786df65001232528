"""Runs of an experiment: the data that models get, the tables, what a kill leaves, and models that fail."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tiny_shop

from jobs import families
from jobs.cli import main
from jobs.core.cases import NO_CASES
from jobs.core.metrics import target_ranks
from jobs.errors import NextmartError
from jobs.experiments import command, records, runner
from jobs.experiments.command import run_experiment
from jobs.experiments.evaluation_data import read_evaluation_data
from jobs.experiments.spec import ExperimentSpec
from jobs.models.base import FitOptions
from jobs.models.fusion import Fusion
from jobs.models.popularity import Popularity
from jobs.models.registry import FAMILIES, make_model
from jobs.models.scorer import ndcg_at_20, recommend
from jobs.warehouse.connection import connect
from jobs.warehouse.job_runs import job_run
from jobs.warehouse.reading import items_as_indices

SASREC = {"width": 8, "blocks": 1, "window": 6, "epochs": 2, "epoch_steps": 1, "batch_size": 16, "negatives": 0}
MODELS = [
    {"family": "popularity"},
    {"family": "llmseqsim", "grid": {"decay": ["last"]}},
    {"family": "sasrec", "parameters": SASREC},
]
KEPT = {
    "ml.experiment_runs": "model_version, label, model, parameters, seed, protocol, recipe_hash, status, "
    "validation_value, error",
    "ml.model_metrics": "* exclude (measured_at)",
    "ml.model_ranks": "* exclude (measured_at)",
}


def spec(**changes) -> ExperimentSpec:
    return ExperimentSpec(
        **{"name": "t", "protocol": "paper", "seeds": [0, 1], "baseline": "popularity", "models": MODELS, **changes}
    )


def conduct(connection, folder, what=None, **settings):
    with job_run(connection, "experiment") as record:
        text = run_experiment(
            connection, tiny_shop.settings(folder, **settings), record, what or spec(), folder / "out"
        )
    return text, record


def kept(connection):
    return {
        table: connection.execute(f"select {columns} from {table} order by all").fetchall()
        for table, columns in KEPT.items()
    }


def without_minutes(text: str) -> str:
    return "\n".join(line.rsplit("|", 2)[0] for line in text.splitlines())


@pytest.fixture(scope="module")
def whole(tmp_path_factory, shop_file):
    """Return tables and report of an experiment that was not killed."""
    folder = tmp_path_factory.mktemp("whole")
    connection = connect(Path(shutil.copy(shop_file, folder)))
    text, record = conduct(connection, folder)
    found = kept(connection)
    connection.close()
    return found, without_minutes(text), record, folder


def test_what_has_no_randomness_runs_once_and_the_rest_once_a_seed(whole):
    tables, text, record, folder = whole
    runs = [(row[1], row[4], row[7]) for row in tables["ml.experiment_runs"]]
    assert sorted(runs, key=str) == [
        ("llmseqsim decay=last", None, "done"),
        ("popularity", None, "done"),
        ("sasrec", 0, "done"),
        ("sasrec", 1, "done"),
    ]
    assert (record.status, record.rows_in, record.rows_out) == ("done", 4, 4)
    assert (folder / "out" / "t.png").stat().st_size > 5_000
    assert without_minutes((folder / "out" / "t.md").read_text()) == text


def test_all_metrics_of_all_segments_are_kept(whole):
    tables, *_ = whole
    versions = {row[0] for row in tables["ml.experiment_runs"]}
    # 14 metrics of: all, tied, tie_free; every target of the paper's protocol is warm
    assert len(tables["ml.model_metrics"]) == len(versions) * 14 * 3
    assert {row[0] for row in tables["ml.model_metrics"]} == versions
    assert {row[0] for row in tables["ml.model_ranks"]} == versions
    assert len({row[2] for row in tables["ml.model_ranks"]}) == 1


def test_a_case_counts_as_tied_where_its_last_two_items_carry_one_time(tiny, tmp_path):
    data = read_evaluation_data(tiny, tiny_shop.settings(tmp_path), "paper")
    every_third = [int(visitor[1:]) % 3 == 0 for visitor in data.split.test["sequence_id"]]
    assert data.segment_masks["tied"].tolist() == every_third
    assert data.segment_masks["tie_free"].tolist() == [not is_tied for is_tied in every_third]


def add_family(monkeypatch, model) -> None:
    """Make a class of this file a model family."""
    monkeypatch.setitem(families.CLASS_OF_FAMILY, model.family, "")
    monkeypatch.setitem(FAMILIES, model.family, model)


class Noting(Popularity):
    """A model that notes the data on which it is fitted."""

    family = "noting"
    uses_embeddings = True
    given: list = []  # noqa: RUF012

    def fit(self, train_sequences, validation, catalog, context):
        self.given.append((train_sequences, validation, catalog.embeddings))
        super().fit(train_sequences, validation, catalog, context)


def test_models_get_the_training_part_alone_at_last_all_of_it_and_their_own_vectors(tiny, tmp_path, monkeypatch):
    settings = tiny_shop.settings(tmp_path, holdout_share=0.2)
    tiny_shop.mark_from(tiny, read_evaluation_data(tiny, settings, "cutoff").split.cutoff_at)
    tiny_shop.embed_with_other(tiny)
    data = read_evaluation_data(tiny, settings, "cutoff")
    add_family(monkeypatch, Noting)
    Noting.given.clear()
    models = [{"family": "noting"}, {"family": "noting", "label": "other", "embedding_model": "other"}]
    conduct(tiny, tmp_path, spec(models=models, baseline=None, protocol="cutoff"), holdout_share=0.2)
    (first, validation, _), (second, nothing, _), *_ = Noting.given
    assert first.items.tolist() == data.train.items.tolist()
    assert validation.targets.tolist() == data.validation.targets.tolist()
    assert second.items.tolist() == items_as_indices(data.split.train["items"], data.catalog).items.tolist()
    assert len(nothing.targets) == 0
    [marker] = data.catalog.find_indices(np.array(["marker"], np.object_))
    assert marker in data.test_cases.targets
    assert marker not in {*first.items, *validation.inputs.items, *validation.targets, *second.items}
    assert [vectors.shape[1] for *_, vectors in Noting.given] == [4, 4, 3, 3]


@pytest.mark.parametrize("protocol", ["cutoff", "leave_one_out"])
def test_models_get_the_newest_sequences_alone_if_their_number_is_limited(tiny, tmp_path, monkeypatch, protocol):
    """The file's number counts, else the setting's; the validation cases and the test cases stay the same."""
    whole = read_evaluation_data(tiny, tiny_shop.settings(tmp_path, holdout_share=0.2), protocol)
    add_family(monkeypatch, Noting)
    Noting.given.clear()
    models = [{"family": "noting", "training_sequences": [7, 5000]}, {"family": "noting", "label": "of the setting"}]
    what = spec(models=models, baseline=None, protocol=protocol)
    conduct(tiny, tmp_path, what, holdout_share=0.2, training_sequences=100)
    conduct(tiny, tmp_path, spec(models=models[1:], baseline=None, protocol=protocol), holdout_share=0.2)
    parts = [whole.train] if whole.train_with_validation is None else [whole.train, whole.train_with_validation]
    assert len(whole.train) > 7
    expected = [part.newest(count).items.tolist() for count in (7, 5000, 100, None) for part in parts]
    assert [sequences.items.tolist() for sequences, *_ in Noting.given] == expected
    first_fits = Noting.given[:: len(parts)]
    assert {validation.targets.tobytes() for _, validation, _ in first_fits} == {whole.validation.targets.tobytes()}
    runs = tiny.execute("select label, count(*) from ml.experiment_runs group by all order by all").fetchall()
    assert runs == [
        ("noting training_sequences=5000", 1),
        ("noting training_sequences=7", 1),
        ("of the setting", 2),
    ]
    assert tiny.execute("select count(distinct cases_hash) from ml.model_ranks").fetchall() == [(1,)]


def test_the_second_fit_is_tested_and_the_first_one_validated(tiny, tmp_path):
    settings = tiny_shop.settings(tmp_path, holdout_share=0.2)
    data = read_evaluation_data(tiny, settings, "cutoff")
    conduct(tiny, tmp_path, spec(models=MODELS[:1], protocol="cutoff"), holdout_share=0.2)
    ranks, values = [], []
    for sequences in (data.train, items_as_indices(data.split.train["items"], data.catalog)):
        model = make_model("popularity")
        model.fit(sequences, NO_CASES, data.catalog, FitOptions())
        scorer = model.scorer(data.catalog)
        _, lists = recommend(scorer, data.test_cases.inputs, 20)
        ranks.append(target_ranks(lists, data.test_cases.targets).tolist())
        values.append(ndcg_at_20(scorer, data.validation))
    assert ranks[0] != ranks[1]
    assert values[0] != values[1]
    assert tiny.execute("select target_ranks from ml.model_ranks").fetchall() == [(ranks[1],)]
    assert tiny.execute("select validation_value from ml.experiment_runs").fetchall() == [(values[0],)]


def test_a_family_that_learns_from_validation_targets_is_measured_by_its_own_lists(tiny, tmp_path, monkeypatch):
    def put_targets_first(model, validation, k, *_):
        return np.pad(validation.targets[:, None], [(0, 0), (0, k - 1)], constant_values=-1), {}

    monkeypatch.setattr(Popularity, "rank_validation_cases", put_targets_first)
    conduct(tiny, tmp_path, spec(models=[{"family": "popularity"}], baseline=None))
    assert tiny.execute("select validation_value from ml.experiment_runs").fetchall() == [(1.0,)]


def test_the_leaderboard_knows_none_of_the_models(tiny, tmp_path):
    conduct(tiny, tmp_path, spec(models=[{"family": "popularity"}]))
    assert tiny.execute("select count(*) from ml.model_metrics").fetchone()[0] > 0
    # the join of model_leaderboard
    joined = (
        "ml.model_metrics as metrics inner join ml.models as models on metrics.model_version = models.model_version"
    )
    assert tiny.execute(f"select count(*) from {joined}").fetchone() == (0,)


def test_a_second_time_nothing_is_fitted(tiny, tmp_path, monkeypatch):
    conduct(tiny, tmp_path, spec(models=MODELS[:2]))
    before = kept(tiny)
    monkeypatch.setattr(runner, "fit_and_measure", lambda *_: pytest.fail("fitted again"))
    _, record = conduct(tiny, tmp_path, spec(models=MODELS[:2]))
    assert kept(tiny) == before
    assert record.rows_out == 2


def test_of_all_test_cases_some_are_drawn_the_same_for_all_models(tiny, tmp_path):
    _, record = conduct(tiny, tmp_path, spec(models=MODELS[:2], test_limit=7))
    ranks = tiny.execute("select cases_hash, len(target_ranks) from ml.model_ranks").fetchall()
    assert record.rows_out == 2
    assert len(set(ranks)) == 1
    assert ranks[0][1] == 7
    everything = spec(models=MODELS[:2], test_limit=10_000)
    conduct(tiny, tmp_path, everything)
    assert len(tiny.execute("select distinct cases_hash from ml.model_ranks").fetchall()) == 2


def test_a_sample_of_the_sequences_is_a_smaller_shop(tiny, tmp_path):
    settings = tiny_shop.settings(tmp_path)
    whole, half, again = (
        read_evaluation_data(tiny, settings, "paper", sample_share=share) for share in (1.0, 0.5, 0.5)
    )
    assert len(half.split.train) + len(half.split.test) < 0.6 * (len(whole.split.train) + len(whole.split.test))
    assert set(half.split.train["sequence_id"]) < {*whole.split.train["sequence_id"], *whole.split.test["sequence_id"]}
    assert half.data_hash == again.data_hash


def test_what_a_fit_chooses_is_recorded_and_not_taken_for_given(tiny, tmp_path):
    given = {"family": "itemknn", "label": "given", "parameters": {"decay": "harmonic", "recency": 0.0}}
    conduct(tiny, tmp_path, spec(models=[{"family": "itemknn"}, given], baseline=None))
    rows = tiny.execute("select label, parameters, recipe_hash from ml.experiment_runs order by label").fetchall()
    assert len({recipe_hash for *_, recipe_hash in rows}) == 2
    data = read_evaluation_data(tiny, tiny_shop.settings(tmp_path), "paper")
    model = make_model("itemknn")
    model.fit(data.train, data.validation, data.catalog, FitOptions())
    recorded = {label: json.loads(parameters) for label, parameters, _ in rows}
    assert recorded["itemknn"] == model.parameters_in_use
    assert recorded["given"] == {**model.parameters, **given["parameters"]}


def test_other_data_make_other_runs(tiny, tmp_path):
    conduct(tiny, tmp_path, spec(models=MODELS[:1]))
    tiny.execute("update sessions.sequences set items = list_reverse(items) where sequence_id = 'v000'")
    conduct(tiny, tmp_path, spec(models=MODELS[:1]))
    assert tiny.execute("select count(*) from ml.experiment_runs").fetchone() == (2,)


@pytest.mark.parametrize(
    "change",
    [
        "sequence_id = 'visitor ' || sequence_id",
        "items = list_prepend('gone', items), event_times = list_prepend(event_times[1], event_times)",
    ],
)
def test_cases_of_other_ids_make_other_runs_though_no_model_sees_the_change(tiny, tmp_path, change):
    settings = tiny_shop.settings(tmp_path)
    before = read_evaluation_data(tiny, settings, "leave_one_out")
    text, _ = conduct(tiny, tmp_path, spec(models=MODELS[:1], protocol="leave_one_out"))
    tiny.execute(f"update sessions.sequences set {change}")
    after = read_evaluation_data(tiny, settings, "leave_one_out")
    assert (after.data_hash, after.cases_hash == before.cases_hash) == (before.data_hash, False)
    again, _ = conduct(tiny, tmp_path, spec(models=MODELS[:1], protocol="leave_one_out"))
    assert without_minutes(again) == without_minutes(text)


def test_other_targets_make_other_cases_and_another_hash_of_the_data(tiny, tmp_path):
    settings = tiny_shop.settings(tmp_path)
    every = read_evaluation_data(tiny, settings, "leave_one_out")
    # purchases are the second step and the last one of every other sequence
    tiny.execute("alter table sessions.sequences add column is_target boolean[]")
    tiny.execute(
        "update sessions.sequences set is_target = list_transform(range(len(items)), "
        "lambda place: right(sequence_id, 1)::int % 2 = 0 and place in (1, len(items) - 1))"
    )
    assert read_evaluation_data(tiny, settings, "leave_one_out").data_hash == every.data_hash, "the var is not set"
    settings = settings.model_copy(update={"vars": {**settings.vars, "target_event_types": ["purchase"]}})
    bought = read_evaluation_data(tiny, settings, "leave_one_out")
    assert len(bought.test_cases.targets) == len(every.test_cases.targets) // 2
    assert bought.test_cases.inputs.keep_targets().lengths.tolist() == [1] * len(bought.test_cases.targets)
    tiny.execute(
        "update sessions.sequences set is_target = list_prepend(true, is_target[2:]) where sequence_id < 'v010'"
    )
    other = read_evaluation_data(tiny, settings, "leave_one_out")
    assert other.test_cases.inputs.items.tolist() == bought.test_cases.inputs.items.tolist()
    assert len({each.data_hash for each in (every, bought, other)}) == 3
    assert len({each.cases_hash for each in (every, bought, other)}) == 3


def test_other_vectors_make_other_runs_of_models_that_read_them(tiny, tmp_path):
    conduct(tiny, tmp_path, spec(models=MODELS[:2]))
    tiny.execute(
        "update ml.embeddings set embedding = [9, 9, 9, 9] "
        "where text_hash = (select text_hash from catalog.item_texts where item_id = 'i00')"
    )
    conduct(tiny, tmp_path, spec(models=MODELS[:2]))
    runs = tiny.execute("select model, count(*) from ml.experiment_runs group by 1 order by 1").fetchall()
    assert runs == [("llmseqsim", 2), ("popularity", 1)]


class Killed(BaseException):
    """An exception that no handler catches, as no handler catches SIGKILL."""


STEPS = [(name, nth) for nth in range(4) for name in ("record_start", "fit", "store_outcome", "after store_outcome")]


@pytest.mark.parametrize(("step", "nth"), STEPS)
def test_a_killed_experiment_ends_as_one_that_was_not(tiny, tmp_path, whole, monkeypatch, step, nth):
    monkeypatch.setattr(command, "plot_summaries", lambda *_: False)
    calls = []

    def dying(original, when):
        def call(*arguments):
            found = original(*arguments) if when == "after" else None
            calls.append(step)
            if len(calls) > nth:
                raise Killed
            return found if when == "after" else original(*arguments)

        return call

    with monkeypatch.context() as patch:
        if step == "fit":
            patch.setattr(runner, "fit_and_measure", dying(runner.fit_and_measure, "before"))
        else:
            name, when = step.split()[-1], "after" if "after" in step else "before"
            patch.setattr(records, name, dying(getattr(records, name), when))
        with pytest.raises(Killed):
            conduct(tiny, tmp_path)
    text, _ = conduct(tiny, tmp_path)
    assert kept(tiny) == whole[0]
    assert without_minutes(text) == whole[1]
    assert not list((tmp_path / "work" / "checkpoints").glob("*"))


def test_a_training_that_was_killed_goes_on_from_its_checkpoint(tiny, tmp_path, whole, monkeypatch):
    from jobs.training import loop as training

    epochs, original = [], training.run_epoch

    def counted(*arguments):
        epochs.append(1)
        if len(epochs) == 2:
            raise Killed
        return original(*arguments)

    monkeypatch.setattr(training, "run_epoch", counted)
    what = spec(models=MODELS[-1:], baseline=None)
    with pytest.raises(Killed):
        conduct(tiny, tmp_path, what)
    conduct(tiny, tmp_path, what)
    # epoch 1, the killed epoch, the rest of seed 0, seed 1, and both seeds again on everything
    assert len(epochs) == 1 + 1 + 1 + 2 + 2 * 2
    wanted = [row for row in whole[0]["ml.model_ranks"] if "/sasrec/" in row[0]]
    assert kept(tiny)["ml.model_ranks"] == wanted


class Broken(Popularity):
    family = "broken"

    def fit(self, *_):
        raise RuntimeError("no luck")


def test_a_failing_model_is_recorded_and_the_others_go_on(tiny, tmp_path, monkeypatch):
    add_family(monkeypatch, Broken)
    what = spec(models=[{"family": "broken"}, {"family": "popularity"}])
    text, record = conduct(tiny, tmp_path, what)
    rows = tiny.execute("select label, status, error from ml.experiment_runs order by 1").fetchall()
    assert rows == [("broken", "failed", "RuntimeError: no luck"), ("popularity", "done", None)]
    assert (record.status, record.rows_out) == ("incomplete", 1)
    assert "- broken: RuntimeError: no luck" in text
    monkeypatch.setattr(Broken, "fit", Popularity.fit)  # repaired: only this model is run again
    _, record = conduct(tiny, tmp_path, what)
    assert record.status == "done"
    assert tiny.execute("select status, count(*), max(error) from ml.experiment_runs group by 1").fetchall() == [
        ("done", 2, None)
    ]


FUSION = {"parts": ["sasrec", "popularity", "vsknn", "sknn"], "parameters": {"sknn": {"neighbours": 3}}}


def test_fusion_comes_last_and_gets_what_it_would_fit_itself_by_seed_and_parameters(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(FAMILIES["sasrec"], "defaults", {**FAMILIES["sasrec"].defaults, **SASREC})
    given = []

    def noting(fit):
        def call(model, *arguments):
            context = arguments[-1]
            given.append((context.seed, dict(context.reusable_models)))
            return fit(model, *arguments)

        return call

    for name in ("fit", "refit"):
        monkeypatch.setattr(Fusion, name, noting(getattr(Fusion, name)))
    models = [
        {"family": "fusion", "parameters": FUSION},
        {"family": "popularity"},
        {"family": "sasrec"},
        {"family": "vsknn", "parameters": {"neighbours": 3}},  # differs from the fusion's part
        {"family": "sknn", "parameters": {"neighbours": 3}},
    ]
    conduct(tiny, tmp_path, spec(models=models))
    (first, parts), (_, again), (second, others), _ = given  # for each seed a fit, and a second one on everything
    assert again["sasrec"] is not parts["sasrec"]
    assert (first, second) == (0, 1)
    assert set(parts) == set(others) == {"popularity", "sasrec", "sknn"}
    assert parts["popularity"] is others["popularity"]
    assert parts["sasrec"] is not others["sasrec"]


def test_a_fusion_reuses_no_model_that_has_learnt_from_more_or_fewer_sequences(tiny, tmp_path, monkeypatch):
    given = []
    fit = Fusion.fit

    def noting(model, *arguments):
        given.append(set(arguments[-1].reusable_models))
        return fit(model, *arguments)

    monkeypatch.setattr(Fusion, "fit", noting)
    parts = {"parts": ["popularity", "sknn"]}
    models = [
        {"family": "fusion", "parameters": parts, "training_sequences": [20]},
        {"family": "popularity", "training_sequences": [20, 30]},
        {"family": "sknn"},
    ]
    conduct(tiny, tmp_path, spec(models=models, baseline=None))
    assert given == [{"popularity"}]


def test_only_a_reranker_runs_again_after_prices_changed(tiny, tmp_path):
    models = [{"family": "reranker", "parameters": {"parts": ["popularity", "sknn"]}}, {"family": "popularity"}]
    what = spec(models=models)

    def recipes() -> list[tuple[str, str]]:
        data = read_evaluation_data(tiny, tiny_shop.settings(tmp_path), "paper")
        vectors = dict.fromkeys(("reranker", "popularity"), ("tiny", data.catalog.embeddings))
        planned = [planned_run.experiment_run for planned_run in runner.plan_runs(what, data, vectors)]
        return [(run.family, run.recipe_hash) for run in planned]

    before = recipes()
    tiny.execute("update catalog.items set price = 12 where item_id = 'i00'")
    after = recipes()
    assert [family for family, _ in before] == ["popularity", "reranker"], "a reranker comes last, as a fusion does"
    assert (before[0] == after[0], before[1] == after[1]) == (True, False)


@pytest.mark.parametrize("protocol", ["cutoff", "leave_one_out"])
def test_other_protocols_run_too(tiny, tmp_path, protocol):
    _, record = conduct(tiny, tmp_path, spec(models=MODELS[:2], protocol=protocol), holdout_share=0.2)
    assert record.status == "done"
    assert tiny.execute("select distinct split from ml.model_metrics").fetchall() == [(f"{protocol}/test",)]


def test_a_history_that_can_not_be_split_is_told_of_by_the_protocol(tiny, tmp_path):
    tiny.execute("delete from sessions.sequences where sequence_id <> 'v000'")
    with pytest.raises(NextmartError, match="too short for the protocol paper"):
        conduct(tiny, tmp_path)


def test_the_command_prints_a_report_or_json_and_says_by_its_exit_code_what_failed(tiny, tmp_path, monkeypatch, capsys):
    tiny.close()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nextmart.toml").write_text(
        'warehouse = "shop.duckdb"\n[vars]\nembedding_model = "tiny"\n'
        "[vars.embedding_models.tiny]\nprovider = 'local'\ndimensions = 4\n"
    )
    (tmp_path / "file.toml").write_text('name = "c"\nprotocol = "paper"\n[[models]]\nfamily = "popularity"\n')

    def call(*arguments):
        monkeypatch.setattr("sys.argv", ["nextmart", "experiment", "file.toml", *arguments])
        with pytest.raises(SystemExit) as raised:
            main()
        return raised.value.code or 0, capsys.readouterr().out

    code, out = call()
    assert code == 0
    assert out.startswith("# c\n")
    assert (tmp_path / ".nextmart" / "experiments" / "c.md").read_text() in out
    code, out = call("--json", "--output", "elsewhere")
    assert (code, json.loads(out)["detail"]["models"][0]["label"]) == (0, "popularity")
    assert (tmp_path / "elsewhere" / "c.png").exists()
    add_family(monkeypatch, Broken)
    (tmp_path / "file.toml").write_text('name = "c"\nprotocol = "paper"\n[[models]]\nfamily = "broken"\n')
    assert call()[0] == 1
    (tmp_path / "file.toml").write_text("nmae = 3")
    assert call()[0] == 2
    with connect(tmp_path / "shop.duckdb") as connection:
        statuses = connection.execute("select status from ml.job_runs order by started_at").fetchall()
    assert statuses == [("done",), ("done",), ("incomplete",)]


@pytest.mark.parametrize("family", ["popularity", "llmseqsim", "sknn", "vsknn"])
def test_families_without_randomness_say_so(family):
    assert not make_model(family).depends_on_seed
    assert make_model("sasrec").depends_on_seed
