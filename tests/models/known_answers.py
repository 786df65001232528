"""A small shop with known right answers, and the behaviour that is expected of each model family on it.

Items are arranged in blocks, and in each block as a ring; a visitor walks along one ring, always to the next item. The
embeddings of a block share a centre and lie on a circle in the ring's order, so the next item is also the nearest item
that the visitor has not seen. A new family needs an entry in ``EXPECTED``; every test of ``test_known_answers`` then
runs on it.
"""

from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from jobs.core.cases import Cases
from jobs.core.catalog import Catalog
from jobs.core.sequences import Sequences
from jobs.models.base import FitOptions
from jobs.models.registry import FAMILIES, make_model

BLOCKS, RING = 5, 7
ITEMS = BLOCKS * RING

# block and position in its ring -> item index; shuffled, so that no answer follows from the order of the ids
INDEX = np.random.default_rng(1).permutation(ITEMS).reshape(BLOCKS, RING)

TRAINED = {
    "width": 32,
    "blocks": 1,
    "window": 8,
    "dropout": 0.1,
    "batch_size": 64,
    "learning_rate": 5e-3,
    "epochs": 20,
    "epoch_steps": 1,
    "patience": 5,
}
GRU = {**{name: value for name, value in TRAINED.items() if name != "blocks"}, "hidden": 32}


@dataclass(frozen=True)
class Expected:
    """Expected behaviour of one family; all other behaviour is common to all families."""

    parameters: dict[str, Any] = field(default_factory=dict)
    knows_next: bool = True  # whether the next item of the ring is recommended first
    is_trained: bool = False  # whether the model is trained by gradient, so that its weights depend on the seed
    answers_everyone: bool = False  # whether visitors without readable items get recommendations
    recommends_cold: bool = False  # whether items without events but with an embedding are recommended
    explains: bool = True  # whether the family gives reasons
    scores_ranks: bool = False  # whether an item's score depends on other items' ranks
    ranks: str = "all"  # which items are ranked for a sequence, see ``rankable``


EXPECTED = {
    "popularity": Expected(knows_next=False, answers_everyone=True, explains=False),
    "markov": Expected(ranks="followers"),
    "itemknn": Expected(ranks="companions"),
    "ease": Expected({"l2": 10.0}, ranks="companions"),
    "llmseqsim": Expected(recommends_cold=True),
    "llmseqprompt": Expected({"mapping": "none"}, recommends_cold=True),
    # SKNN reads a sequence as a set, so that the previous item of the ring is as near as the next one
    "sknn": Expected({"neighbours": 400}, knows_next=False, ranks="blocks"),
    "vsknn": Expected({"neighbours": 400}, ranks="blocks"),
    "sknnemb": Expected({"neighbours": 400}, knows_next=False, ranks="blocks"),
    "bert4rec": Expected(TRAINED, is_trained=True),
    "llm2bert4rec": Expected({**TRAINED, "initial_std": 0.3}, is_trained=True, recommends_cold=True),
    "sasrec": Expected(TRAINED, is_trained=True),
    "llm2sasrec": Expected({**TRAINED, "initial_std": 0.3}, is_trained=True, recommends_cold=True),
    "fusion": Expected({"parts": ["vsknn", "llmseqsim"]}, recommends_cold=True, scores_ranks=True),
    "reranker": Expected({"parts": ["vsknn", "llmseqsim"], "rounds": 10}, recommends_cold=True, scores_ranks=True),
    "gru4rec": Expected(GRU, is_trained=True),
    "llm2gru4rec": Expected({**GRU, "initial_std": 0.3}, is_trained=True, recommends_cold=True),
}


def rankable(family: str, own: list[int]) -> set[int]:
    """The items that a family can rank for a sequence, its own ones included.

    ``all`` items; those of the ``blocks`` of the sequence; ``companions``, those that some sequence holds together with
    another item of the sequence; ``followers``, those that follow an item of the sequence in some walk.
    """
    ranks = EXPECTED[family].ranks
    if ranks == "all":
        return set(range(ITEMS))
    if ranks == "blocks":
        return {int(item) for block in INDEX if {*block} & {*own} for item in block}
    walked = [list(map(int, training()[row])) for row in range(len(training()))]
    places = [(walk, walk.index(item)) for walk in walked for item in own if item in walk]
    if ranks == "followers":
        return {item for walk, place in places for item in walk[place + 1 :]}
    return {item for walk, place in places for item in walk[:place] + walk[place + 1 :]}


