"""Folds of the training part for a hyper-parameter search: each trains on older sequences and tests on newer ones."""

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from jobs.core.cases import Cases
from jobs.core.sequences import Sequences
from jobs.errors import NextmartError
from jobs.evaluation.validation_splits import forward_folds
from jobs.experiments.evaluation_data import EvaluationData, arrays_of_sequences, hold_out_validation
from jobs.settings import Settings
from jobs.warehouse.reading import cases_as_indices, sequences_as_indices


@dataclass(frozen=True)
class Fold:
    """One fold of the training part, as arrays of catalogue indices.

    Attributes
    ----------
    train : Sequences
        The sequences to fit on.
    validation : Cases
        The cases that decide when training stops.
    test : Cases
        The cases on which the fitted model is measured; they too come from the training part of the split.
    """

    train: Sequences
    validation: Cases
    test: Cases

    def arrays_to_hash(self) -> list[npt.NDArray[Any]]:
        """Return all arrays of the fold, for the hash of a hyper-parameter search that uses the fold."""
        parts = (self.train, self.validation.inputs, self.test.inputs)
        flat = [array for sequences in parts for array in arrays_of_sequences(sequences)]
        return [*flat, self.validation.targets, self.test.targets]


def make_folds(evaluation_data: EvaluationData, settings: Settings) -> list[Fold]:
    """Cut the training part into forward folds, each with validation cases that decide when training stops.

    Raises
    ------
    NextmartError
        If the training part has too few sequences.
    """
    folds = []
    try:
        splits = forward_folds(evaluation_data.split.train, allow_repeats=evaluation_data.allow_repeats)
    except ValueError as error:
        raise NextmartError(f"the training part is too short for a search: {error}") from error
    for split in splits:
        train, validation = hold_out_validation(split, settings)
        folds.append(
            Fold(
                sequences_as_indices(train, evaluation_data.catalog).newest(evaluation_data.training_sequences),
                cases_as_indices(validation, evaluation_data.catalog),
                cases_as_indices(split.test, evaluation_data.catalog),
            )
        )
    return folds
