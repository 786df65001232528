"""Counts of what happened in a campaign, for the campaign's report."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field


@dataclass
class CampaignTally:
    """Counts of what happened in a campaign.

    Attributes
    ----------
    published_nights, full_refreshes : int
        Nights that ended with a publication, and nights after which the tables were compared with a full refresh.
    reads_of_published_file : int
        How often readers opened the published file.
    vectors_sold, vectors_lost : int
        Number of vectors that the service sold, and of those that never reached the warehouse, because of a kill or a
        full disk.
    outcome_counts_by_fault : dict of fault -> Counter of outcome
    """

    nights: int = 0
    published_nights: int = 0
    full_refreshes: int = 0
    reads_of_published_file: int = 0
    vectors_sold: int = 0
    vectors_lost: int = 0
    outcome_counts_by_fault: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
