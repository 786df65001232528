"""The rule that decides which families a run of the train job can train within the setting ``training_minutes``.

A family of which a model was trained to its end before, with the same recipe, is trained if the time that it should
take is left (:mod:`jobs.nightly.expected_fit_times`), and then to its end. A network without such a model may take
hours: it is trained if half of all the time is left, and its training is cut short when the time is up.
"""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

from jobs.models.base import Model
from jobs.models.fusion import Fusion
from jobs.nightly.expected_fit_times import ExpectedFitTimes
from jobs.warehouse.clock import monotonic_seconds

ALWAYS_TRAINED = "popularity"
"""The family that is trained even if no time is left: it takes seconds, so that there is always a model."""

CHEAP_FIRST = (
    "popularity", "llmseqsim", "sknn", "vsknn", "sknnemb", "markov", "itemknn", "ease",
    "gru4rec", "llm2gru4rec", "sasrec", "llm2sasrec", "bert4rec", "llm2bert4rec", "llmseqprompt", "fusion",
    "reranker",
)  # fmt: skip
"""All families in the order in which they are trained as long as no earlier model tells how long they take."""


class TimeLimit:
    """Tells a fit, each time it asks, whether its time is up.

    Attributes
    ----------
    has_cut_a_fit : bool
        Whether a fit was told that its time is up.
    """

    def __init__(self, ends_at: float) -> None:
        self._ends_at = ends_at
        self.has_cut_a_fit = False

    def __call__(self) -> bool:
        """Return whether the time is up."""
        self.has_cut_a_fit = self.has_cut_a_fit or monotonic_seconds() >= self._ends_at
        return self.has_cut_a_fit


