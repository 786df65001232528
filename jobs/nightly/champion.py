"""Which model is live: the rule, on arrays alone. What it reads and writes stands in ``jobs/promotion.py``."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from jobs.core.arrays import Doubles
from jobs.core.bootstrap import bootstrap_interval

SELECTION_K = 20
"""Length of the lists on which models are compared."""

FEWEST_DIFFERENCES = 6
"""Cases on which two models must differ for a difference to be more than noise. Were both equally good, one of them
would be the better on all of 5 such cases with a chance of 2 / 2^5 > 5 %, of 6 with 2 / 2^6 < 5 % (sign test)."""


@dataclass(frozen=True, eq=False)
class Entrant:
    """A fitted model with what each validation case adds to its value.

    Attributes
    ----------
    values : float64 array (cases,)
        As :func:`jobs.core.metrics.rank_values` gives them for the selection metric.
    cases_hash : str or None
        Names the cases and their order; None where they are not known.
    """

    model_version: str
    family: str
    cases_hash: str | None = None
    values: Doubles = field(default_factory=lambda: np.empty(0))

    @property
    def value(self) -> float:
        """The mean over the cases; 0 without a case."""
        return float(self.values.mean()) if len(self.values) else 0.0


@dataclass(frozen=True, eq=False)
class Incumbent:
    """The model that is live now, with the reason that was written down when it became so.

    Attributes
    ----------
    why_unusable : str or None
        Why it can't stay, where it can't: "its weights are gone".
    """

    entrant: Entrant
    reason: str
    is_pinned: bool = False
    why_unusable: str | None = None


@dataclass(frozen=True)
class Comparison:
    """A paired difference of two models' means over the same cases, with its 95 % bootstrap interval."""

    compared_with: str
    difference: float
    ci_low: float
    ci_high: float
    is_better: bool

    def __str__(self) -> str:
        return f"{self.difference:+.4f} [{self.ci_low:.4f}, {self.ci_high:.4f}]"


@dataclass(frozen=True)
class Verdict:
    """What a decision says of one model."""

    model_version: str
    family: str
    is_live: bool
    reason: str
    comparison: Comparison | None = None


def decide(entrants: Sequence[Entrant], incumbent: Incumbent | None) -> list[Verdict]:
    """Choose the live model, and say of each model why it is or isn't.

    - **Nothing is live yet**, or what is can neither stay nor be followed by its family (lost weights, a family that
      is no longer set): the best value wins of those that share their cases with the most others; of equal values, or
      as large groups, the first of ``entrants``.
    - **A pinned model** stays, whatever the others are worth.
    - **Freshness**: else the newest model of the incumbent's family takes its place without having to be better, as
      it knows newer events. Only where both were measured on the same cases, and the newer one is worse by more than
      noise, does the older one stay.
    - **A challenger** of another family wins if it is better than that model by more than noise: the paired
      difference on the same validation cases has a 95 % bootstrap interval above zero, and the two differ on
      ``FEWEST_DIFFERENCES`` cases or more. Of several the one with the best value wins, of equal ones the first.
    - **Models are only compared where their cases are the same** (``cases_hash``). To measure an older model on newer
      cases would be no test: it may have learnt from them. Families that are trained in one night share their cases,
      and the train job trains them together when one gets too old; what was trained by itself in between (another
      parameter, a new family) waits until then.

    Each challenger is judged by itself: of n that are all as good as the incumbent, one wins by chance with up to about
    n * 3.5 %. Of exact intervals that would be 2.5 %; the bootstrap's are too narrow where few cases differ (simulated:
    3.5 % on 50 cases, 3.3 % on 500, 2.4 % on 2,000). Test cases play no part: they are in no argument.

    Parameters
    ----------
    entrants : sequence of Entrant
        The newest usable model of each family, in the order of ``settings.models``.
    incumbent : Incumbent, optional

    Returns
    -------
    list of Verdict
        The live model first, then the other entrants, then an incumbent that is neither; empty without a model. Said
        again with the chosen model as incumbent, it chooses the same.
    """
    chosen = _choose(entrants, incumbent)
    if chosen is None:
        return []
    live = chosen.entrant
    verdicts = [Verdict(live.model_version, live.family, True, chosen.reason, chosen.won_by)]
    for entrant in entrants:
        if entrant.model_version != live.model_version:
            verdicts.append(_beside(entrant, live, chosen.is_pinned))
    if incumbent and incumbent.entrant.model_version not in {verdict.model_version for verdict in verdicts}:
        old = incumbent.entrant
        why = incumbent.why_unusable or f"{_named(live, old)} took its place"
        verdicts.append(Verdict(old.model_version, old.family, False, f"not live: {why}"))
    return verdicts


