"""The rule that holds a publication whose tables are so much smaller than the live ones that data is probably missing.

Each loss is measured as a share of the live number. A loss of a few visitors or items (setting ``ignored_shrink``) is
never too much, because a few are a large share of a small shop; but no number may fall to zero.
"""

from jobs.publishing.publication_totals import Differences, Totals
from jobs.settings import Settings


def reasons_to_hold(live: Totals, new: Totals, differences: Differences | None, settings: Settings) -> list[str]:
    """Return reasons to hold a publication, each with the numbers before and after; empty if it may be published.

    Parameters
    ----------
    live, new : Totals
        Totals of the live file, and of the new file that would replace it.
    differences : Differences or None
        Differences of the new lists from the live ones; None if the live file can't be read.
    settings : Settings
        The limits.
    """
    few_visitors = settings.ignored_shrink / max(live.visitors, 1)
    few_items = settings.ignored_shrink / max(live.items, 1)
    shrink = ("max_shrink_share", settings.max_shrink_share)
    lost_popularity = ("max_lost_popularity_share", settings.max_lost_popularity_share)
    fewer_visitors = _fall("visitors with lists", live.visitors, new.visitors, shrink, few_visitors)
    falls = [
        fewer_visitors,
        _fall("rows of lists", live.list_rows, new.list_rows, shrink, few_visitors),
        _fall("recommendable items", live.items, new.items, shrink, few_items),
        _fall("rows of similar items", live.similar_item_rows, new.similar_item_rows, shrink, few_items),
        _fall("the sum of popular_items.score", live.popularity, new.popularity, lost_popularity, few_visitors),
    ]
    reasons = [reason for reason in falls if reason]
    if differences and not fewer_visitors:  # visitors that are gone are told once
        reasons += _too_many_gone(live, differences, few_visitors, settings)
    if differences:
        reasons += _too_little_overlap(differences, settings)
    return reasons


def _fall(counted: str, live: float, new: float, limit: tuple[str, float], few: float) -> str | None:
    """Return a sentence that a number fell too much; None if it did not.

    Parameters
    ----------
    limit : (str, float)
        The setting's name and value: the largest share by which the number may fall.
    few : float
        The ignored visitors or items as a share of all; a smaller fall is never too much, unless the number is zero
        then.
    """
    setting, share = limit
    if live <= 0 or new >= live or (new > 0 and 1 - new / live <= max(share, few)):
        return None
    allowed = f"{setting} allows {share:.0%}" if new > 0 else "nothing may fall to zero"
    return f"{counted} fell from {live:,.0f} to {new:,.0f}, by {1 - new / live:.0%}; {allowed}"


def _too_many_gone(live: Totals, differences: Differences, few: float, settings: Settings) -> list[str]:
    """Return the reason, in words, if too many visitors lost their lists, even if others got some; else no reason."""
    gone = differences.gone_visitors / max(live.visitors, 1)
    if gone <= max(settings.max_gone_visitors_share, few):
        return []
    return [
        f"{differences.gone_visitors:,} of the {live.visitors:,} visitors with lists are gone, {gone:.0%}; "
        f"max_gone_visitors_share allows {settings.max_gone_visitors_share:.0%}"
    ]


def _too_little_overlap(differences: Differences, settings: Settings) -> list[str]:
    """Return the reason, in words, if old and new lists have too little in common; else an empty list."""
    overlap = differences.mean_list_overlap
    if overlap is None or overlap >= settings.min_list_overlap:
        return []
    return [
        f"a visitor's old and new list share {overlap:.1%} of their items on average; "
        f"min_list_overlap asks for {settings.min_list_overlap:.1%}"
    ]
