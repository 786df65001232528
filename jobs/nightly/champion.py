"""The rule that chooses the live model, which makes the recommendations. It takes arrays and returns decisions.

:mod:`jobs.nightly.promotion` reads what the rule needs from the warehouse, and writes what the rule decides.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from jobs.core.arrays import Bools, Doubles
from jobs.evaluation.comparison import Comparison, compare_case_values
from jobs.evaluation.interim_looks import CaseValuesAtLook, compare_over_interim_looks

SELECTION_K = 20
"""Length of the lists on which models are compared."""

WRONG_CHANGES = 0.05
"""The largest probability with which the live model may ever give way to a family that is no better, over
``LOOKS_COUNTED`` looks and all challengers together."""

LOOKS_COUNTED = 52
"""The newest looks at validation cases that count as evidence: a year of weekly ones. What was better in years before
may not be so any more."""

MIN_DIFFERING_CASES = 6
"""The fewest cases on which two models of one family must differ before the older one can count as better (sign test).
Of two equally good models, one is better on all of 5 such cases with a chance of 2 / 2^5 > 5 %, on all of 6 with
2 / 2^6 < 5 %."""


@dataclass(frozen=True, eq=False)
class Entrant:
    """A model that can become live, with its value of the selection metric on each validation case.

    Attributes
    ----------
    cases_hash : str or None
        The hash of the validation cases and their order; None if the cases are not known.
    case_values : float64 array (cases,)
        The selection metric's value of each case, as :func:`jobs.core.metrics.case_values_from_ranks` computes it.
    interim_looks_of_earlier_models : sequence of CaseValuesAtLook
        The cases and values of older models that differ from this one only in the data they were fitted on, oldest
        first. Each of them was measured on the validation cases of its time.
    is_new_case : bool array (cases,), optional
        Whether the case is newer than every case on which any earlier model was measured; None: all cases are.
    """

    model_version: str
    family: str
    cases_hash: str | None = None
    case_values: Doubles = field(default_factory=lambda: np.empty(0))
    interim_looks_of_earlier_models: Sequence[CaseValuesAtLook] = ()
    is_new_case: Bools | None = None

    @property
    def mean_value(self) -> float:
        """The mean of the selection metric over the validation cases; 0 if there is no case."""
        return float(self.case_values.mean()) if len(self.case_values) else 0.0

    @property
    def interim_looks(self) -> list[CaseValuesAtLook]:
        """The newest ``LOOKS_COUNTED`` looks, oldest first; the last is this model's own.

        Empty if this model's cases are not known.
        """
        if self.cases_hash is None:
            return []
        is_new = np.ones(len(self.case_values), np.bool_) if self.is_new_case is None else self.is_new_case
        last_look = CaseValuesAtLook(self.cases_hash, self.case_values, is_new)
        return [*self.interim_looks_of_earlier_models, last_look][-LOOKS_COUNTED:]


@dataclass(frozen=True, eq=False)
class Incumbent:
    """The model that is live before a decision, with the recorded reason why it became live.

    Attributes
    ----------
    why_unusable : str or None
        Why the model can't stay live, such as "its weights are gone"; None if it can.
    """

    entrant: Entrant
    live_reason: str
    is_pinned: bool = False
    why_unusable: str | None = None


@dataclass(frozen=True)
class Decision:
    """A decision about one model: whether it is live, and why.

    Attributes
    ----------
    opponent_version : str or None
        The model_version of the model with which this one was compared.
    comparison : Comparison or None
        The mean of this model's values less those of ``opponent_version``; None if the decision rests on no comparison.
    """

    model_version: str
    family: str
    is_live: bool
    reason: str
    opponent_version: str | None = None
    comparison: Comparison | None = None


def choose_live_model(entrants: Sequence[Entrant], incumbent: Incumbent | None) -> list[Decision]:
    """Choose the live model, and state for each model why it is live or not.

    - **No model is live yet**, or the live model can't stay (its weights are lost, or its family is not set any more)
      and no newer model of its family exists: the entrant with the best value wins, among the largest group of
      entrants that were measured on the same cases. Between equal values, or equally large groups, the first in
      ``entrants`` wins.
    - **A pinned model** stays live, however good the others are.
    - **Freshness**: otherwise the newest model of the incumbent's family takes the incumbent's place. It needs not be
      better, because it knows newer events. The older model stays only if both were measured on the same cases and the
      newer one is worse by more than noise.
    - **A challenger**, a model of another family, wins if it is better than the model that would stay live by more than
      noise: the interval of the mean paired difference is above zero. Each night on which models are measured is a
      look at the comparison. The difference is over the validation cases of all looks that both families share, and
      each case counts once. The interval allows for ``LOOKS_COUNTED`` looks and for all challengers: where all are
      equally good, the probability that any of them ever wins is at most ``WRONG_CHANGES``
      (:mod:`jobs.evaluation.interim_looks`). ``python -m benchmarks.champion`` simulates this, and how long a better
      model waits. Of several such challengers the one with the largest difference wins; between equal ones, the first.
      A family with other parameters than before starts without earlier looks.
    - **Models are compared only on the same cases** (``cases_hash``). An older model can't be tested on newer cases,
      because it may have learnt from them. Families that are trained in one night are measured on the same cases, and
      when one family gets too old, the train job trains all families. A family that was trained alone, because it is
      new or its parameters changed, is compared after the next night that trains all families.

    Test cases have no influence: no argument contains any.

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
        Decision(live.model_version, live.family, True, choice.reason, choice.opponent_version, choice.comparison)
    ]
    for entrant in entrants:
        if entrant.model_version != live.model_version:
            comparison = (
                compare_on_same_cases(entrant, live)
                if entrant.family == live.family
                else compare_families(entrant, live, len(_challengers(entrants, live)))
            )
            decisions.append(_decision_about_loser(entrant, live, comparison, choice.is_pinned))
    if incumbent and incumbent.entrant.model_version not in {decision.model_version for decision in decisions}:
        old = incumbent.entrant
        why = incumbent.why_unusable or f"{_live_family_in_words(live, old)} took its place"
        decisions.append(Decision(old.model_version, old.family, False, f"not live: {why}"))
    return decisions


