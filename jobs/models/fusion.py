"""Fusion: a model that merges the recommendation lists of several models, called its parts, into one list.

Reciprocal-rank fusion: Cormack, Clarke & Büttcher 2009. Fusion is worthwhile if the parts rank the target high in
different cases: on the lists published with arXiv 2309.09261, merging the lists of LLM2BERT4Rec, V-SKNN and
LLMSeqSim gains a third in accuracy.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np

from jobs.core.arrays import Bools, Doubles, Floats, Ints, State
from jobs.core.cases import Cases
from jobs.core.catalog import Catalog
from jobs.core.sequences import Sequences
from jobs.errors import UsageError
from jobs.models.base import FitOptions, Model
from jobs.models.merged_lists import MergedLists, choose_part_weights, position_scores, row_item_keys
from jobs.models.scorer import Scorer, top_in_chunks

SEQUENCES_PER_CHUNK = 1024  # number of sequences ranked at once; it bounds the memory for all parts' lists


class Fusion(Model):
    """Score of an item = weighted sum of its position scores in the lists of the parts.

    A position score depends on the item's rank or score in a part's list (hyper-parameter ``method``). The weights of
    the parts are chosen on the validation cases by :func:`jobs.models.merged_lists.choose_part_weights`. A family that
    is named twice among the parts is fitted twice, with different seeds.

    Hyper-parameters
    ----------------
    parts : list of str
        Families of the models whose lists are merged.
    parameters : dict
        Hyper-parameters of the parts, by family. A hyper-parameter not given here has the family's value in the
        settings if ``nextmart train`` fits the fusion, and otherwise the family's default.
    method : str
        What the position score of an item in a part's list is: with ``reciprocal_rank`` 1 / (c + rank), with ``score``
        the part's score of the item, scaled to 0..1.
    constant : int
        The c of the reciprocal rank; the larger it is, the less the first ranks stand out.
    depth : int
        Length of each part's list.
    equal_weights : bool
        True gives all parts the same weight, without using the validation cases.
    """

    family = "fusion"
    defaults = {
        "parts": ["llm2sasrec", "vsknn", "llmseqsim", "ease"],
        "parameters": {},
        "method": "reciprocal_rank",
        "constant": 10,
        "depth": 100,
        "equal_weights": False,
    }
    allowed_values = {"method": ["reciprocal_rank", "score"]}
    uses_embeddings = True

    def __init__(self, hyperparameters: Mapping[str, Any], part_models: Sequence[Model]) -> None:
        super().__init__(hyperparameters)
        self.part_models = list(part_models)
        self.weights = np.full(len(self.part_models), 1 / len(self.part_models))

    @classmethod
    def require_valid_hyperparameter(cls, name: str, value: Any) -> None:
        """Raise UsageError if ``value`` is not allowed for hyper-parameter ``name``.

        The hyper-parameter ``parts`` has to list two model families at least.
        """
        super().require_valid_hyperparameter(name, value)
        if name == "parts" and len(value) < 2:
            raise UsageError(f"{cls.family}'s parts must be two families at least")

    @property
    def depends_on_seed(self) -> bool:
        """Whether the fitted model depends on the seed: it does if any part does."""
        return any(part.depends_on_seed for part in self.part_models)

    def can_reuse(self, fitted_model: Model) -> bool:
        """Whether ``fitted_model`` can serve as a part: it has the family and the hyper-parameters of one."""
        return any(_have_same_configuration(part, fitted_model) for part in self.part_models)

    def require_packages(self) -> None:
        """Raise UsageError if a part needs an optional package that is not installed."""
        for part in self.part_models:
            part.require_packages()

    def fit(self, train_sequences: Sequences, validation: Cases, catalog: Catalog, fit_options: FitOptions) -> None:
        """Fit each part, and choose the weights of the parts on the validation cases.

        A part is not fitted if ``fit_options.reusable_models`` has an equal model, which is then taken instead.
        """
        for index, part_fit_options in self._fit_options_of_parts(fit_options):
            reusable = self._reusable_model(index, part_fit_options, fit_options)
            if reusable:
                self.part_models[index] = reusable
            else:
                self.part_models[index].fit(train_sequences, validation, catalog, part_fit_options)
        if not self.parameters["equal_weights"] and len(validation.targets):
            scorer = self._fusion_scorer(catalog)
            exclude = None if fit_options.allow_repeats else validation.inputs.keep_targets()
            lists = scorer.lists_of_parts(validation.inputs, exclude, scorer.recommendable_mask)
            self.weights = choose_part_weights(MergedLists.from_lists(lists), validation.targets)

    def refit(self, sequences: Sequences, catalog: Catalog, fit_options: FitOptions) -> Self:
        """Return a new fusion: each part is fitted again on all sequences, and the weights are kept."""
        part_models = [
            self._reusable_model(index, part_fit_options, fit_options)
            or self.part_models[index].refit(sequences, catalog, part_fit_options)
            for index, part_fit_options in self._fit_options_of_parts(fit_options)
        ]
        fused = type(self)(self.given_parameters, part_models)
        fused.weights = self.weights
        return fused

    def state(self) -> State:
        """Return the weights and the learnt arrays of all parts, each name prefixed by the index of its part."""
        return {"weights": self.weights} | {
            f"{index}.{name}": value
            for index, part in enumerate(self.part_models)
            for name, value in part.state().items()
        }

    def restore(self, state: State, training_catalog: Catalog) -> None:
        """Load the weights and the learnt arrays of all parts."""
        self.weights = state["weights"]
        for index, part in enumerate(self.part_models):
            prefix = f"{index}."
            part_state = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
            part.restore(part_state, training_catalog)

    def scorer(self, catalog: Catalog) -> Scorer:
        """Return a scorer that merges the lists of the parts' scorers."""
        return self._fusion_scorer(catalog)

    def _fusion_scorer(self, catalog: Catalog) -> "FusionScorer":
        p = self.parameters
        constant = p["constant"] if p["method"] == "reciprocal_rank" else None
        return FusionScorer([part.scorer(catalog) for part in self.part_models], self.weights, p["depth"], constant)

    def _reusable_model(self, part_index: int, part_fit_options: FitOptions, fit_options: FitOptions) -> Model | None:
        """Return the already fitted model with a part's family, hyper-parameters and seed, or None if there is none."""
        part = self.part_models[part_index]
        fitted_model = fit_options.reusable_models.get(part.family)
        has_same_seed = part_fit_options.seed == fit_options.seed
        return fitted_model if fitted_model and has_same_seed and _have_same_configuration(part, fitted_model) else None

    def _fit_options_of_parts(self, fit_options: FitOptions) -> Iterator[tuple[int, FitOptions]]:
        """Yield the index of each part, and a copy of ``fit_options`` with that part's checkpoint and seed."""
        families = self.parameters["parts"]
        for index, family in enumerate(families):
            seed = fit_options.seed + 1000 * families[:index].count(family)
            path = fit_options.checkpoint_file
            yield (
                index,
                replace(fit_options, seed=seed, checkpoint_file=path and path.with_stem(f"{path.stem}-{index}")),
            )


