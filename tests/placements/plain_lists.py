"""Lists under rules in plain Python, one visitor and one item at a time: what the fast code must equal."""

import numpy as np

RANK_CONSTANT = 60


def worth(boosts, item: int, rank: int) -> float:
    return (1.0 if boosts is None else float(boosts[item])) / (RANK_CONSTANT + rank)


def ordered_by_worth(ranking: list[int], boosts) -> list[tuple[int, float]]:
    """Return items with their worths, best first; of equal ones the item of the better rank."""
    worths = [(item, worth(boosts, item, rank)) for rank, item in enumerate(ranking, start=1)]
    return sorted(worths, key=lambda pair: -pair[1])  # sorted keeps the order of equal ones


def listed(rules, scores, excluded, popularity) -> list[tuple[int, int, float]]:
    """Return one visitor's list as (item, source, score); ``scores`` has None for items unknown to the model.

    ``scores`` is None where the model can rank nothing for the visitor.
    """
    places: dict[int, tuple[int, int, float]] = {}

    def may_enter(item: int) -> bool:
        items = [place[0] for place in places.values()]
        return item not in items and all(
            cap.codes[item] < 0 or sum(cap.codes[other] == cap.codes[item] for other in items) < cap.limit
            for cap in rules.caps
        )

    def candidates(allowed, source: int) -> list[tuple[int, float]]:
        items = [item for item in range(len(allowed)) if allowed[item]]
        if source == 0:
            ranking = [] if scores is None else [item for item in items if scores[item] is not None]
            ranking = sorted(set(ranking) - excluded, key=lambda item: (-scores[item], item))
            return ordered_by_worth(ranking, rules.boosts)
        ranking = sorted(
            (item for item in items if np.isfinite(popularity[item])), key=lambda item: (-popularity[item], item)
        )
        return [pair for pair in ordered_by_worth(ranking, rules.boosts) if pair[0] not in excluded]

    def value(item: int, item_worth: float) -> float:
        vectors = rules.diversity.vectors.astype(np.float64)
        cosines = [float(vectors[item] @ vectors[place[0]]) for place in places.values()]
        relevance = (1 - rules.diversity.weight) * item_worth / (1 / (RANK_CONSTANT + 1))
        return relevance - rules.diversity.weight * max([0.0, *cosines])

    def fill(ranks, allowed, is_diverse: bool) -> None:
        for source in (0, 1) if rules.has_fallback else (0,):
            ordered = candidates(allowed, source)
            for rank in ranks:
                entering = [pair for pair in ordered if may_enter(pair[0])]
                if rank in places or not entering:
                    continue
                item = entering[0][0]
                if is_diverse and rules.diversity:
                    pool = [pair for pair in ordered[: rules.diversity.pool] if may_enter(pair[0])]
                    item = max(pool, key=lambda pair: value(*pair))[0] if pool else item
                places[rank] = (item, source, float(scores[item] if source == 0 else popularity[item]))

    for rank, item in sorted(rules.pins.items()):
        if rules.allowed[item] and item not in excluded and may_enter(item):
            places[rank] = (item, 2, 0.0)
    for rank, allowed in sorted(rules.slots.items()):
        fill([rank], allowed, False)
    fill(range(1, rules.k + 1), rules.allowed, True)
    return [place for _, place in sorted(places.items())]
