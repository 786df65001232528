"""Reranker: a fusion whose merged list is put in a new order by trees that learn from what the validation cases chose.

The second of two stages: the parts find candidates, and trees look at more than the places in the parts' lists
(:mod:`jobs.models.reranker_features`). The trees start from the fusion's order (:mod:`jobs.models.ranking_trees`). If
they find nothing that holds for other cases too, there are no trees, and the reranker is the fusion.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Self

import numpy as np

from jobs.core.arrays import Bools, Floats, Ints, Longs, State
from jobs.core.cases import Cases
from jobs.core.catalog import Catalog
from jobs.core.sequences import Sequences
from jobs.errors import UsageError
from jobs.models.base import FitOptions, Model
from jobs.models.fusion import SEQUENCES_PER_CHUNK, Fusion, FusionScorer
from jobs.models.hyperparameter_choice import chosen_parameters_from_state, chosen_parameters_to_state
from jobs.models.hyperparameter_intervals import Interval
from jobs.models.merged_lists import MergedLists, position_scores
from jobs.models.ranking_trees import (
    RankedCandidates,
    RankingTrees,
    choose_tree_count,
    fold_of_each_case,
    import_lightgbm,
    train_trees,
    train_trees_without_each_fold,
)
from jobs.models.reranker_features import FeatureTable, ItemHistory
from jobs.models.scorer import Scorer, recommend, top_in_chunks

CASES_TO_LEARN_FROM: Final = 4000
"""The most validation cases that the trees learn from; it bounds the memory for the features of their candidates."""

MOST_CANDIDATES: Final = 10_000
"""The most candidates of one case that LightGBM's LambdaRank takes."""

RANK_CONSTANT: Final = 10
"""The constant of the position scores by rank among the features, if the fusion merges scores and so has no constant.
Any value will do, because trees only compare position scores."""


