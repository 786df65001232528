"""The recency correction: estimated from the newest sequences' last items, and zero if nothing has changed."""

import numpy as np
import pytest
from known_answers import shop, walks
from scipy.special import gammaln

from jobs.core.cases import NO_CASES, Cases
from jobs.core.catalog import Catalog
from jobs.core.sequences import Sequences
from jobs.models.base import FitOptions
from jobs.models.recency_correction import RecencyCorrection, dirichlet_concentration
from jobs.models.registry import make_model
from jobs.models.scorer import recommend
from jobs.nightly.model_store import model_from_bytes, model_to_bytes

ITEMS = 20
CATALOG = Catalog(
    np.array([f"item-{item:02d}" for item in range(ITEMS)], np.object_),
    np.random.default_rng(0).standard_normal((ITEMS, 8)).astype(np.float32),
    np.ones(ITEMS, np.bool_),
)


def drifting():
    """Return 900 sequences without item 3, and 100 newer sequences of which a third end with item 3."""
    generator = np.random.default_rng(5)
    others = np.delete(np.arange(ITEMS), 3)
    rows = [generator.permutation(others)[:4].tolist() for _ in range(1000)]
    for row in rows[900:]:
        if generator.random() < 1 / 3:
            row[-1] = 3
    return Sequences.from_lists(rows)


def test_log_ratios_compare_todays_shares_with_those_of_all_history():
    rows = drifting()
    found = RecencyCorrection.from_sequences(rows, CATALOG)
    shares = (np.bincount(rows.items, minlength=ITEMS) + 1) / (len(rows.items) + ITEMS)
    ends = np.bincount([rows[row][-1] for row in range(900, 1000)], minlength=ITEMS)
    concentration = dirichlet_concentration(ends, shares)
    wanted = np.log((ends + concentration * shares) / (100 + concentration) / shares)
    np.testing.assert_allclose(found.log_ratios, wanted, rtol=1e-5)
    assert found.log_ratios.argmax() == 3
    assert np.log(0.1 / shares[3]) < found.log_ratios[3] < np.log(ends[3] / 100 / shares[3]), "shrunk a little"


def test_the_concentration_is_the_most_likely_one():
    # of 12 draws 10 fall on the first of two items, whose prior share follows Beta(w/2, w/2) with concentration w
    counts, shares = np.array([10, 2]), np.array([0.5, 0.5])

    def log_likelihood(w):
        parts = (gammaln(w * shares + counts) - gammaln(w * shares)).sum()
        return parts + gammaln(w) - gammaln(w + counts.sum())

    found = dirichlet_concentration(counts, shares)
    assert all(log_likelihood(found) >= log_likelihood(found * factor) for factor in (0.7, 0.9, 1.1, 1.4))


def test_counts_that_chance_explains_give_no_concentration():
    shares = np.full(50, 1 / 50)
    drawn = np.random.default_rng(2).multinomial(400, shares)
    assert dirichlet_concentration(drawn, shares) is None
    assert dirichlet_concentration(np.zeros(50, np.int64), shares) is None


@pytest.mark.parametrize("rows", [[], [[]], [[4]], [[1, 2]], [[1], [2, 3], []]])
def test_too_little_history_gives_no_correction(rows):
    assert not RecencyCorrection.from_sequences(Sequences.from_lists(rows), CATALOG).log_ratios.any()


def test_without_drift_there_is_no_correction():
    assert not RecencyCorrection.from_sequences(
        Sequences.from_lists(walks(2000, seed=1, shortest=3, longest=5)), shop()
    ).log_ratios.any()


def test_a_new_item_gets_the_lowest_log_ratio_and_a_lost_item_changes_no_other():
    found = RecencyCorrection.from_sequences(drifting(), CATALOG)
    ids = np.array(["a new one", *CATALOG.item_ids[1:]], np.object_)
    later = found.log_ratios_for_catalog(Catalog(ids, CATALOG.embeddings, CATALOG.available_mask))
    assert later[0] == found.log_ratios.min()
    assert later[1:].tolist() == found.log_ratios[1:].tolist()


@pytest.mark.parametrize("family", ["llmseqsim", "vsknn", "sasrec"])
def test_validation_cases_do_not_affect_the_correction(family):
    inputs, targets = Sequences.from_lists([[5, 5, 5], [5, 5]]), np.array([5, 5])
    log_ratios = []
    for validation in (NO_CASES, Cases(inputs, targets)):
        model = make_model(family, {"width": 8, "epochs": 1, "epoch_steps": 1} if family == "sasrec" else {})
        model.fit(drifting(), validation, CATALOG, FitOptions())
        log_ratios.append(model.state()["recency"])
    assert log_ratios[0].any()
    assert log_ratios[0].tolist() == log_ratios[1].tolist()


@pytest.mark.parametrize("family", ["llmseqsim", "sknn", "vsknn", "sknnemb", "sasrec", "llm2bert4rec", "gru4rec"])
def test_a_model_ranks_items_in_demand_today_higher_also_when_restored(family):
    small = {"width": 8, "epochs": 1, "epoch_steps": 1} if "rec" in family else {}
    asked = Sequences.from_lists([[item, other] for item in range(4, 12) for other in range(12, 20)])

    def mean_rank(**parameters):
        model = make_model(family, {**small, **parameters})
        model.fit(drifting(), NO_CASES, CATALOG, FitOptions())
        again = model_from_bytes(family, model.parameters, model_to_bytes(model, CATALOG))
        lists = [recommend(one.scorer(CATALOG), asked, ITEMS)[1] for one in (model, again)]
        assert lists[0].tolist() == lists[1].tolist()
        return (lists[0] == 3).argmax(axis=1).mean()

    assert mean_rank() < mean_rank(recency=0.0) - 0.3
