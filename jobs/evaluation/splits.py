"""Which events a model may learn from, and which it is tested on.

A frame of sequences has the columns ``sequence_id`` (str, unique), ``visitor_id`` (str), ``items`` (list of
str, oldest first), ``event_times`` (list of datetime[us, UTC], parallel to items, never decreasing) and
``ended_at`` (datetime[us, UTC], the last event). A frame of cases has ``sequence_id``, ``visitor_id``,
``items`` (what the model sees, at least one), ``target`` (str, the item that came next) and ``is_tied`` (bool, whether
the item before the target has the target's time, so that which of them is last is an accident of the order).

Frames in, frames out. Sequences come sorted by (ended_at, sequence_id), cases by sequence_id: the order of
the rows given never matters.
"""

import math
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Final

import numpy as np
import polars as pl

SEQUENCE_COLUMNS: Final = ("sequence_id", "visitor_id", "items", "event_times", "ended_at")
CASE_COLUMNS: Final = ("sequence_id", "visitor_id", "items", "target", "is_tied")

_ORDER: Final = ("ended_at", "sequence_id")
_LISTS: Final = ("items", "event_times")


@dataclass(frozen=True, eq=False)
class Split:
    """One division of the history.

    Attributes
    ----------
    name : str
        The protocol: ``paper``, ``cutoff``, ``leave_one_out``, or ``fold`` with its number.
    train : polars.DataFrame
        Sequences to learn from, in the columns of `SEQUENCE_COLUMNS`.
    test : polars.DataFrame
        Cases, in the columns of `CASE_COLUMNS`.
    cutoff_at : datetime
        Where the test part begins: for ``cutoff``, no event of train is at or after it; for ``paper``, the
        end of the first test sequence, at which the last training sequences may end as well; for
        ``leave_one_out``, the time of the first target, long before most of train.
    validation : polars.DataFrame, optional
        Cases to decide with when to stop training, where the protocol has its own; else see `validation_split`.
    """

    name: str
    train: pl.DataFrame
    test: pl.DataFrame
    cutoff_at: datetime
    validation: pl.DataFrame | None = None


def paper_split(sequences: pl.DataFrame, test_share: float = 0.2) -> Split:
    """Put the sequences that ended last into the test part, whole.

    Sequences are sorted by their end; the last ceil(test_share * n) are the test part, the others train,
    unchanged. From the test part, items that no training sequence holds are dropped, then sequences under two
    items; the last remaining item is the target and those before it are the input. So the split is temporal
    in the sequences' ends only: a test sequence may begin long before training ends.
    Source: released code of arXiv 2309.09261 (split and ``filter_non_trained_test_items``). It leaves
    sequences that end at the same time in the order of an unstable sort; here ``sequence_id`` breaks the tie.
    On the paper's Beauty data, whose times are days, both give 17,890 training sequences and 4,469 cases, of
    which 12 are others: all among the 58 sequences that end on the day where the parts meet.

    Parameters
    ----------
    sequences : polars.DataFrame
    test_share : float
        Between 0 and 1, both excluded.

    Returns
    -------
    Split

    Raises
    ------
    ValueError
        If there are under two sequences, the share leaves none for training, or columns or ids are wrong.
    """
    ordered = _ordered(sequences)
    n_test = _part(len(ordered), test_share)
    if not 0 < n_test < len(ordered):
        raise ValueError(f"{len(ordered)} sequences cannot be split with a test share of {test_share}")
    return _whole_sequences("paper", ordered.head(-n_test), ordered.tail(n_test))


def forward_folds(train: pl.DataFrame, bins: int = 4, allow_repeats: bool = True) -> list[Split]:
    """Return folds for a search: train on the sequences that ended first, validate on those that ended next.

    Sequences are sorted by their end and cut into ``bins`` parts of equal size, the first ones larger by one where
    that can't be; fold i trains on parts 1 to i, and its test part is part i + 1, made into cases as in `paper_split`.
    Source: released code of arXiv 2309.09261 (forward chaining over the training sequences, 4 bins).

    Parameters
    ----------
    train : polars.DataFrame
        Sequences; not to be mixed with test sequences.
    bins : int
        At least 2.
    allow_repeats : bool
        As of `validation_split`.

    Returns
    -------
    list of Split
        One fewer than ``bins``.

    Raises
    ------
    ValueError
        If there are fewer sequences than bins, under two bins, or columns or ids are wrong.
    """
    ordered = _ordered(train)
    if not 2 <= bins <= len(ordered):
        raise ValueError(f"{len(ordered)} sequences cannot be cut into {bins} bins")
    ends = np.cumsum([len(part) for part in np.array_split(np.arange(len(ordered)), bins)]).tolist()
    return [
        _whole_sequences(f"fold {number}", ordered.head(start), ordered[start:end], allow_repeats)
        for number, (start, end) in enumerate(pairwise(ends), start=1)
    ]