class Reranker(Fusion):
    """Score of an item = logarithm of its score in the fusion + what trees add for its features.

    The trees learn from the validation cases, whose sequences no part was fitted on. Their number is chosen by
    cross-fitting among ``values_to_try`` if it is not given. It is 0, which is the fusion's order, unless trees beat
    that order by more than chance (:func:`jobs.models.ranking_trees.choose_tree_count`).

    Hyper-parameters
    ----------------
    rounds : int
        Number of trees. Without validation cases there is none.
    leaves : int
        Largest number of leaves of a tree.
    learning_rate : float
        Factor of what each tree adds.

    The others are described at :class:`jobs.models.fusion.Fusion`.

    Raises
    ------
    UsageError
        If the parts' lists may have more than ``MOST_CANDIDATES`` items together, or as :class:`Fusion` says.
    """

    family = "reranker"
    defaults = {**Fusion.defaults, "rounds": 0, "leaves": 7, "learning_rate": 0.05}
    allowed_values = {
        **Fusion.allowed_values,
        "rounds": Interval(at_least=0),
        "leaves": Interval(at_least=2),
    }
    values_to_try: ClassVar[Mapping[str, Sequence[Any]]] = {"rounds": [0, 10, 20, 40, 80, 160]}
    uses_prices = True

    def __init__(self, hyperparameters: Mapping[str, Any], part_models: Sequence[Model]) -> None:
        super().__init__(hyperparameters, part_models)
        depth = self.parameters["depth"]
        if depth * len(self.part_models) > MOST_CANDIDATES:
            raise UsageError(
                f"reranker's depth = {depth} is too large for {len(self.part_models)} parts: their lists may hold "
                f"{MOST_CANDIDATES:,} items together, so set at most {MOST_CANDIDATES // len(self.part_models)}"
            )
        self.trees: RankingTrees | None = None
        self._trees_without_each_fold: list[RankingTrees | None] = []

    def require_packages(self) -> None:
        """Raise UsageError if LightGBM, or an optional package of a part, is not installed."""
        import_lightgbm()
        super().require_packages()

    def fit(self, train_sequences: Sequences, validation: Cases, catalog: Catalog, fit_options: FitOptions) -> None:
        """Fit the parts, choose their weights, and train the trees on the validation cases.

        Raises
        ------
        UsageError
            If LightGBM, an optional dependency, is not installed.
        """
        self.require_packages()  # what is missing is said before the parts are fitted, which may take hours
        super().fit(train_sequences, validation, catalog, fit_options)
        self.item_history = ItemHistory.from_sequences(train_sequences, catalog)
        self.trees, self._trees_without_each_fold = None, []
        given = self.given_parameters.get("rounds")
        if not len(validation.targets) or given == 0:
            return
        rows = _rows_to_learn_from(len(validation.targets))
        inputs, targets = validation.inputs.take(rows), validation.targets[rows]
        excluded = None if fit_options.allow_repeats else inputs.keep_targets()
        fusion_scorer = self._fusion_scorer(catalog)
        features = FeatureTable(self.item_history, catalog)
        candidates = find_candidates(fusion_scorer, features, inputs, excluded, fusion_scorer.recommendable_mask)
        leaves, learning_rate = self.parameters["leaves"], self.parameters["learning_rate"]
        most = max(self.values_to_try["rounds"]) if given is None else given
        trees_without_each_fold = train_trees_without_each_fold(candidates, targets, most, leaves, learning_rate)
        if given is None:
            self.chosen_parameters["rounds"] = choose_tree_count(
                candidates, targets, self.values_to_try["rounds"], trees_without_each_fold
            )
        if count := self.chosen_parameters["rounds"]:
            self.trees = train_trees(candidates, targets, count, leaves, learning_rate)
            self._trees_without_each_fold = [trees and trees.first(count) for trees in trees_without_each_fold]

    def rank_validation_cases(
        self, validation: Cases, k: int, catalog: Catalog, allow_repeats: bool
    ) -> tuple[Ints, dict[str, float]]:
        """Return lists for the cases of each fold by trees that have learnt from the cases of the other folds alone."""
        if not self._trees_without_each_fold:
            return super().rank_validation_cases(validation, k, catalog, allow_repeats)
        rows = _rows_to_learn_from(len(validation.targets))
        place_among_rows = np.searchsorted(rows, np.arange(len(validation.targets)), side="right") - 1
        fold_of_case = fold_of_each_case(len(rows))[place_among_rows]
        fusion_scorer, features = self._fusion_scorer(catalog), FeatureTable(self.item_history, catalog)
        lists = np.full((len(validation.targets), k), -1, np.int32)
        for fold, trees in enumerate(self._trees_without_each_fold):
            of_fold = fold_of_case == fold
            scorer = RerankerScorer(fusion_scorer, features, trees) if trees else fusion_scorer
            _, lists[of_fold] = recommend(scorer, validation.inputs.take(of_fold), k, allow_repeats=allow_repeats)
        return lists, {}

    def refit(self, sequences: Sequences, catalog: Catalog, fit_options: FitOptions) -> Self:
        """Return a new reranker: parts and counts are fitted again on all sequences, the weights and trees are kept."""
        again = super().refit(sequences, catalog, fit_options)
        again.chosen_parameters, again.trees = dict(self.chosen_parameters), self.trees
        again.item_history = ItemHistory.from_sequences(sequences, catalog)
        return again

    def state(self) -> State:
        """Return the fusion's arrays, the item history, the number of trees, and the bytes of the trees' text."""
        trees = {"trees": np.frombuffer(self.trees.text.encode(), np.uint8)} if self.trees else {}
        return {
            **super().state(),
            **self.item_history.state(),
            **chosen_parameters_to_state(self.chosen_parameters),
            **trees,
        }

    def restore(self, state: State, training_catalog: Catalog) -> None:
        """Load what :meth:`state` returned."""
        super().restore(state, training_catalog)
        self.item_history = ItemHistory.from_state(state, training_catalog)
        self.chosen_parameters = chosen_parameters_from_state(state, self.parameters, [*self.values_to_try])
        self.trees = RankingTrees(state["trees"].tobytes().decode()) if "trees" in state else None

    def scorer(self, catalog: Catalog) -> Scorer:
        """Return a scorer that puts the fusion's merged list in the trees' order."""
        fusion_scorer = self._fusion_scorer(catalog)
        if self.trees is None:
            return fusion_scorer
        return RerankerScorer(fusion_scorer, FeatureTable(self.item_history, catalog), self.trees)


