"""The counts of nights, outcomes, reads and vectors that a campaign's report shows."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field


@dataclass
class CampaignTally:
    """Counts of what happened in a campaign so far.

    Attributes
    ----------
    night_count : int
        Nights without a broken rule.
    published_night_count, full_refresh_count : int
        Nights that ended with a publication, and comparisons with a full refresh.
    published_file_read_count : int
        How often readers opened the published file.
    sold_vector_count, lost_vector_count : int
        Vectors that the service sold, and those of them that never reached the warehouse because of a kill or a full
        disk.
    outcome_counts_by_fault : dict of fault -> Counter of outcome
        For each fault's name, how many of its nights ended in which way.
    """

    night_count: int = 0
    published_night_count: int = 0
    full_refresh_count: int = 0
    published_file_read_count: int = 0
    sold_vector_count: int = 0
    lost_vector_count: int = 0
    outcome_counts_by_fault: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
