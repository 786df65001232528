"""Counts of what happened in a campaign, for the campaign's report."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field


@dataclass
class Tally:
    """Counts of what happened in a campaign.

    Attributes
    ----------
    settled, refreshes : int
        Nights that ended with a publication, and nights after which the tables were compared with a full refresh.
    reads : int
        How often readers opened the published file.
    texts_paid, texts_lost : int
        Number of vectors that the service sold, and of those that never reached the warehouse, because of a kill or a
        full disk.
    outcomes : dict of fault -> Counter of outcome
    """

    nights: int = 0
    settled: int = 0
    refreshes: int = 0
    reads: int = 0
    texts_paid: int = 0
    texts_lost: int = 0
    outcomes: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
