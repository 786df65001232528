"""Lists under rules in plain Python, one visitor and one item at a time: what the fast code must equal."""

import numpy as np

RANK_CONSTANT = 60


def rank_score(boosts, item: int, rank: int) -> float:
    return (1.0 if boosts is None else float(boosts[item])) / (RANK_CONSTANT + rank)


def ordered_by_rank_score(ranking: list[int], boosts) -> list[tuple[int, float]]:
    """Return items with their rank scores, best first; of equal ones the item of the better rank."""
    scored = [(item, rank_score(boosts, item, rank)) for rank, item in enumerate(ranking, start=1)]
    return sorted(scored, key=lambda pair: -pair[1])  # sorted keeps the order of equal ones


def make_list(rules, scores, excluded, popularity) -> list[tuple[int, int, float]]:
    """Return one visitor's list as (item, source, score); ``scores`` has None for items unknown to the model.

    ``scores`` is None where the model can rank nothing for the visitor.
    """
    places: dict[int, tuple[int, int, float]] = {}

    def may_enter(item: int) -> bool:
        items = [place[0] for place in places.values()]
        return item not in items and all(
            cap.value_codes[item] < 0
            or sum(cap.value_codes[other] == cap.value_codes[item] for other in items) < cap.limit
            for cap in rules.caps
        )

    def rank_candidates(allowed, source: int) -> list[tuple[int, float]]:
        items = [item for item in range(len(allowed)) if allowed[item]]
        if source == 0:
            ranking = [] if scores is None else [item for item in items if scores[item] is not None]
            ranking = sorted(set(ranking) - excluded, key=lambda item: (-scores[item], item))
            return ordered_by_rank_score(ranking, rules.boosts)
        ranking = sorted(
            (item for item in items if np.isfinite(popularity[item])), key=lambda item: (-popularity[item], item)
        )
        return [pair for pair in ordered_by_rank_score(ranking, rules.boosts) if pair[0] not in excluded]

    def diversified_score(item: int, item_rank_score: float) -> float:
        vectors = rules.diversity.item_vectors.astype(np.float64)
        cosines = [float(vectors[item] @ vectors[place[0]]) for place in places.values()]
        relevance = (1 - rules.diversity.cosine_weight) * item_rank_score / (1 / (RANK_CONSTANT + 1))
        return relevance - rules.diversity.cosine_weight * max([0.0, *cosines])

    def fill_ranks(ranks, allowed, is_diverse: bool) -> None:
        for source in (0, 1) if rules.has_fallback else (0,):
            ordered = rank_candidates(allowed, source)
            for rank in ranks:
                entering = [pair for pair in ordered if may_enter(pair[0])]
                if rank in places or not entering:
                    continue
                item = entering[0][0]
                if is_diverse and rules.diversity:
                    pool = [pair for pair in ordered[: rules.diversity.pool_size] if may_enter(pair[0])]
                    item = max(pool, key=lambda pair: diversified_score(*pair))[0] if pool else item
                places[rank] = (item, source, float(scores[item] if source == 0 else popularity[item]))

    for rank, item in sorted(rules.pins.items()):
        if rules.allowed_mask[item] and item not in excluded and may_enter(item):
            places[rank] = (item, 2, 0.0)
    for rank, allowed in sorted(rules.slots.items()):
        fill_ranks([rank], allowed, False)
    fill_ranks(range(1, rules.k + 1), rules.allowed_mask, True)
    return [place for _, place in sorted(places.items())]