def leave_one_out_split(sequences: pl.DataFrame) -> Split:
    """Test on each sequence's last item, validate on the one before it, train on the rest.

    Of a sequence of three items or more the last is the test target with all before it as input, the last but one
    the validation target likewise; shorter sequences are train as they are. Targets unknown to train stay.
    Source: the split of SASRec (arXiv 1808.09781) and most papers after it.

    It leaks: train holds events that are later than most targets, so a model knows of an item's coming popularity,
    and figures are too high and rank models otherwise than a split in time ("Time to Split", arXiv 2507.16289).
    It is here to compare with published figures, not to choose a model by.

    Parameters
    ----------
    sequences : polars.DataFrame

    Returns
    -------
    Split
        With ``validation``.

    Raises
    ------
    ValueError
        If no sequence has three items, or columns or ids are wrong.
    """
    ordered = _ordered(sequences)
    is_long = pl.col("items").list.len() >= 3
    long = ordered.filter(is_long)
    if long.is_empty():
        raise ValueError("leave-one-out needs a sequence of three items, and there is none")
    train = pl.concat([ordered.filter(~is_long), _without_last(long, 2)]).sort(_ORDER)
    test, validation = _last_as_target(long), _last_as_target(_without_last(long, 1))
    return Split("leave_one_out", train, test, long["ended_at"].min(), validation)  # type: ignore[arg-type]


def cutoff_split(sequences: pl.DataFrame, cutoff_at: datetime, allow_repeats: bool = False) -> Split:
    """Train on what was known at a date, test on what came next.

    Train holds the events strictly before the date: a prefix of each sequence, with the end of that prefix,
    dropped if it is under two items. A sequence's case is its first event at or after the date that follows
    at least one other; its item is the target and all items before it are the input, which may include items
    after the date where a sequence began there or went on with repeats. Targets unknown to train stay: that
    a model can't name a new item counts against it.
    Source: the global temporal split that "Time to Split" (arXiv 2507.16289) argues for, with one target a
    sequence, its next item.

    Parameters
    ----------
    sequences : polars.DataFrame
    cutoff_at : datetime
        With a time zone.
    allow_repeats : bool
        If not, only an item that is new to its sequence can be the target.

    Returns
    -------
    Split
        Either part may be empty.

    Raises
    ------
    ValueError
        If the date has no time zone, or columns or ids are wrong.
    """
    if cutoff_at.tzinfo is None:
        raise ValueError("cutoff_at needs a time zone")
    events = _flat(_ordered(sequences))
    date = pl.lit(cutoff_at).cast(pl.Datetime("us", "UTC"))
    before = events.filter(pl.col("event_times") < date)
    train = _regrouped(before).filter(pl.col("items").list.len() >= 2).sort(_ORDER)
    eligible = (pl.col("event_times") >= date) & (pl.col("position") > 0)
    if not allow_repeats:
        eligible &= pl.struct("row", "items").is_first_distinct()
    targets = events.filter(eligible).group_by("row").agg(pl.col("position").min().alias("target_position"))
    shown = events.join(targets, on="row", maintain_order="left").filter(
        pl.col("position") <= pl.col("target_position")
    )
    return Split("cutoff", train, _last_as_target(_regrouped(shown)), cutoff_at)


def holdout_cutoff(sequences: pl.DataFrame, share: float) -> datetime:
    """Return the event time at or after which the share of events comes closest to ``share``.

    Always some event lies before it and some at or after it. Of two equally close times the later is taken.

    Parameters
    ----------
    sequences : polars.DataFrame
    share : float
        Between 0 and 1, both excluded.

    Raises
    ------
    ValueError
        If the events do not lie at two times at least, or the share or the columns are wrong.
    """
    if not 0 < share < 1:
        raise ValueError(f"share must lie between 0 and 1, got {share}")
    times = _checked(sequences)["event_times"].explode().drop_nulls().alias("time").to_frame()
    by_time = times.group_by("time").len("events").sort("time", descending=True)
    after = by_time.with_columns(pl.col("events").cum_sum().alias("after")).head(-1)
    if after.is_empty():
        raise ValueError("no date divides the events: they all lie at one time, or there are none")
    distance = (pl.col("after") - share * len(times)).abs()
    chosen: datetime = after.sort(distance, maintain_order=True)["time"][0]
    return chosen


