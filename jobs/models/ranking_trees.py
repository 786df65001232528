"""Gradient-boosted trees that put candidates in a new order: LightGBM's LambdaRank, started from a known order.

Sources: Burges 2010, From RankNet to LambdaRank to LambdaMART: An Overview (Microsoft Research, MSR-TR-2010-82); Ke et
al. 2017, LightGBM: A Highly Efficient Gradient Boosting Decision Tree.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np

from jobs.core.arrays import Bools, Doubles, Floats, Longs
from jobs.errors import UsageError
from jobs.models.hyperparameter_choice import beats_by_more_than_chance
from jobs.models.merged_lists import MergedLists, case_ndcgs_by_scores
from jobs.models.scorer import validation_list_length

FOLDS: Final = 5
"""Number of parts into which the cases are cut to choose the number of trees."""

STANDARD_ERRORS: Final = 2.0
"""Trees have to beat the known order by more than so many standard errors. With one, as for other choices, the best of
several numbers of trees would often win by luck on few cases, and a list that was good would be spoilt."""

FEWEST_CASES: Final = 200
"""The fewest cases with their target among the candidates by which a number of trees is chosen. A sample of UCI Online
Retail had fewer. There, trees that beat the known order by two standard errors made the lists of test cases no
better."""

TRAINING: Final = {
    "objective": "lambdarank",
    "lambdarank_truncation_level": 20,  # the pairs that count have one item among the first 20
    "min_data_in_leaf": 50,
    "lambda_l2": 10.0,
    "max_bin": 63,
    # nothing is drawn at random, and one thread adds up numbers in one order: the same data gives the same trees
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "seed": 0,
    "verbosity": -1,
}
"""LightGBM's parameters, but for those that are hyper-parameters. Few trees with few leaves: cases are few."""


def import_lightgbm() -> Any:
    """Import LightGBM, an optional dependency, and return the module.

    Raises
    ------
    UsageError
        If it is not installed, or lacks a library of the operating system.
    """
    try:
        import lightgbm
    except ImportError as error:
        raise UsageError("the family reranker needs LightGBM: pip install 'nextmart[reranker]' brings it") from error
    except OSError as error:
        raise UsageError(
            f"the family reranker needs LightGBM, which lacks a library of this system: {error}; "
            "on Debian and Ubuntu, apt install libgomp1 brings it"
        ) from error
    return lightgbm


@dataclass(frozen=True)
class RankedCandidates:
    """Candidates of cases that are to be put in a new order.

    Attributes
    ----------
    pairs : MergedLists
        Each pair of a case and a candidate.
    features : float32 array (pairs, features)
        NaN where a number is not known.
    rising_count : int
        The number of features, the first ones, of which a larger value never lowers a score.
    starting_scores : float64 array (pairs,)
        The scores of the order that is known.
    """

    pairs: MergedLists
    features: Floats
    rising_count: int
    starting_scores: Doubles

    def keep(self, is_kept: Bools) -> "RankedCandidates":
        """Return the pairs for which ``is_kept``, a bool array (pairs,), is True."""
        return RankedCandidates(
            self.pairs.keep(is_kept), self.features[is_kept], self.rising_count, self.starting_scores[is_kept]
        )


@dataclass(frozen=True)
class RankingTrees:
    """Trained trees, kept as LightGBM's text."""

    text: str

    @cached_property
    def _booster(self) -> Any:
        return import_lightgbm().Booster(model_str=self.text)

    def first(self, tree_count: int) -> "RankingTrees":
        """Return the first trees alone: those of a training that makes ``tree_count`` trees, at least 1."""
        return RankingTrees(self._booster.model_to_string(num_iteration=tree_count))

    def scores(self, candidates: RankedCandidates) -> Floats:
        """Return each pair's starting score plus what the trees add to it: float32 array (pairs,)."""
        scores = candidates.starting_scores
        if len(scores):
            scores = scores + self._booster.predict(candidates.features, raw_score=True)
        return np.asarray(scores, np.float32)