class RerankerScorer(Scorer):
    """Scorer that puts the merged list of a fusion's scorer in a new order.

    Parameters
    ----------
    fusion_scorer : FusionScorer
        It finds the candidates, and gives the reasons.
    feature_table : FeatureTable
    trees : RankingTrees
    """

    def __init__(self, fusion_scorer: FusionScorer, feature_table: FeatureTable, trees: RankingTrees) -> None:
        self.recommendable_mask = fusion_scorer.recommendable_mask
        self._fusion_scorer, self._feature_table, self._trees = fusion_scorer, feature_table, trees

    def top(
        self, sequences: Sequences, k: int, excluded_items: Sequences | None, allowed_mask: Bools
    ) -> tuple[Floats, Ints]:
        """Return the candidates with the largest scores; equal scores are ordered by item index."""

        def top_of_chunk(chunk: Sequences, excluded_items_of_chunk: Sequences | None) -> tuple[Floats, Ints]:
            candidates = find_candidates(
                self._fusion_scorer, self._feature_table, chunk, excluded_items_of_chunk, allowed_mask
            )
            return candidates.pairs.top_by_scores(self._trees.scores(candidates), len(chunk), k)

        return top_in_chunks(top_of_chunk, sequences, k, excluded_items, SEQUENCES_PER_CHUNK)

    def reason_items(self, sequences: Sequences, recommended_items: Ints, allowed_mask: Bools | None = None) -> Ints:
        """Return the fusion's reasons: that of the part which contributes most to an item's score in the fusion."""
        return self._fusion_scorer.reason_items(sequences, recommended_items, allowed_mask)


def _rows_to_learn_from(case_count: int) -> Longs:
    """Return the rows of the validation cases that the trees learn from, ascending: int64 array (rows,)."""
    return np.linspace(0, case_count - 1, min(case_count, CASES_TO_LEARN_FROM)).astype(np.int64)


def find_candidates(
    fusion_scorer: FusionScorer,
    feature_table: FeatureTable,
    sequences: Sequences,
    excluded_items: Sequences | None,
    allowed_mask: Bools,
) -> RankedCandidates:
    """Return the items of the fusion's merged list of each sequence, with their features.

    The features are, for each part, the position scores by rank and by score (:func:`position_scores`); the score in
    the fusion, alone and divided by the best of the list; and the number of parts that list the item. A larger value of
    these never lowers a score (``RankedCandidates.rising_count``). The features of
    :meth:`FeatureTable.features_of_pairs` follow.
    """
    lists = fusion_scorer.scored_lists_of_parts(sequences, excluded_items, allowed_mask)
    merges_scores = fusion_scorer.rank_constant is None
    rank_constant = RANK_CONSTANT if merges_scores else fusion_scorer.rank_constant
    ranked, scaled = (
        MergedLists.from_lists([(items, position_scores(scores, items, constant)) for scores, items in lists])
        for constant in (rank_constant, None)
    )
    merged = scaled if merges_scores else ranked
    sums = merged.weighted_sums(fusion_scorer.part_weights)
    is_listed = sums > -np.inf
    pairs, sums = merged.keep(is_listed), sums[is_listed].astype(np.float64)
    best = np.zeros(len(sequences))
    np.maximum.at(best, pairs.row_numbers, sums)
    places = np.concatenate(
        [
            ranked.part_scores[is_listed],
            scaled.part_scores[is_listed],
            sums[:, None],
            (sums / best[pairs.row_numbers])[:, None],
            (pairs.part_scores > 0).sum(axis=1, keepdims=True),
        ],
        axis=1,
    )
    others = feature_table.features_of_pairs(sequences, pairs.row_numbers, pairs.items)
    features = np.concatenate([places, others], axis=1).astype(np.float32)
    return RankedCandidates(pairs, features, places.shape[1], np.log(sums))