def ring_vector(block: int, place: float) -> np.ndarray:
    """The embedding at a position of a block's ring."""
    vector = np.zeros(3 * BLOCKS, np.float32)
    angle = 2 * np.pi * place / RING
    vector[3 * block : 3 * block + 3] = 1, np.cos(angle) / 2, np.sin(angle) / 2
    return vector


@cache
def shop() -> Catalog:
    """The catalogue that models are fitted on."""
    embeddings = np.zeros((ITEMS, 3 * BLOCKS), np.float32)
    for block in range(BLOCKS):
        for place in range(RING):
            embeddings[INDEX[block, place]] = ring_vector(block, place)
    item_ids = np.array([f"item-{index:02}" for index in range(ITEMS)], np.object_)
    titles = np.array([f'No. {index}, "the {index}th"' for index in range(ITEMS)], np.object_)
    return Catalog(item_ids, embeddings, np.ones(ITEMS, np.bool_), titles)


LOST = INDEX[4, 0]
TWIN_PLACE = (0, 3)  # block and ring position whose embedding both cold items have
COLD_IDS = ("item-00-cold", "item-17-cold")
BLANK_ID = "item-05-blank"  # an item without events, embedding and title


@cache
def grown_shop() -> Catalog:
    """The catalogue some days later: one item is gone and three are new, so most items have another index."""
    old = shop()
    rows = {
        item_id: vector
        for index, (item_id, vector) in enumerate(zip(old.item_ids, old.embeddings, strict=True))
        if index != LOST
    }
    rows |= dict.fromkeys(COLD_IDS, ring_vector(*TWIN_PLACE)) | {BLANK_ID: np.zeros(3 * BLOCKS, np.float32)}
    item_ids = sorted(rows)
    titles = {**dict(zip(old.item_ids, old.titles, strict=True)), BLANK_ID: ""}
    return Catalog(
        np.array(item_ids, np.object_),
        np.array([rows[item_id] for item_id in item_ids]),
        np.ones(len(rows), np.bool_),
        np.array([titles.get(item_id, item_id) for item_id in item_ids], np.object_),
    )


def walks(count: int, seed: int, shortest: int, longest: int) -> list[list[int]]:
    """Draw walks along one ring each, of ``shortest`` to ``longest`` items."""
    generator = np.random.default_rng(seed)
    drawn = zip(
        generator.integers(0, BLOCKS, count),
        generator.integers(0, RING, count),
        generator.integers(shortest, longest + 1, count),
        strict=True,
    )
    return [[int(INDEX[block, (start + step) % RING]) for step in range(length)] for block, start, length in drawn]


def held_out(rows: list[list[int]]) -> Cases:
    """Return cases from rows: the last item of each row is the target."""
    return Cases(Sequences.from_lists(row[:-1] for row in rows), np.array([row[-1] for row in rows]))


@cache
def training() -> Sequences:
    return Sequences.from_lists(walks(320, seed=1, shortest=3, longest=5))


def cases() -> Cases:
    return held_out(walks(200, seed=2, shortest=4, longest=6))


def fit(family: str, *, seed: int = 0, train=None, validation=None, catalog=None, given=None, **parameters):
    """Fit a family on the shop's data, or on the given sequences, cases or catalogue instead.

    ``given`` are hyper-parameters of this family; ``parameters`` are set only where a family is trained by gradient.
    """
    if not EXPECTED[family].is_trained:
        parameters = {}
    model = make_model(family, {**EXPECTED[family].parameters, **parameters, **(given or {})})
    model.fit(training() if train is None else train, validation or cases(), catalog or shop(), FitOptions(seed))
    return model


@cache
def fitted(family: str):
    """The family's model fitted on the shop, once for all tests; tests must not change the model."""
    return fit(family)


assert set(EXPECTED) == set(FAMILIES), "every family needs its known answers"