def compare(one: Entrant, other: Entrant) -> Comparison | None:
    """Return by how much ``one`` is better than ``other``; None where they were not measured on the same cases."""
    if one.cases_hash is None or one.cases_hash != other.cases_hash:
        return None
    gaps = one.values - other.values
    low, high = bootstrap_interval(gaps)
    if low is None or high is None:
        return None
    is_better = low > 0 and np.count_nonzero(gaps) >= FEWEST_DIFFERENCES
    return Comparison(other.model_version, float(gaps.mean()), low, high, bool(is_better))


@dataclass(frozen=True)
class _Chosen:
    entrant: Entrant
    reason: str
    won_by: Comparison | None = None
    is_pinned: bool = False


def _choose(entrants: Sequence[Entrant], incumbent: Incumbent | None) -> _Chosen | None:
    holder = _holder(entrants, incumbent)
    if incumbent and holder and incumbent.is_pinned and not incumbent.why_unusable:
        return _Chosen(holder, incumbent.reason, is_pinned=True)
    if holder is None:
        if not entrants:
            return None
        best = max(_largest_group(entrants), key=lambda entrant: entrant.value)  # of equal ones the first
        return _Chosen(best, "live: first model" if len(entrants) == 1 else f"live: best value, {best.value:.4f}")
    won = [(entrant, gap) for entrant in entrants if (gap := compare(entrant, holder)) and gap.is_better]
    if won:
        winner, gap = max(won, key=lambda pair: pair[0].value)
        return _Chosen(winner, f"live: {gap} over {holder.family}", gap)
    if incumbent and holder.model_version == incumbent.entrant.model_version:
        return _Chosen(holder, incumbent.reason)
    return _Chosen(holder, "live: newest model of the family that was live")


def _largest_group(entrants: Sequence[Entrant]) -> Sequence[Entrant]:
    """Return the entrants of the cases on which most were measured; all of them where no cases are known."""
    groups = Counter(entrant.cases_hash for entrant in entrants if entrant.cases_hash is not None)
    if not groups:
        return entrants
    [(cases_hash, _)] = groups.most_common(1)  # of equal ones the first
    return [entrant for entrant in entrants if entrant.cases_hash == cases_hash]


def _holder(entrants: Sequence[Entrant], incumbent: Incumbent | None) -> Entrant | None:
    """Return the model that challengers have to beat: the incumbent, or the newest of its family."""
    if incumbent is None:
        return None
    newest = next((entrant for entrant in entrants if entrant.family == incumbent.entrant.family), None)
    if incumbent.why_unusable:
        return newest
    regression = compare(incumbent.entrant, newest) if newest else None
    stays = incumbent.is_pinned or newest is None or (regression and regression.is_better)
    return incumbent.entrant if stays else newest


def _beside(entrant: Entrant, live: Entrant, is_pinned: bool) -> Verdict:
    gap = compare(entrant, live)
    name = _named(live, entrant)
    if gap is None:
        why = f"not measured on the cases of {name}; that takes a night that trains both"
    elif gap.is_better:
        why = f"{gap} over {name}"
    elif gap.ci_high < 0:
        why = f"{gap} against {name}, which is better"
    else:
        why = f"{gap} over {name} is within noise"
    pinned = f"; {name} is pinned" if is_pinned else ""
    return Verdict(entrant.model_version, entrant.family, False, f"not live: {why}{pinned}", gap)


def _named(live: Entrant, beside: Entrant) -> str:
    return f"another {live.family}" if live.family == beside.family else live.family
