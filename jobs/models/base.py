"""The interface of every model family: a model is fitted on item sequences, then makes a scorer for a catalogue."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from jobs.core.arrays import Ints, State
from jobs.core.cases import NO_CASES, Cases
from jobs.core.catalog import Catalog
from jobs.core.sequences import Sequences
from jobs.errors import UsageError, nearest_name_hint
from jobs.models.hyperparameter_intervals import INTERVALS, Interval
from jobs.models.scorer import Scorer, recommend


@dataclass(frozen=True)
class FitOptions:
    """The options of a fit, such as its seed and its checkpoint file.

    Attributes
    ----------
    seed : int
        Seed of all random numbers.
    checkpoint_file : Path or None
        File in which a long fit saves its state after each epoch, so that a killed fit can resume.
    reusable_models : Mapping[str, Model]
        Models already fitted on exactly the same data, by family; a fit may reuse them (:meth:`Model.can_reuse`).
    allow_repeats : bool
        Whether a list may recommend items that its sequence already holds as targets; if so, validation ranks these
        items too.
    is_time_up : () -> bool or None
        Asked between two epochs of a fit that :attr:`Model.can_be_cut_short`: True ends the training there.
    """

    seed: int = 0
    checkpoint_file: Path | None = None
    reusable_models: Mapping[str, "Model"] = field(default_factory=dict)
    allow_repeats: bool = False
    is_time_up: Callable[[], bool] | None = None


class Model(ABC):
    """A recommendation model with its hyper-parameters; each subclass is a model family.

    Attributes
    ----------
    family : str
        The family's name in settings and tables.
    defaults : parameter -> value
        All hyper-parameters of the family with their default values; a default's type is the parameter's type.
    allowed_values : parameter -> Interval or words
        Allowed values of hyper-parameters; a numeric hyper-parameter missing here has its interval in ``INTERVALS``.
    uses_embeddings : bool
        Whether the family reads the catalogue's embeddings.
    uses_prices : bool
        Whether the family reads the catalogue's prices.
    can_be_cut_short : bool
        Whether :meth:`fit` is a training by epochs that ends early when ``FitOptions.is_time_up`` says so.
    values_to_try : hyper-parameter -> values
        Hyper-parameters that :meth:`fit` chooses itself if they are not given, each with the values that it tries. The
        list is empty where the family has another way to find the value.
    parameters : dict
        This model's hyper-parameters: the given values, and the defaults of all others.
    given_parameters : dict
        The given hyper-parameters only.
    chosen_parameters : dict
        The given or chosen value of each hyper-parameter in ``values_to_try``; before :meth:`fit`, as in
        ``parameters``.

    Raises
    ------
    UsageError
        If a given hyper-parameter is unknown in the family or its value is not allowed
        (:meth:`require_valid_hyperparameter`), if two hyper-parameters contradict each other, or if
        ``hyperparameters`` is no mapping: in the settings of a fusion, anything can stand for a part's parameters.
    """

    family: ClassVar[str]
    defaults: ClassVar[Mapping[str, Any]] = {}
    allowed_values: ClassVar[Mapping[str, Interval | Collection[str]]] = {}
    uses_embeddings: ClassVar[bool] = False
    uses_prices: ClassVar[bool] = False
    can_be_cut_short: ClassVar[bool] = False
    values_to_try: ClassVar[Mapping[str, Sequence[Any]]] = {}

    def __init__(self, hyperparameters: Mapping[str, Any] | None = None) -> None:
        if not isinstance(hyperparameters or {}, Mapping):
            raise UsageError(f"{self.family}'s parameters must be a table of names and values, not {hyperparameters!r}")
        self.given_parameters = dict(hyperparameters or {})
        for name, value in self.given_parameters.items():
            self.require_valid_hyperparameter(name, value)
        self.parameters: dict[str, Any] = {**self.defaults, **self.given_parameters}
        self.chosen_parameters = {name: self.parameters[name] for name in self.values_to_try}

    @property
    def parameters_to_choose(self) -> list[str]:
        """The hyper-parameters that :meth:`fit` chooses, since they are in ``values_to_try`` and not given."""
        return [name for name in self.values_to_try if name not in self.given_parameters]

    @classmethod
    def require_valid_hyperparameter(cls, name: str, value: Any) -> None:
        """Raise UsageError if the family has no hyper-parameter ``name``, or ``value`` is not allowed for it."""
        if name not in cls.defaults:
            raise UsageError(f"unknown parameter '{name}' of {cls.family}: {nearest_name_hint(name, cls.defaults)}")
        expected = type(cls.defaults[name])
        # types are compared exactly, because isinstance would accept a bool as an int
        if type(value) is not expected and not (expected is float and type(value) is int):
            raise UsageError(f"parameter '{name}' of {cls.family} must be of type {expected.__name__}, not {value!r}")
        allowed = cls.allowed_values.get(name) or INTERVALS.get(name)
        if allowed and value not in allowed:
            words = allowed if isinstance(allowed, Interval) else f"one of {', '.join(allowed)}"
            raise UsageError(f"{cls.family}'s {name} must be {words}, not {value!r}")

    @property
    def parameters_in_use(self) -> dict[str, Any]:
        """All hyper-parameters with the values that the model has after :meth:`fit`: chosen, given or default."""
        return {**self.parameters, **self.chosen_parameters}

    @property
    def depends_on_seed(self) -> bool:
        """Whether the fitted model depends on the seed; if not, experiments fit the model with one seed only."""
        return True

    def can_reuse(self, fitted_model: "Model") -> bool:
        """Whether :meth:`fit` can use ``fitted_model``, fitted on the same data and seed, instead of fitting anew."""
        return False

    def require_packages(self) -> None:  # noqa: B027 - most families need none
        """Raise UsageError if the model needs an optional package that is not installed."""

    @abstractmethod
    def fit(self, train_sequences: Sequences, validation: Cases, catalog: Catalog, fit_options: FitOptions) -> None:
        """Fit the model on ``train_sequences``, ordered from oldest to newest.

        The model is not trained on ``validation``. These cases only serve to choose: when to stop training, the values
        of the hyper-parameters in ``parameters_to_choose``, or the weights of a fusion's parts. Without validation
        cases ``chosen_parameters`` keeps its values. The reranker alone learns from the cases' targets; so it overrides
        :meth:`rank_validation_cases`.
        """

    def refit(self, sequences: Sequences, catalog: Catalog, fit_options: FitOptions) -> "Model":
        """Return a new model fitted on all sequences, with the choices that :meth:`fit` made on its validation cases.

        The newest sequences tell most about the next item. :meth:`fit` can't train on them, because they are its
        validation cases; ``refit`` trains on them too.
        """
        model = type(self)(self.given_parameters)
        model.chosen_parameters = dict(self.chosen_parameters)
        model.fit(sequences, NO_CASES, catalog, fit_options)
        return model

    @abstractmethod
    def state(self) -> State:
        """Return the learnt state as named arrays, from which :meth:`restore` rebuilds the fitted model."""

    @abstractmethod
    def restore(self, state: State, training_catalog: Catalog) -> None:
        """Load the learnt state that :meth:`state` returned.

        Parameters
        ----------
        state : array name -> array
        training_catalog : Catalog
            The catalogue that the model was fitted on: the same ``item_ids`` in the same order; it has no embeddings.
        """

    @abstractmethod
    def scorer(self, catalog: Catalog) -> Scorer:
        """Return a scorer of the items of ``catalog``, which may differ from the catalogue used in the fit."""

    def rank_validation_cases(
        self, validation: Cases, k: int, catalog: Catalog, allow_repeats: bool
    ) -> tuple[Ints, dict[str, float]]:
        """Return the lists by which the model is measured on the validation cases that :meth:`fit` got.

        A family whose :meth:`fit` learns from the targets of these cases overrides this method: a case's list must
        come from what the model has learnt from other cases. Otherwise the model would seem better than it is.

        Parameters
        ----------
        validation : Cases
            The cases that :meth:`fit` got.
        k : int
            The length of the lists.
        catalog : Catalog
            The catalogue that :meth:`fit` got.
        allow_repeats : bool
            As in :class:`FitOptions`.

        Returns
        -------
        int32 array (cases, k)
            Item indices, best first; -1 past the end of a shorter list.
        name -> float
            The scorer's fault rates (:meth:`jobs.models.scorer.Scorer.answer_fault_rates`).
        """
        scorer = self.scorer(catalog)
        _, lists = recommend(scorer, validation.inputs, k, allow_repeats=allow_repeats)
        return lists, scorer.answer_fault_rates()
