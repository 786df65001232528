"""The rule that chooses the live model, which makes the recommendations. It takes arrays and returns decisions.

:mod:`jobs.nightly.promotion` reads what the rule needs from the warehouse, and writes what the rule decides.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from jobs.core.arrays import Doubles
from jobs.evaluation import comparison
from jobs.evaluation.comparison import Comparison

SELECTION_K = 20
"""Length of the lists on which models are compared."""

MIN_DIFFERING_CASES = 6
"""The fewest cases on which two models must differ before one of them can count as better (sign test). Of two equally
good models, one is better on all of 5 such cases with a chance of 2 / 2^5 > 5 %, on all of 6 with 2 / 2^6 < 5 %."""


@dataclass(frozen=True, eq=False)
class Entrant:
    """A model that can become live, with its value of the selection metric on each validation case.

    Attributes
    ----------
    cases_hash : str or None
        The hash of the validation cases and their order; None if the cases are not known.
    values : float64 array (cases,)
        The selection metric's value of each case, as :func:`jobs.core.metrics.metric_from_ranks` computes it.
    """

    model_version: str
    family: str
    cases_hash: str | None = None
    values: Doubles = field(default_factory=lambda: np.empty(0))

    @property
    def mean_value(self) -> float:
        """The mean of the selection metric over the validation cases; 0 if there is no case."""
        return float(self.values.mean()) if len(self.values) else 0.0


@dataclass(frozen=True, eq=False)
class Incumbent:
    """The model that is live before a decision, with the recorded reason why it became live.

    Attributes
    ----------
    why_unusable : str or None
        Why the model can't stay live, such as "its weights are gone"; None if it can.
    """

    entrant: Entrant
    reason: str
    is_pinned: bool = False
    why_unusable: str | None = None


@dataclass(frozen=True)
class Decision:
    """A decision about one model: whether it is live, and why.

    Attributes
    ----------
    compared_with : str or None
        The model_version of the other model of ``comparison``.
    comparison : Comparison or None
        This model's values less those of ``compared_with``; None if the decision rests on no comparison.
    """

    model_version: str
    family: str
    is_live: bool
    reason: str
    compared_with: str | None = None
    comparison: Comparison | None = None


def choose_live_model(entrants: Sequence[Entrant], incumbent: Incumbent | None) -> list[Decision]:
    """Choose the live model, and state for each model why it is live or not.

    - **No model is live yet**, or the live model can't stay and no newer model of its family exists (lost weights, a
      family that is not set any more): the entrant with the best value wins, among the largest group of entrants that
      were measured on the same cases. Between equal values, or equally large groups, the first in ``entrants`` wins.
    - **A pinned model** stays live, however good the others are.
    - **Freshness**: otherwise the newest model of the incumbent's family takes the incumbent's place. It needs not be
      better, because it knows newer events. The older model stays only if both were measured on the same cases and the
      newer one is worse by more than noise.
    - **A challenger**, a model of another family, wins if it is better than the model that would stay live by more than
      noise: the paired difference on the same validation cases has a 95 % bootstrap interval above zero, and the two
      differ on at least ``MIN_DIFFERING_CASES`` cases. Of several such challengers the one with the best value wins;
      between equal values, the first.
    - **Models are compared only on the same cases** (``cases_hash``). An older model can't be tested on newer cases,
      because it may have learnt from them. Families that are trained in one night are measured on the same cases, and
      when one family gets too old, the train job trains all families. A family that was trained alone, because it is
      new or its parameters changed, is compared after the next night that trains all families.

    Each challenger is judged separately: of n challengers that are exactly as good as the incumbent, one wins by chance
    with a probability of up to about n * 3.5 %. Exact intervals would give 2.5 %; the bootstrap's are too narrow where
    few cases differ (simulated: 3.5 % on 50 cases, 3.3 % on 500, 2.4 % on 2,000). Test cases have no influence: no
    argument contains any.

    Parameters
    ----------
    entrants : sequence of Entrant
        The newest usable model of each family, in the order of ``settings.models``.
    incumbent : Incumbent, optional

    Returns
    -------
    list of Decision
        The live model first, then the other entrants, then the incumbent if it is none of these; empty if there is no
        model. Idempotent: deciding again with the chosen model as incumbent chooses the same model.
    """
    choice = _choose_entrant(entrants, incumbent)
    if choice is None:
        return []
    live = choice.entrant
    decisions = [
        Decision(live.model_version, live.family, True, choice.reason, choice.compared_with, choice.comparison)
    ]
    for entrant in entrants:
        if entrant.model_version != live.model_version:
            decisions.append(_decision_about_loser(entrant, live, choice.is_pinned))
    if incumbent and incumbent.entrant.model_version not in {decision.model_version for decision in decisions}:
        old = incumbent.entrant
        why = incumbent.why_unusable or f"{_live_model_name(live, old)} took its place"
        decisions.append(Decision(old.model_version, old.family, False, f"not live: {why}"))
    return decisions


def compare_on_same_cases(entrant: Entrant, opponent: Entrant) -> Comparison | None:
    """Compare two models on their validation cases; return None if the cases are not the same, or there are none."""
    if entrant.cases_hash is None or entrant.cases_hash != opponent.cases_hash or not len(entrant.values):
        return None
    return comparison.compare(entrant.values, opponent.values, with_p_value=False)


def is_better(entrant: Entrant, opponent: Entrant) -> bool:
    """Tell whether ``entrant`` is better than ``opponent`` by more than noise, on the same validation cases."""
    difference = compare_on_same_cases(entrant, opponent)
    if difference is None or difference.ci_low is None or difference.ci_low <= 0:
        return False
    return bool(np.count_nonzero(entrant.values - opponent.values) >= MIN_DIFFERING_CASES)


@dataclass(frozen=True)
class _Choice:
    """The entrant that is to be live, with the reason and, if a comparison decided, that comparison."""

    entrant: Entrant
    reason: str
    compared_with: str | None = None
    comparison: Comparison | None = None
    is_pinned: bool = False


def _choose_entrant(entrants: Sequence[Entrant], incumbent: Incumbent | None) -> _Choice | None:
    """Return the entrant that is to be live, with the reason; None if no model can be live."""
    defender = _find_defender(entrants, incumbent)
    if incumbent and defender and incumbent.is_pinned and not incumbent.why_unusable:
        return _Choice(defender, incumbent.reason, is_pinned=True)
    if defender is None:
        if not entrants:
            return None
        best = max(_largest_group_with_same_cases(entrants), key=lambda entrant: entrant.mean_value)
        return _Choice(best, "live: first model" if len(entrants) == 1 else f"live: best value, {best.mean_value:.4f}")
    winners = [entrant for entrant in entrants if is_better(entrant, defender)]
    if winners:
        winner = max(winners, key=lambda entrant: entrant.mean_value)
        difference = compare_on_same_cases(winner, defender)
        return _Choice(
            winner, f"live: {_difference_text(difference)} over {defender.family}", defender.model_version, difference
        )
    if incumbent and defender.model_version == incumbent.entrant.model_version:
        return _Choice(defender, incumbent.reason)
    return _Choice(defender, "live: newest model of the family that was live")


def _largest_group_with_same_cases(entrants: Sequence[Entrant]) -> Sequence[Entrant]:
    """Return the largest group of entrants that were measured on the same cases; all entrants if no cases are known."""
    groups = Counter(entrant.cases_hash for entrant in entrants if entrant.cases_hash is not None)
    if not groups:
        return entrants
    [(cases_hash, _)] = groups.most_common(1)
    return [entrant for entrant in entrants if entrant.cases_hash == cases_hash]


def _find_defender(entrants: Sequence[Entrant], incumbent: Incumbent | None) -> Entrant | None:
    """Return the model that challengers have to beat: the newest model of the incumbent's family, or the incumbent.

    The incumbent defends if it is usable, and pinned or better than the newest model of its family.
    """
    if incumbent is None:
        return None
    newest = next((entrant for entrant in entrants if entrant.family == incumbent.entrant.family), None)
    if incumbent.why_unusable:
        return newest
    if incumbent.is_pinned or newest is None or is_better(incumbent.entrant, newest):
        return incumbent.entrant
    return newest


def _decision_about_loser(entrant: Entrant, live: Entrant, live_is_pinned: bool) -> Decision:
    """Return the decision that an entrant doesn't become live; the reason compares it with the chosen model."""
    difference = compare_on_same_cases(entrant, live)
    name = _live_model_name(live, entrant)
    if difference is None:
        why = f"not measured on the cases of {name}; that takes a night that trains both"
    elif is_better(entrant, live):
        why = f"{_difference_text(difference)} over {name}"
    elif difference.ci_high is not None and difference.ci_high < 0:
        why = f"{_difference_text(difference)} against {name}, which is better"
    else:
        why = f"{_difference_text(difference)} over {name} is within noise"
    pinned = f"; {name} is pinned" if live_is_pinned else ""
    compared_with = live.model_version if difference else None
    return Decision(entrant.model_version, entrant.family, False, f"not live: {why}{pinned}", compared_with, difference)


def _difference_text(difference: Comparison | None) -> str:
    """Return the mean difference of two models and its interval as text; empty if there is no comparison."""
    return f"{difference.mean:+.4f} [{difference.ci_low:.4f}, {difference.ci_high:.4f}]" if difference else ""


def _live_model_name(live: Entrant, other: Entrant) -> str:
    """Return the live model's name in a reason about ``other``: its family, after "another" if both have the same."""
    return f"another {live.family}" if live.family == other.family else live.family