def _have_same_configuration(model: Model, other_model: Model) -> bool:
    return (
        model.family == other_model.family
        and model.parameters == other_model.parameters
        and model.parameters_to_choose == other_model.parameters_to_choose
    )


class FusionScorer(Scorer):
    """Scorer that merges the lists of several scorers.

    Parameters
    ----------
    scorers : list of Scorer
        The scorers of the parts.
    part_weights : float64 array (parts,)
        Weight of each part.
    depth : int
        Length of each part's list.
    rank_constant : int or None
        Constant of reciprocal-rank fusion; None merges the parts' scores instead of their ranks.

    Attributes
    ----------
    part_weights, rank_constant
        The parameters of these names.
    """

    def __init__(self, scorers: list[Scorer], part_weights: Doubles, depth: int, rank_constant: int | None) -> None:
        self.recommendable_mask = np.logical_or.reduce([scorer.recommendable_mask for scorer in scorers])
        self.part_weights, self.rank_constant = part_weights, rank_constant
        self._scorers, self._depth = scorers, depth

    def lists_of_parts(
        self, sequences: Sequences, excluded_items: Sequences | None, allowed_mask: Bools
    ) -> list[tuple[Ints, Doubles]]:
        """Return each part's recommended items and their position scores (:func:`position_scores`).

        Returns
        -------
        list of (int32 array (sequences, depth), float64 array (sequences, depth)), one pair per part
            Items and position scores; -1 and 0 past the end of a shorter list.
        """
        return [
            (items, position_scores(scores, items, self.rank_constant))
            for scores, items in self.scored_lists_of_parts(sequences, excluded_items, allowed_mask)
        ]

    def scored_lists_of_parts(
        self, sequences: Sequences, excluded_items: Sequences | None, allowed_mask: Bools
    ) -> list[tuple[Floats, Ints]]:
        """Return each part's scores and recommended items, as :meth:`Scorer.top` returns them."""
        return [
            scorer.top(sequences, self._depth, excluded_items, allowed_mask & scorer.recommendable_mask)
            for scorer in self._scorers
        ]

    def top(
        self, sequences: Sequences, k: int, excluded_items: Sequences | None, allowed_mask: Bools
    ) -> tuple[Floats, Ints]:
        """Return the items with the largest weighted sums of position scores; equal sums are ordered by item index."""

        def top_of_chunk(chunk: Sequences, excluded_items_of_chunk: Sequences | None) -> tuple[Floats, Ints]:
            merged = MergedLists.from_lists(self.lists_of_parts(chunk, excluded_items_of_chunk, allowed_mask))
            return merged.top(self.part_weights, len(chunk), k)

        return top_in_chunks(top_of_chunk, sequences, k, excluded_items, SEQUENCES_PER_CHUNK)

    def reason_items(self, sequences: Sequences, recommended_items: Ints, allowed_mask: Bools | None = None) -> Ints:
        """Return, for each recommended item, the reason given by the part that contributes most to its score.

        If that part can't give a reason, the reason comes from the part with the next largest contribution.
        """
        reasons = super().reason_items(sequences, recommended_items)
        listable = self.recommendable_mask if allowed_mask is None else self.recommendable_mask & allowed_mask
        for start in range(0, len(sequences), SEQUENCES_PER_CHUNK):
            rows = np.arange(start, min(start + SEQUENCES_PER_CHUNK, len(sequences)))
            chunk, recommended = sequences.take(rows), recommended_items[rows]
            # A recommended list with targets of its own sequence was made with repeats allowed, so no item is excluded
            # when the parts' lists are made again.
            own = chunk.keep_targets()
            recommended_keys = row_item_keys(np.arange(len(chunk))[:, None], recommended)
            has_repeats = np.isin(recommended_keys, row_item_keys(own.row_of_each_item(), own.items)).any(axis=1)
            excluded = own.keep_last_items(np.where(has_repeats, 0, own.lengths))
            merged = MergedLists.from_lists(self.lists_of_parts(chunk, excluded, listable))
            contributions = merged.part_scores_of(recommended) * self.part_weights
            answers: dict[int, Ints] = {}
            for part_asked in np.moveaxis(np.argsort(-contributions, axis=2, kind="stable"), 2, 0):
                for part, scorer in enumerate(self._scorers):
                    is_asked = (part_asked == part) & (contributions[:, :, part] > 0) & (reasons[rows] < 0)
                    if (is_asked & (recommended >= 0)).any():
                        # a part's reasons depend on the whole list, so each part is asked once, for all its items
                        if part not in answers:
                            answers[part] = scorer.reason_items(chunk, recommended, allowed_mask)
                        reasons[rows] = np.where(is_asked, answers[part], reasons[rows])
        return reasons
