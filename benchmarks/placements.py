"""Time the filling of ten placements with rules, in CPU seconds, and compare it with exact top-k without rules.

There are two sets of five placements. In the first, each placement allows a random half of the items to all visitors.
In the second, visitors are divided into ten groups, each of which may get a tenth of the items. In each set, one
placement has no further rule; the others have a cap, a boost, a pin with a slot, and diversity. Scores are inner
products of random vectors. All placements use one ranking by score, and the time of the first placement includes it.
"""

import argparse
import time

import numpy as np
import torch

from jobs.core.arrays import Bools
from jobs.core.sequences import Sequences
from jobs.core.topk import top_k
from jobs.models.scorer import VectorScorer
from jobs.placements.candidates import Exclusions, ModelRanking
from jobs.placements.fill import Cap
from jobs.placements.lists import ListRules, fill_lists
from jobs.placements.placement import unit_vectors
from jobs.placements.relevance import Diversity

GROUPS = 10
VISITORS_AT_ONCE = 20_000


def make_rules(kind: str, allowed_mask: Bools, item_vectors: np.ndarray, k: int, rng: np.random.Generator) -> ListRules:
    """Return the rules of a placement; its kind is plain, caps, boost, slot or diversity."""
    count = len(allowed_mask)
    if kind == "caps":
        return ListRules(k, allowed_mask, [Cap(rng.integers(0, 200, count).astype(np.int32), 2)])
    if kind == "boost":
        return ListRules(k, allowed_mask, boosts=rng.choice([0.8, 1, 1.2], count))
    if kind == "slot":
        return ListRules(k, allowed_mask, pins={1: 7}, slots={3: allowed_mask & (rng.random(count) < 0.02)})
    return ListRules(k, allowed_mask, diversity=Diversity(0.3, item_vectors, 10 * k) if kind == "diversity" else None)


def fill_placements(
    rules_by_placement: dict[str, list[ListRules]],
    scorer: VectorScorer,
    visitor_sequences: Sequences,
    group_of_visitor: np.ndarray,
    item_count: int,
) -> dict[str, float]:
    """Fill the lists of all visitors for every placement; return placement name -> CPU seconds.

    Parameters
    ----------
    rules_by_placement : dict of list of ListRules
        For each placement, the rules of each group of visitors; one element if all visitors have the same rules.
    group_of_visitor : int array (visitors,)
    """
    seconds = dict.fromkeys(rules_by_placement, 0.0)
    available, popularity = np.ones(item_count, np.bool_), np.zeros(item_count, np.float32)
    for start in range(0, len(visitor_sequences), VISITORS_AT_ONCE):
        rows = np.arange(start, min(start + VISITORS_AT_ONCE, len(visitor_sequences)))
        sequences = visitor_sequences.take(rows)
        ranking, exclusions = ModelRanking(scorer, sequences, available), Exclusions(sequences, item_count)
        for name, groups in rules_by_placement.items():
            began = time.process_time()
            for number, rules in enumerate(groups):
                group_rows = (
                    np.flatnonzero(group_of_visitor[rows] == number) if len(groups) > 1 else np.arange(len(rows))
                )
                lists, _ = fill_lists(rules, ranking, group_rows, exclusions, popularity)
                if (lists.items < 0).any():
                    raise SystemExit(f"{name}: a list is short")
            seconds[name] += time.process_time() - began
    return seconds


def main() -> None:
    """Run the benchmark for the size given on the command line; print the CPU seconds and ratio of each placement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="10000x20000x64", help="visitors x items x dimensions")
    parser.add_argument("-k", type=int, default=20)
    options = parser.parse_args()
    visitors, items, width = map(int, options.size.split("x"))
    rng = np.random.default_rng(0)
    queries = torch.from_numpy(rng.standard_normal((visitors, width), dtype=np.float32))
    item_vectors = rng.standard_normal((items, width), dtype=np.float32)
    visitor_sequences = Sequences.from_lists(rng.integers(0, items, (visitors, 10)))
    first = visitor_sequences.items[visitor_sequences.offsets[:-1]]
    query_of = {int(item): row for row, item in enumerate(first)}
    scorer = VectorScorer(
        # the first item of a visitor's sequence tells which query vector is the visitor's
        compute_queries=lambda some: queries[[query_of[int(item)] for item in some.items[some.offsets[:-1]]]],
        item_vectors=torch.from_numpy(item_vectors),
        recommendable_mask=np.ones(items, np.bool_),
    )
    units = unit_vectors(item_vectors)
    kinds = ("plain", "caps", "boost", "slot", "diversity")
    rules_by_placement = {
        f"{kind}, everybody": [make_rules(kind, rng.random(items) < 0.5, units, options.k, rng)] for kind in kinds
    }
    for kind in kinds:
        group_of_item = rng.integers(0, GROUPS, items)
        rules_by_placement[f"{kind}, {GROUPS} groups"] = [
            make_rules(kind, group_of_item == number, units, options.k, rng) for number in range(GROUPS)
        ]
    for groups in rules_by_placement.values():
        for rules in groups:
            for item in rules.pins.values():
                rules.allowed_mask[item] = True
    began = time.process_time()
    top_k(queries, torch.from_numpy(item_vectors), options.k, excluded_items=visitor_sequences)
    unit = time.process_time() - began
    began = time.process_time()
    seconds = fill_placements(rules_by_placement, scorer, visitor_sequences, rng.integers(0, GROUPS, visitors), items)
    total = time.process_time() - began
    print(
        f"{visitors:,} visitors, {items:,} items, {width} dimensions, k={options.k}, {torch.get_num_threads()} threads"
    )
    print(f"one top-k without rules for every visitor: {unit:.2f} CPU seconds")
    print("placement, CPU seconds, ratio to that top-k")
    for name, spent in seconds.items():
        print(f"{name}, {spent:.2f}, {spent / unit:.2f}")
    print(
        f"all {len(rules_by_placement)}, {total:.2f}, {total / unit:.2f}; "
        f"a list: {total / unit / len(rules_by_placement):.2f}"
    )


if __name__ == "__main__":
    main()