def train_trees(
    candidates: RankedCandidates, targets: Longs, tree_count: int, leaves: int, learning_rate: float
) -> RankingTrees | None:
    """Return trees that move the targets up, started from the known order; None if no case has its target listed.

    Parameters
    ----------
    targets : int64 array (cases,)
        The item that came next in each case.
    leaves : int
        The largest number of leaves of a tree.
    learning_rate : float
        Factor of what each tree adds.
    """
    lightgbm = import_lightgbm()
    listed = candidates.keep(_is_of_case_with_listed_target(candidates.pairs, targets))
    if not len(listed.starting_scores):
        return None
    rows = listed.pairs.row_numbers
    data = lightgbm.Dataset(
        listed.features,
        listed.pairs.items == targets[rows],
        group=np.unique(rows, return_counts=True)[1],
        init_score=listed.starting_scores,
        params=TRAINING,
    )
    is_rising = np.arange(listed.features.shape[1]) < listed.rising_count
    given = {
        **TRAINING,
        "num_leaves": leaves,
        "learning_rate": learning_rate,
        "monotone_constraints": is_rising.astype(int).tolist(),
    }
    return RankingTrees(lightgbm.train(given, data, tree_count).model_to_string())


def fold_of_each_case(case_count: int) -> Longs:
    """Return the number of each case's fold, from 0 to ``FOLDS`` - 1: int64 array (cases,).

    The folds are runs of neighbouring cases, which come in the order of ``sequence_id``.
    """
    return np.arange(case_count) * FOLDS // max(case_count, 1)


def train_trees_without_each_fold(
    candidates: RankedCandidates, targets: Longs, tree_count: int, leaves: int, learning_rate: float
) -> list[RankingTrees | None]:
    """Return trees for the cases of each fold, which have learnt from the cases of the other folds alone.

    Returns
    -------
    list of RankingTrees or None
        By the number of the fold (:func:`fold_of_each_case`); None if no other case has its target listed.
    """
    listed = candidates.keep(_is_of_case_with_listed_target(candidates.pairs, targets))
    fold_of_pair = fold_of_each_case(len(targets))[listed.pairs.row_numbers]
    return [
        train_trees(listed.keep(fold_of_pair != fold), targets, tree_count, leaves, learning_rate)
        for fold in range(FOLDS)
    ]


def choose_tree_count(
    candidates: RankedCandidates,
    targets: Longs,
    counts_to_try: Sequence[int],
    trees_without_each_fold: Sequence[RankingTrees | None],
) -> int:
    """Return the number of trees, by cross-fitting: each case is ranked by trees that were trained on other cases.

    It is the number with the best mean nDCG (:func:`jobs.models.scorer.validation_list_length` says at which depth) if
    that beats the known order by more than ``STANDARD_ERRORS``, else 0, which keeps the known order. It is 0 too where
    fewer than ``FEWEST_CASES`` cases have their target among the candidates.

    Parameters
    ----------
    targets : int64 array (cases,)
        The item that came next in each case.
    counts_to_try : sequence of int
        Numbers of trees; 0 is among them.
    trees_without_each_fold : sequence of RankingTrees or None
        As many trees of each fold as the largest number to try (:func:`train_trees_without_each_fold`).
    """
    depth = validation_list_length(len(targets))
    listed = candidates.keep(_is_of_case_with_listed_target(candidates.pairs, targets))
    if len(np.unique(listed.pairs.row_numbers)) < FEWEST_CASES:
        return 0
    fold_of_pair = fold_of_each_case(len(targets))[listed.pairs.row_numbers]
    scores = {count: listed.starting_scores.astype(np.float32) for count in counts_to_try}
    for fold, trees in enumerate(trees_without_each_fold):
        held_out = listed.keep(fold_of_pair == fold)
        for count in counts_to_try:
            if trees and count:
                scores[count][fold_of_pair == fold] = trees.first(count).scores(held_out)
    ndcgs = {count: case_ndcgs_by_scores(listed.pairs, scores[count], targets, depth) for count in counts_to_try}
    best = max(counts_to_try, key=lambda count: float(ndcgs[count].mean()))
    return best if beats_by_more_than_chance(ndcgs[best], ndcgs[0], STANDARD_ERRORS) else 0


def _is_of_case_with_listed_target(pairs: MergedLists, targets: Longs) -> Bools:
    """Return which pairs belong to a case whose target is among its candidates: bool array (pairs,)."""
    rows = pairs.row_numbers
    return np.isin(rows, rows[pairs.items == targets[rows]])
