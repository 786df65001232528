"""The rule that holds a publication whose tables are so much smaller than the live ones that data is probably missing.

Each loss is measured as a share of the live number. A loss of a few visitors or items (setting ``ignored_shrink``) is
never too much, because a few are a large share of a small shop. But no number may fall to zero.
"""

from jobs.publishing.publication_totals import PublicationDifferences, PublicationTotals
from jobs.settings import Settings


def reasons_to_hold_publication(
    live_totals: PublicationTotals,
    new_totals: PublicationTotals,
    differences: PublicationDifferences | None,
    settings: Settings,
) -> list[str]:
    """Return reasons to hold a publication, each with the numbers before and after; empty if it may be published.

    Parameters
    ----------
    live_totals, new_totals : PublicationTotals
        Totals of the live file, and of the new file that would replace it.
    differences : PublicationDifferences or None
        Differences of the new lists from the live ones; None if the live file can't be read.
    settings : Settings
        The limits.
    """
    few_visitors = settings.ignored_shrink / max(live_totals.visitors, 1)
    few_items = settings.ignored_shrink / max(live_totals.items, 1)
    shrink = ("max_shrink_share", settings.max_shrink_share)
    lost_popularity = ("max_lost_popularity_share", settings.max_lost_popularity_share)
    fewer_visitors = _reason_if_number_fell(
        "visitors with lists", live_totals.visitors, new_totals.visitors, shrink, few_visitors
    )
    falls = [
        fewer_visitors,
        _reason_if_number_fell("rows of lists", live_totals.list_rows, new_totals.list_rows, shrink, few_visitors),
        _reason_if_number_fell("recommendable items", live_totals.items, new_totals.items, shrink, few_items),
        _reason_if_number_fell(
            "rows of similar items", live_totals.similar_item_rows, new_totals.similar_item_rows, shrink, few_items
        ),
        _reason_if_number_fell(
            "the sum of popular_items.score",
            live_totals.popularity,
            new_totals.popularity,
            lost_popularity,
            few_visitors,
        ),
    ]
    reasons = [reason for reason in falls if reason]
    if differences and not fewer_visitors:  # one reason about lost visitors is enough
        reasons += _reasons_if_many_visitors_are_gone(live_totals, differences, few_visitors, settings)
    if differences:
        reasons += _reasons_if_lists_overlap_little(differences, settings)
    return reasons


def _reason_if_number_fell(
    counted_things: str,
    live_number: float,
    new_number: float,
    limit_name_and_share: tuple[str, float],
    always_allowed_share: float,
) -> str | None:
    """Return a sentence that says how much a number fell; None if it did not fall too much.

    Parameters
    ----------
    limit_name_and_share : (str, float)
        The name and value of the setting that limits the fall: the largest share by which the number may fall.
    always_allowed_share : float
        The number of visitors or items in the setting ``ignored_shrink``, as a share of all visitors or items of the
        live file. A fall by no more than this share is never too much, unless nothing is left.
    """
    setting, share = limit_name_and_share
    if (
        live_number <= 0
        or new_number >= live_number
        or (new_number > 0 and 1 - new_number / live_number <= max(share, always_allowed_share))
    ):
        return None
    allowed = f"{setting} allows {share:.0%}" if new_number > 0 else "nothing may fall to zero"
    fall = f"from {live_number:,.0f} to {new_number:,.0f}, by {1 - new_number / live_number:.0%}"
    return f"{counted_things} fell {fall}; {allowed}"


def _reasons_if_many_visitors_are_gone(
    live_totals: PublicationTotals, differences: PublicationDifferences, always_allowed_share: float, settings: Settings
) -> list[str]:
    """Return the reason, in words, if too many visitors lost their lists; else an empty list.

    New visitors with lists don't make up for them.
    """
    gone = differences.gone_visitors / max(live_totals.visitors, 1)
    if gone <= max(settings.max_gone_visitors_share, always_allowed_share):
        return []
    return [
        f"{differences.gone_visitors:,} of the {live_totals.visitors:,} visitors with lists are gone, {gone:.0%}; "
        f"max_gone_visitors_share allows {settings.max_gone_visitors_share:.0%}"
    ]


def _reasons_if_lists_overlap_little(differences: PublicationDifferences, settings: Settings) -> list[str]:
    """Return the reason, in words, if old and new lists have too little in common; else an empty list."""
    overlap = differences.mean_list_overlap
    if overlap is None or overlap >= settings.min_list_overlap:
        return []
    return [
        f"a visitor's old and new list share {overlap:.1%} of their items on average; "
        f"min_list_overlap asks for {settings.min_list_overlap:.1%}"
    ]