def validation_split(
    train: pl.DataFrame, limit: int = 2000, share: float = 0.1, allow_repeats: bool = True
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Take the newest training sequences away, to decide when to stop training and which model is best.

    Of the n sequences with two items or more, the min(ceil(share * n), limit) that ended last are taken, but never
    all; their last item is the target. The released code of arXiv 2309.09261 draws 500 at random instead. Those look
    like the past, and the test part doesn't: on the paper's Beauty data V-SKNN loses 18 % of its test nDCG@20 without
    the newest tenth of its training sequences, and 3 % without a random tenth. So what is taken here must be put back
    before a model is used: `jobs.models.base.Model.refit`.

    Parameters
    ----------
    train : polars.DataFrame
        Sequences; not to be mixed with test sequences.
    limit : int
    share : float
        Between 0 and 1, both included.
    allow_repeats : bool
        If not, the target is the last item that is new to its sequence, what follows is dropped: a list without the
        sequence's own items could never hold another one. Of UCI Online Retail's cases those would be 43 %.

    Returns
    -------
    tuple of polars.DataFrame
        The remaining sequences (also those under two items) and the cases.

    Raises
    ------
    ValueError
        If the share or the limit is out of range, or columns or ids are wrong.
    """
    if not 0 <= share <= 1 or limit < 0:
        raise ValueError(f"share must lie in [0, 1] and limit be >= 0, got {share} and {limit}")
    ordered = _ordered(train)
    usable = ordered.filter(pl.col("items").list.len() >= 2)
    size = max(0, min(_part(len(usable), share), limit, len(usable) - 1))
    held_out = usable.tail(size)
    rest = ordered.join(held_out, on="sequence_id", how="anti", maintain_order="left")
    return rest, _last_as_target(held_out if allow_repeats else _until_last_new(held_out))


def _ordered(sequences: pl.DataFrame) -> pl.DataFrame:
    """Put the rows in an order that is total and does not depend on how they came."""
    return _checked(sequences).sort(_ORDER)


def _checked(sequences: pl.DataFrame) -> pl.DataFrame:
    missing = set(SEQUENCE_COLUMNS) - set(sequences.columns)
    if missing:
        raise ValueError(f"sequences lack the columns {sorted(missing)}")
    if sequences["sequence_id"].is_duplicated().any() or sequences["sequence_id"].has_nulls():
        raise ValueError("sequence_id must be unique and never null")
    return sequences.select(SEQUENCE_COLUMNS)


def _part(n: int, share: float) -> int:
    """ceil(share * n), where 0.07 * 100 is 7 although the product of floats is a little more."""
    return math.ceil(round(share * n, 6))


def _whole_sequences(name: str, train: pl.DataFrame, held_out: pl.DataFrame, allow_repeats: bool = True) -> Split:
    """Make cases of sequences that were held out whole, from the items that train holds."""
    known = train["items"].explode().unique()
    kept = _regrouped(_flat(held_out).filter(pl.col("items").is_in(known.implode())))
    cases = _last_as_target(kept if allow_repeats else _until_last_new(kept))
    return Split(name, train, cases, held_out["ended_at"][0])


def _without_last(sequences: pl.DataFrame, count: int) -> pl.DataFrame:
    """Sequences less their last items, ended by the last one left."""
    shorter = [pl.col(name).list.head(pl.col("items").list.len() - count) for name in _LISTS]
    return sequences.with_columns(shorter).with_columns(pl.col("event_times").list.last().alias("ended_at"))


def _until_last_new(sequences: pl.DataFrame) -> pl.DataFrame:
    """Sequences up to the last item that they hold for the first time."""
    events = _flat(sequences)
    new = events.filter(pl.struct("row", "items").is_first_distinct())
    ends = new.group_by("row").agg(pl.col("position").max().alias("end"))
    kept = events.join(ends, on="row", maintain_order="left").filter(pl.col("position") <= pl.col("end"))
    return _regrouped(kept)


def _flat(sequences: pl.DataFrame) -> pl.DataFrame:
    """One row an event, with its sequence's number (``row``) and its ``position`` from 0."""
    return (
        sequences.with_row_index("row")
        .filter(pl.col("items").list.len() > 0)
        .with_columns(pl.int_ranges(pl.col("items").list.len()).alias("position"))
        .explode(*_LISTS, "position")
    )


def _regrouped(events: pl.DataFrame) -> pl.DataFrame:
    """Sequences of the events left of `_flat`, ended by the last of them."""
    return (
        events.group_by("row", maintain_order=True)
        .agg(
            pl.col("sequence_id", "visitor_id").first(),
            pl.col(_LISTS),
            pl.col("event_times").last().alias("ended_at"),
        )
        .select(SEQUENCE_COLUMNS)
    )


def _last_as_target(sequences: pl.DataFrame) -> pl.DataFrame:
    return (
        sequences.filter(pl.col("items").list.len() >= 2)
        .with_columns(
            pl.col("items").list.head(pl.col("items").list.len() - 1),
            pl.col("items").list.last().alias("target"),
            (pl.col("event_times").list.get(-2) == pl.col("event_times").list.last()).alias("is_tied"),
        )
        .select(CASE_COLUMNS)
        .sort("sequence_id")
    )
