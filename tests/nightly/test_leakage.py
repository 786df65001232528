"""Nothing from at or after the hold-out's date reaches a model, a count, a vocabulary or the choice of the live model.

Planted future events must change no byte. If the items after the date are random, lists may hit them only by chance; a
model that hits them more often has seen them. A model must also not learn from the validation cases that measure it.
"""

from datetime import timedelta

import numpy as np
import pytest
import torch
from optional_packages import require_lightgbm
from scipy.stats import binom
from tiny_warehouse import DAY, DIMENSIONS, START, TinyWarehouse, items_of, rings

from jobs.core.metrics import target_ranks
from jobs.evaluation.protocols import split_history
from jobs.evaluation.splits import cutoff_split
from jobs.language_models.paid_services import PaidServices
from jobs.models.base import FitOptions
from jobs.models.popularity import Popularity
from jobs.models.registry import make_model
from jobs.models.scorer import recommend
from jobs.nightly.model_store import load_model, model_to_bytes, newest_model_by_family
from jobs.nightly.training_data import TrainingData
from jobs.settings import Settings
from jobs.warehouse.reading import cases_as_indices, read_catalog, read_sequences

CUTOFF = START + 15 * DAY
ITEMS_A_RING, RINGS = 12, 10
HISTORY = rings(250, length=5, size=ITEMS_A_RING, rings_=RINGS)
FUTURE_ONLY = "i-future"
CATALOGUE = sorted([*items_of(HISTORY), FUTURE_ONLY])
CHEAP = ["popularity", "vsknn"]
NETWORK = {
    "width": 32,
    "blocks": 1,
    "window": 8,
    "dropout": 0.1,
    "batch_size": 64,
    "learning_rate": 5e-3,
    "epochs": 1,
    "epoch_steps": 1,
}


def settings(models, folder) -> Settings:
    # with a given number of trees, the reranker has some however little they help
    parameters = {"sasrec": NETWORK, "bert4rec": NETWORK, "reranker": {"parts": CHEAP, "rounds": 5}}
    return Settings(models=models, work_folder=folder, cutoff_at=CUTOFF, parameters=parameters)


