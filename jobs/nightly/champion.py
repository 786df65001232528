"""The rule that chooses the live model, the one that recommends. Arrays in, verdicts out.

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

FEWEST_DIFFERENCES = 6
"""The fewest cases on which two models must differ before one of them can count as better (sign test). Of two equally
good models, one is better on all of 5 such cases with a chance of 2 / 2^5 > 5 %, on all of 6 with 2 / 2^6 < 5 %."""


@dataclass(frozen=True, eq=False)
class Entrant:
    """A fitted model with its value of the selection metric on each validation case.

    Attributes
    ----------
    cases_hash : str or None
        The hash of the validation cases and their order; None if the cases are not known.
    values : float64 array (cases,)
        As :func:`jobs.core.metrics.rank_values` gives them for the selection metric.
    """

    model_version: str
    family: str
    cases_hash: str | None = None
    values: Doubles = field(default_factory=lambda: np.empty(0))

    @property
    def value(self) -> float:
        """The mean value over the cases; 0 if there is no case."""
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
class Verdict:
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


def decide(entrants: Sequence[Entrant], incumbent: Incumbent | None) -> list[Verdict]:
    """Choose the live model, and state for each model why it is live or not.

    - **No model is live yet**, or the live model can't stay and no newer model of its family exists (lost weights, a
      family that is not set any more): the entrant with the best value wins, among the entrants that share their cases
      with the most others. Between equal values, or equally large groups, the first in ``entrants`` wins.
    - **A pinned model** stays live, however good the others are.
    - **Freshness**: otherwise the newest model of the incumbent's family takes the incumbent's place. It needs not be
      better, because it knows newer events. The older model stays only if both were measured on the same cases and the
      newer one is worse by more than noise.
    - **A challenger**, a model of another family, wins if it is better than that model by more than noise: the paired
      difference on the same validation cases has a 95 % bootstrap interval above zero, and the two differ on at least
      ``FEWEST_DIFFERENCES`` cases. Of several such challengers the one with the best value wins; between equal values,
      the first.
    - **Models are compared only on the same cases** (``cases_hash``). To measure an older model on newer cases would be
      no test: it may have learnt from them. Families that are trained in one night share their cases, and the train job
      trains all of them together when one gets too old. A family that was trained alone in between (another parameter,
      a new family) waits until then.

    Each challenger is judged separately: of n challengers that are exactly as good as the incumbent, one wins by chance
    with a probability of up to about n * 3.5 %. Exact intervals would give 2.5 %; the bootstrap's are too narrow where
    few cases differ (simulated: 3.5 % on 50 cases, 3.3 % on 500, 2.4 % on 2,000). Test cases have no influence: no
    argument contains them.

    Parameters
    ----------
    entrants : sequence of Entrant
        The newest usable model of each family, in the order of ``settings.models``.
    incumbent : Incumbent, optional

    Returns
    -------
    list of Verdict
        The live model first, then the other entrants, then an incumbent that is neither; empty if there is no model.
        Idempotent: deciding again with the chosen model as incumbent chooses the same model.
    """
    choice = _choose(entrants, incumbent)
    if choice is None:
        return []
    live = choice.entrant
    verdicts = [Verdict(live.model_version, live.family, True, choice.reason, choice.compared_with, choice.comparison)]
    for entrant in entrants:
        if entrant.model_version != live.model_version:
            verdicts.append(_verdict_on_loser(entrant, live, choice.is_pinned))
    if incumbent and incumbent.entrant.model_version not in {verdict.model_version for verdict in verdicts}:
        old = incumbent.entrant
        why = incumbent.why_unusable or f"{_name_of(live, old)} took its place"
        verdicts.append(Verdict(old.model_version, old.family, False, f"not live: {why}"))
    return verdicts


def compare(one: Entrant, other: Entrant) -> Comparison | None:
    """Compare ``one`` with ``other`` on their validation cases; return None if these are not the same, or empty."""
    if one.cases_hash is None or one.cases_hash != other.cases_hash or not len(one.values):
        return None
    return comparison.compare(one.values, other.values, with_p_value=False)


def is_better(one: Entrant, other: Entrant) -> bool:
    """Tell whether ``one`` is better than ``other`` by more than noise, on the same validation cases."""
    gap = compare(one, other)
    if gap is None or gap.ci_low is None or gap.ci_low <= 0:
        return False
    return bool(np.count_nonzero(one.values - other.values) >= FEWEST_DIFFERENCES)


@dataclass(frozen=True)
class _Choice:
    """The entrant chosen to be live, why, and the comparison by which it won, if it had to win one."""

    entrant: Entrant
    reason: str
    compared_with: str | None = None
    comparison: Comparison | None = None
    is_pinned: bool = False


def _choose(entrants: Sequence[Entrant], incumbent: Incumbent | None) -> _Choice | None:
    """Return the choice of the live model; None if there is no entrant to choose and no incumbent to keep."""
    defender = _defender(entrants, incumbent)
    if incumbent and defender and incumbent.is_pinned and not incumbent.why_unusable:
        return _Choice(defender, incumbent.reason, is_pinned=True)
    if defender is None:
        if not entrants:
            return None
        best = max(_largest_group(entrants), key=lambda entrant: entrant.value)  # of equal ones the first
        return _Choice(best, "live: first model" if len(entrants) == 1 else f"live: best value, {best.value:.4f}")
    winners = [entrant for entrant in entrants if is_better(entrant, defender)]
    if winners:
        winner = max(winners, key=lambda entrant: entrant.value)  # of equal ones the first
        gap = compare(winner, defender)
        return _Choice(winner, f"live: {_gap_text(gap)} over {defender.family}", defender.model_version, gap)
    if incumbent and defender.model_version == incumbent.entrant.model_version:
        return _Choice(defender, incumbent.reason)
    return _Choice(defender, "live: newest model of the family that was live")


def _largest_group(entrants: Sequence[Entrant]) -> Sequence[Entrant]:
    """Return the entrants that share their cases with the most others; all entrants if no cases are known."""
    groups = Counter(entrant.cases_hash for entrant in entrants if entrant.cases_hash is not None)
    if not groups:
        return entrants
    [(cases_hash, _)] = groups.most_common(1)  # of equal ones the first
    return [entrant for entrant in entrants if entrant.cases_hash == cases_hash]


def _defender(entrants: Sequence[Entrant], incumbent: Incumbent | None) -> Entrant | None:
    """Return the model that challengers have to beat: the incumbent, or the newest model of its family."""
    if incumbent is None:
        return None
    newest = next((entrant for entrant in entrants if entrant.family == incumbent.entrant.family), None)
    if incumbent.why_unusable:
        return newest
    if incumbent.is_pinned or newest is None or is_better(incumbent.entrant, newest):
        return incumbent.entrant
    return newest


def _verdict_on_loser(entrant: Entrant, live: Entrant, is_pinned: bool) -> Verdict:
    """Return why an entrant is not live, by its comparison with the live model."""
    gap = compare(entrant, live)
    name = _name_of(live, entrant)
    if gap is None:
        why = f"not measured on the cases of {name}; that takes a night that trains both"
    elif is_better(entrant, live):
        why = f"{_gap_text(gap)} over {name}"
    elif gap.ci_high is not None and gap.ci_high < 0:
        why = f"{_gap_text(gap)} against {name}, which is better"
    else:
        why = f"{_gap_text(gap)} over {name} is within noise"
    pinned = f"; {name} is pinned" if is_pinned else ""
    compared_with = live.model_version if gap else None
    return Verdict(entrant.model_version, entrant.family, False, f"not live: {why}{pinned}", compared_with, gap)


def _gap_text(gap: Comparison | None) -> str:
    """Return a difference and its interval as reasons show them."""
    return f"{gap.mean:+.4f} [{gap.ci_low:.4f}, {gap.ci_high:.4f}]" if gap else ""


def _name_of(live: Entrant, other: Entrant) -> str:
    """Return the live model's family, as a reason about the other model names it."""
    return f"another {live.family}" if live.family == other.family else live.family