def compare_on_same_cases(entrant: Entrant, opponent: Entrant) -> Comparison | None:
    """Compare two models on their validation cases; return None if the cases are not the same, or there are none."""
    if entrant.cases_hash is None or entrant.cases_hash != opponent.cases_hash or not len(entrant.case_values):
        return None
    return compare_case_values(entrant.case_values, opponent.case_values, with_p_value=False)


def compare_families(entrant: Entrant, opponent: Entrant, challenger_count: int) -> Comparison | None:
    """Compare models of two families over the cases of their shared looks.

    Return None if their newest validation cases are not the same, or if there are none.

    Parameters
    ----------
    challenger_count : int
        How many families are compared with the live one. The interval is wider, the more there are.
    """
    if entrant.cases_hash is None or entrant.cases_hash != opponent.cases_hash:
        return None
    return compare_over_interim_looks(
        entrant.interim_looks, opponent.interim_looks, WRONG_CHANGES / max(challenger_count, 1)
    )


def is_better_at_one_look(entrant: Entrant, opponent: Entrant) -> bool:
    """Tell whether ``entrant`` is better than ``opponent`` by more than noise, on the same validation cases."""
    comparison = compare_on_same_cases(entrant, opponent)
    if comparison is None or comparison.ci_low is None or comparison.ci_low <= 0:
        return False
    return bool(np.count_nonzero(entrant.case_values - opponent.case_values) >= MIN_DIFFERING_CASES)