@pytest.fixture(autouse=True)
def one_thread_of_the_cpu(monkeypatch):
    """Train on one thread of the CPU, where a network gets the same bits each time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setattr("jobs.models.sequential.model.device", lambda: torch.device("cpu"))
    yield
    torch.set_num_threads(before)


def with_future(history, seed=0):
    """Add events at or after the date: visits that go on, visits of new visitors, and an unknown item."""
    generator = np.random.default_rng(seed)

    def later(count):
        steps = np.sort(generator.integers(0, 10_000, count)) * (generator.random() < 0.9)  # some exactly at the date
        return [CUTOFF + timedelta(minutes=int(step)) for step in steps]

    gone_on = []
    for number, (name, items, times) in enumerate(history):
        drawn = [str(item) for item in generator.choice(CATALOGUE, 4)] if number % 3 == 0 else []
        after = later(len(drawn)) if times[-1] < CUTOFF else [times[-1] + DAY] * len(drawn)
        gone_on.append((name, items + drawn, times + after))
    new = [(f"planted{n}", [FUTURE_ONLY, *generator.choice(CATALOGUE, 5).tolist()], later(6)) for n in range(60)]
    return gone_on + new


@pytest.fixture
def warehouse():
    """Return a function that makes warehouses, which are closed after the test."""
    opened = []

    def make_model(history, catalogue=CATALOGUE):
        made = TinyWarehouse()
        made.fill(history, catalogue)
        opened.append(made)
        return made

    yield make_model
    for made in opened:
        made.connection.close()


@pytest.mark.parametrize("family", ["sasrec", "reranker"])
def test_planted_future_events_change_nothing_that_training_writes(warehouse, tmp_path, family):
    if family == "reranker":
        require_lightgbm()
    written = []
    for history in (HISTORY, with_future(HISTORY), with_future(HISTORY, seed=1)):
        shop = warehouse(history)
        done = shop.run("train", settings([*CHEAP, family], tmp_path))
        assert len(done["detail"]["trained"]) == 3
        written.append(
            [
                shop.rows(
                    "select model, parameters, fingerprint, data_cutoff_at, training_rows, weights, weights_sha256 "
                    "from ml.models order by model"
                ),
                # counts of future events would change novelty and serendipity
                shop.rows(
                    "select split_part(model_version, '-', 1), * exclude (model_version, measured_at) "
                    "from ml.model_metrics order by all"
                ),
                shop.rows(
                    "select split_part(model_version, '-', 1), split, cases_hash, target_ranks "
                    "from ml.model_ranks order by all"
                ),
            ]
        )
    assert all(table for table in written[0])
    assert written[0] == written[1] == written[2]


def test_one_event_planted_before_the_date_does_change_them(warehouse, tmp_path):
    """Without this, the test above could pass although it compares nothing."""
    weights = []
    for time in (CUTOFF, CUTOFF - timedelta(microseconds=1)):
        planted = ("planted", [HISTORY[0][1][0], HISTORY[1][1][0]], [time, time])
        shop = warehouse([*HISTORY, planted])
        shop.run("train", settings(["popularity"], tmp_path))
        weights += shop.rows("select weights_sha256, training_rows from ml.models")
    assert weights[0] != weights[1]


def test_metrics_of_the_test_part_count_what_was_known_at_the_date(warehouse, tmp_path):
    """Later visits of visitors who give no case must not change how novel or popular an item is."""
    figures = []
    later = [
        (f"later{n}", [HISTORY[0][1][0]], [CUTOFF + DAY]) for n in range(300)
    ]  # they give no case, as nothing comes before
    for history in (HISTORY, HISTORY + later):
        shop = warehouse(history)
        shop.night(settings(CHEAP, tmp_path))
        figures.append(shop.rows("select metric, k, segment, value, n from ml.model_metrics order by all"))
    assert figures[0] == figures[1]


def test_steps_drawn_after_the_date_are_hit_by_chance_and_right_ones_more_often(warehouse, tmp_path):
    """A model that had learnt from the random steps would hit them more often than by chance."""
    history = rings(600, length=5, size=ITEMS_A_RING, rings_=RINGS)
    catalogue, generator = items_of(history), np.random.default_rng(0)
    drawn = [
        (name, items if times[0] < CUTOFF else [str(item) for item in generator.choice(catalogue, len(items))], times)
        for name, items, times in history
    ]
    shop, wanted = warehouse(drawn, catalogue), settings(["vsknn"], tmp_path)
    shop.run("train", wanted)
    catalog = read_catalog(shop.connection, DIMENSIONS)
    row = newest_model_by_family(shop.connection)["vsknn"]
    scorer = load_model(PaidServices(shop.connection, wanted), row).scorer(catalog)

    def hits() -> int:
        cases = cases_as_indices(cutoff_split(read_sequences(shop.connection), CUTOFF).test, catalog)
        assert len(cases.targets) == 150
        return (recommend(scorer, cases.inputs, 20)[1] == cases.targets[:, None]).sum()

    most = binom.ppf(0.9999, 150, 20 / len(catalog))  # random lists hit more often than this once in 10,000 times
    assert hits() <= most
    shop.fill(history, catalogue)
    assert hits() > most


def test_the_validation_part_measures_a_model_without_it_and_what_is_stored_has_learnt_from_it(warehouse, tmp_path):
    shop, wanted = warehouse(HISTORY), settings(["popularity"], tmp_path)
    shop.run("train", wanted)
    catalog, dbt_vars = read_catalog(shop.connection, DIMENSIONS), wanted.job_vars()
    split = split_history(read_sequences(shop.connection), wanted.protocol, wanted)
    data = TrainingData.from_split(split, catalog, wanted.validation_limit, dbt_vars.allow_repeats)
    ranks, weights = [], []
    first = make_model("popularity")
    first.fit(data.older_sequences, data.validation_cases, catalog, FitOptions())
    for model in (first, first.refit(data.all_sequences, catalog, FitOptions())):
        _, lists = recommend(model.scorer(catalog), data.validation_cases.inputs, 20)
        ranks.append(target_ranks(lists, data.validation_cases.targets).tolist())
        weights.append(model_to_bytes(model, catalog))
    assert ranks[0] != ranks[1]
    assert weights[0] != weights[1]
    assert shop.rows("select target_ranks from ml.model_ranks") == [(ranks[0],)]
    assert shop.rows("select weights from ml.models") == [(weights[1],)]


def test_a_family_that_learns_from_validation_targets_is_measured_by_its_own_lists(warehouse, tmp_path, monkeypatch):
    def put_targets_first(model, validation, k, *_):
        return np.pad(validation.targets[:, None], [(0, 0), (0, k - 1)], constant_values=-1), {}

    monkeypatch.setattr(Popularity, "rank_validation_cases", put_targets_first)
    shop = warehouse(HISTORY)
    shop.run("train", settings(["popularity"], tmp_path))
    [(ranks,)] = shop.rows("select target_ranks from ml.model_ranks")
    assert set(ranks) == {1}


def test_an_item_of_the_test_part_alone_is_in_no_vocabulary_and_in_no_list(warehouse, tmp_path):
    families = ["popularity", "sknn", "vsknn", "bert4rec", "sasrec"]
    shop = warehouse(with_future(HISTORY))
    shop.run("train", settings(families, tmp_path))
    catalog = read_catalog(shop.connection, DIMENSIONS)
    [unknown] = catalog.find_indices(np.array([FUTURE_ONLY], np.object_))
    sequences = cases_as_indices(cutoff_split(read_sequences(shop.connection), CUTOFF).test, catalog).inputs
    assert unknown in sequences.items
    paid_services = PaidServices(shop.connection, settings(families, tmp_path))
    for family in families:
        scorer = load_model(paid_services, newest_model_by_family(shop.connection)[family]).scorer(catalog)
        assert not scorer.recommendable_mask[unknown], family
        _, lists = recommend(scorer, sequences, 20)
        assert (lists >= 0).any(), family
        assert not (lists == unknown).any(), family


def test_other_test_targets_leave_the_same_model_live_for_the_same_reason(warehouse, tmp_path):
    popular = HISTORY[0][1]
    adverse = [
        (name, items if times[-1] < CUTOFF else [items[0], *popular[: len(items) - 1]], times)
        for name, items, times in HISTORY
    ]
    choices, figures = [], []
    for history in (HISTORY, adverse):
        shop = warehouse(history)
        choices.append(
            (
                shop.night(settings(CHEAP, tmp_path)),
                shop.rows("select family, is_live, reason, difference, ci_low, ci_high from ml.champions order by all"),
            )
        )
        figures.append(shop.rows("select value from ml.model_metrics where ends_with(split, '/test') order by all"))
    assert choices[0] == choices[1]
    assert figures[0] != figures[1], "the targets are others"