class TrainingBudget:
    """The time that a run of the train job has, and which families it can train in that time.

    Parameters
    ----------
    minutes : float
        The setting ``training_minutes``.
    started_at : float
        When the run started, as :func:`jobs.warehouse.clock.monotonic_seconds` returns it.
    models : family -> Model
        The unfitted model of each family of the setting ``models``.
    fit_times : ExpectedFitTimes
        How long the fit of each of these families should take.
    """

    def __init__(
        self, minutes: float, started_at: float, models: Mapping[str, Model], fit_times: ExpectedFitTimes
    ) -> None:
        self.minutes = minutes
        self._ends_at = started_at + 60 * minutes
        self._models = models
        self._fit_times = fit_times

    @property
    def seconds_left(self) -> float:
        """The time that is left; 0 once the run has taken longer than it should."""
        return max(0.0, self._ends_at - monotonic_seconds())

    def order(self, due_families: Sequence[str], runs_left_out: Mapping[str, int]) -> list[str]:
        """Return the families in the order of training: those left out for the most runs first, then the cheap ones.

        A family of which no fit is known counts as dear as the dearest family before it in ``CHEAP_FIRST``. A fusion
        comes after the others; where it was left out, its parts go first with it.

        Parameters
        ----------
        runs_left_out : family -> int
            In how many runs, one after another, the family was left out until now.
        """
        seconds: dict[str, float] = {}
        for family in sorted(due_families, key=CHEAP_FIRST.index):
            known = self._fit_times.seconds(family, count_cut_fits=True)
            dearest_before = max(seconds.values(), default=0.0)
            if known is None:
                seconds[family] = dearest_before
            else:
                seconds[family] = max(known, dearest_before) if isinstance(self._models[family], Fusion) else known
        runs = {family: runs_left_out.get(family, 0) for family in due_families}
        for family in due_families:
            if isinstance(fusion := self._models[family], Fusion):
                for part in fusion.part_models:
                    if part.family in runs:
                        runs[part.family] = max(runs[part.family], runs[family])
        return sorted(due_families, key=lambda family: (-runs[family], seconds[family], CHEAP_FIRST.index(family)))

    def can_train(self, family: str, fitted_models: Mapping[str, Model]) -> bool:
        """Tell whether enough time is left to train a family; of ``popularity`` it always is.

        Parameters
        ----------
        fitted_models : family -> Model
            The models that this run has fitted so far; a fusion need not fit them again.
        """
        return family == ALWAYS_TRAINED or 0 < self.seconds_left >= self.needed_seconds(family, fitted_models)

    def needed_seconds(self, family: str, fitted_models: Mapping[str, Model]) -> float:
        """Return the time that has to be left for a family; 0 for a family that can't be cut short and is not known."""
        known = self._fit_times.seconds(family)
        needed = known or 0.0
        if isinstance(fusion := self._models[family], Fusion):
            for part in self._parts_to_fit(fusion, fitted_models):
                if part.family in self._models and (known is None or fusion.can_reuse(self._models[part.family])):
                    needed += self._fit_times.seconds(part.family) or 0.0
        return max(needed, 30 * self.minutes) if self.may_be_cut_short(family, fitted_models) else needed

    def may_be_cut_short(self, family: str, fitted_models: Mapping[str, Model]) -> bool:
        """Tell whether a network has to be trained for this family of which no whole fit tells how long it takes."""
        model = self._models[family]
        if not isinstance(model, Fusion):
            return model.can_be_cut_short and not self._fit_times.has_whole_fit(family)
        return any(
            part.can_be_cut_short
            and not self._fit_times.has_whole_fit(part.family if part.family in self._models else family)
            for part in self._parts_to_fit(model, fitted_models)
        )

    def why_left_out(self, family: str, fitted_models: Mapping[str, Model], *, has_model: bool) -> str:
        """Return a line for people on a family that is left out: what it needs, what is left, and what comes next.

        Parameters
        ----------
        has_model : bool
            Whether the family has an earlier model that can be used.
        """
        left, needed = self.seconds_left / 60, self.needed_seconds(family, fitted_models) / 60
        of_all = f"of the {self.minutes:g} training_minutes"
        if self.may_be_cut_short(family, fitted_models) and needed <= self.minutes / 2:
            why = f"no earlier model tells how long it takes, so half {of_all} must be left, and {left:.1f} are"
        elif needed:
            why = f"it needs about {needed:.1f} minutes, and {left:.1f} {of_all} are left"
        else:
            why = f"nothing {of_all} is left"
        needed_alone = self.needed_seconds(family, {}) / 60
        # what does not fit when it comes first does not fit the next time either
        if needed_alone > self.minutes or not fitted_models:
            next_step = f"set training_minutes to {ceil(max(needed_alone, self.minutes)) + 1} or more to train it"
        else:
            next_step = "it comes first in the next run"
        before = "its earlier model stays in use" if has_model else "it has no model that can be used"
        return f"{family} is left out: {why}; {before}; {next_step}"

    def left_out_entry(
        self, family: str, fitted_models: Mapping[str, Model], runs_left_out: Mapping[str, int]
    ) -> dict[str, Any]:
        """Return what the detail of the run has on a family that is left out.

        Parameters
        ----------
        runs_left_out : family -> int
            In how many runs, one after another, the family was left out before this one.
        """
        return {
            "family": family,
            "needed_minutes": round(self.needed_seconds(family, fitted_models) / 60, 2),
            "minutes_left": round(self.seconds_left / 60, 2),
            "runs_in_a_row": runs_left_out.get(family, 0) + 1,
        }

    def time_limit(self) -> TimeLimit:
        """Return the limit of a first fit that starts now: half of the time left, since a refit takes about as long."""
        return TimeLimit(monotonic_seconds() + self.seconds_left / 2)

    def _parts_to_fit(self, fusion: Fusion, fitted_models: Mapping[str, Model]) -> list[Model]:
        """Return the parts that the fusion has to fit itself."""
        return [
            part
            for part in fusion.part_models
            if part.family not in fitted_models or not fusion.can_reuse(fitted_models[part.family])
        ]