@dataclass(frozen=True)
class _Choice:
    """The entrant that is to be live, with the reason and, if a comparison decided, that comparison."""

    entrant: Entrant
    reason: str
    opponent_version: str | None = None
    comparison: Comparison | None = None
    is_pinned: bool = False


def _choose_entrant(entrants: Sequence[Entrant], incumbent: Incumbent | None) -> _Choice | None:
    """Return the entrant that is to be live, with the reason; None if no model can be live."""
    defender = _find_defender(entrants, incumbent)
    if incumbent and defender and incumbent.is_pinned and not incumbent.why_unusable:
        return _Choice(defender, incumbent.live_reason, is_pinned=True)
    if defender is None:
        if not entrants:
            return None
        best = max(_largest_group_with_same_cases(entrants), key=lambda entrant: entrant.mean_value)
        return _Choice(best, "live: first model" if len(entrants) == 1 else f"live: best value, {best.mean_value:.4f}")
    challengers = _challengers(entrants, defender)
    comparisons = [(compare_families(entrant, defender, len(challengers)), entrant) for entrant in challengers]
    winners = [(comparison, entrant) for comparison, entrant in comparisons if _is_interval_above_zero(comparison)]
    if winners:
        comparison, winner = max(winners, key=lambda pair: pair[0].mean if pair[0] else 0.0)
        return _Choice(
            winner, f"live: {_difference_text(comparison)} over {defender.family}", defender.model_version, comparison
        )
    if incumbent and defender.model_version == incumbent.entrant.model_version:
        return _Choice(defender, incumbent.live_reason)
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

    The incumbent is that model if it is usable, and is either pinned or better than the newest model of its family.
    """
    if incumbent is None:
        return None
    newest = next((entrant for entrant in entrants if entrant.family == incumbent.entrant.family), None)
    if incumbent.why_unusable:
        return newest
    if incumbent.is_pinned or newest is None or is_better_at_one_look(incumbent.entrant, newest):
        return incumbent.entrant
    return newest


def _challengers(entrants: Sequence[Entrant], defender: Entrant) -> list[Entrant]:
    """Return the models of other families than the defender's."""
    return [entrant for entrant in entrants if entrant.family != defender.family]


def _is_interval_above_zero(comparison: Comparison | None) -> bool:
    """Tell whether the whole interval of a comparison is above zero."""
    return comparison is not None and comparison.ci_low is not None and comparison.ci_low > 0


def _decision_about_loser(
    loser: Entrant, live_entrant: Entrant, comparison: Comparison | None, is_live_pinned: bool
) -> Decision:
    """Return the decision that ``loser`` isn't live; the reason says how its metric differs from the live model's."""
    name = _live_family_in_words(live_entrant, loser)
    if comparison is None:
        why = f"not measured on the cases of {name}; that takes a night that trains both"
    elif _is_interval_above_zero(comparison):
        why = f"{_difference_text(comparison)} over {name}"
    elif comparison.ci_high is not None and comparison.ci_high < 0:
        why = f"{_difference_text(comparison)} against {name}, which is better"
    else:
        why = f"{_difference_text(comparison)} over {name} is within noise"
    pinned = f"; {name} is pinned" if is_live_pinned else ""
    opponent_version = live_entrant.model_version if comparison else None
    return Decision(loser.model_version, loser.family, False, f"not live: {why}{pinned}", opponent_version, comparison)


def _difference_text(comparison: Comparison | None) -> str:
    """Return the mean difference of two models and its interval as text; empty if there is no comparison."""
    return f"{comparison.mean:+.4f} [{comparison.ci_low:.4f}, {comparison.ci_high:.4f}]" if comparison else ""


def _live_family_in_words(live_entrant: Entrant, other_entrant: Entrant) -> str:
    """Return the live model's family; for an ``other_entrant`` of the same family, "another" and the family.

    The reason why ``other_entrant`` is not live names the live model so.
    """
    return f"another {live_entrant.family}" if live_entrant.family == other_entrant.family else live_entrant.family
