"""The interface of every model family: a model is fitted on sequences, and then gives a scorer for a catalogue."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from jobs.core.arrays import State
from jobs.core.cases import NO_CASES, Cases
from jobs.core.catalog import Catalog
from jobs.core.sequences import Sequences
from jobs.errors import UsageError, nearest
from jobs.models.parameters import INTERVALS, Interval
from jobs.models.scorer import Scorer


@dataclass(frozen=True)
class FitContext:
    """What a fit may use besides the data.

    Attributes
    ----------
    seed : int
        Decides everything random.
    checkpoint : Path or None
        Where a long fit keeps its state after each epoch, to go on after a kill.
    fitted : Mapping[str, Model]
        Models that were fitted before on the very same data, by family; others may take them, or what they learnt.
    allow_repeats : bool
        Whether lists will hold a sequence's own items, and so whether validation has to rank them too.
    """

    seed: int = 0
    checkpoint: Path | None = None
    fitted: Mapping[str, "Model"] = field(default_factory=dict)
    allow_repeats: bool = False


class Model(ABC):
    """A family of models with its hyper-parameters.

    Attributes
    ----------
    defaults : parameter -> value
        Every parameter that there is.
    allowed : parameter -> Interval or words
        What a parameter may be; numbers only where the family differs from ``INTERVALS``.

    Raises
    ------
    UsageError
        If a parameter is none of the family's or can't be what it is (:meth:`check`), or some don't go together.
    """

    family: ClassVar[str]
    defaults: ClassVar[Mapping[str, Any]] = {}
    allowed: ClassVar[Mapping[str, Interval | Collection[str]]] = {}
    uses_embeddings: ClassVar[bool] = False

    def __init__(self, parameters: Mapping[str, Any] | None = None) -> None:
        parameters = parameters or {}
        for name, value in parameters.items():
            self.check(name, value)
        self.parameters: dict[str, Any] = {**self.defaults, **parameters}

    @classmethod
    def check(cls, name: str, value: Any) -> None:
        """Raise UsageError for what a parameter can't be, whatever the others are."""
        if name not in cls.defaults:
            raise UsageError(f"unknown parameter '{name}' of {cls.family}: {nearest(name, cls.defaults)}")
        wanted = type(cls.defaults[name])
        # not isinstance: to Python, True is a number too
        if type(value) is not wanted and not (wanted is float and type(value) is int):
            raise UsageError(f"parameter '{name}' of {cls.family} must be of type {wanted.__name__}, not {value!r}")
        allowed = cls.allowed.get(name) or INTERVALS.get(name)
        if allowed and value not in allowed:
            words = allowed if isinstance(allowed, Interval) else f"one of {', '.join(allowed)}"
            raise UsageError(f"{cls.family}'s {name} must be {words}, not {value!r}")

    @property
    def is_random(self) -> bool:
        """Whether another seed gives another model; what is not random needs to be fitted but once."""
        return True

    def can_reuse(self, fitted: "Model") -> bool:
        """Whether a fit needn't do again what ``fitted`` learnt from the same data and seed (:class:`FitContext`)."""
        return False

    @abstractmethod
    def fit(self, train_sequences: Sequences, validation: Cases, catalog: Catalog, context: FitContext) -> None:
        """Learn from ``train_sequences``, the newest last; ``validation`` may only decide when to stop."""

    def refit(self, sequences: Sequences, catalog: Catalog, context: FitContext) -> "Model":
        """Return the model fitted on all there is, with what :meth:`fit` found out on its validation part.

        Newest sequences say most of what comes next, and validation takes them away.
        """
        model = type(self)(self.parameters)
        model.fit(sequences, NO_CASES, catalog, context)
        return model

    @abstractmethod
    def state(self) -> State:
        """Return what was learnt as named arrays, enough for :meth:`restore`."""

    @abstractmethod
    def restore(self, state: State, trained_on: Catalog) -> None:
        """Take back a state; ``trained_on`` has the item_ids of the fit, in its order (no embeddings)."""

    @abstractmethod
    def scorer(self, catalog: Catalog) -> Scorer:
        """Return the model ready for ``catalog``, whose items may be newer than the fit's."""
