"""Histories of a small shop, drawn so that times meet: on midnights, on publications, on the ends of windows."""

from datetime import UTC, datetime, timedelta
from random import Random

from outcome_tables import Event, History, Impression, Place, Price

# New York's clocks go forward on March 8th
FIRST_DAY = datetime(2026, 3, 5, tzinfo=UTC)
VISITORS, ITEMS, PLACEMENTS = ("ann", "bob", "cid"), ("lamp", "mug", "tray"), ("default", "home")
HALF_DAYS = 18


def at(half_days: float) -> datetime:
    return FIRST_DAY + timedelta(hours=12 * half_days)


def lists(draw: Random) -> list[Place]:
    """Draw the successive lists of each visitor in each placement; the control's last from a time to a time.

    In some placements everybody has the model's lists for a while in between.
    """
    places = []
    for placement in PLACEMENTS:
        starts, ends = draw.choice([(0, HALF_DAYS), (4, HALF_DAYS), (4, 10), (HALF_DAYS, HALF_DAYS)])
        pause_starts, pause_ends = draw.choice([(0, 0), (2, 5), (3, 6)])
        for visitor in draw.sample(VISITORS, draw.choice([2, 3])):
            cuts = sorted(draw.sample(range(9), draw.choice([1, 2, 3])))
            arm = draw.choice(["model", "control"])
            for cut, end in zip(cuts, [*cuts[1:], draw.choice([None, 13])], strict=True):
                if draw.random() < 0.1:
                    arm = draw.choice(["model", "control"])
                shown_arm = arm if starts <= cut < ends and not pause_starts <= cut < pause_ends else "model"
                model = "popularity" if shown_arm == "control" else draw.choice(["sknn", "sasrec"])
                places += [
                    Place(placement, visitor, rank, item, model, shown_arm, at(cut), None if end is None else at(end))
                    for rank, item in enumerate(draw.sample(ITEMS, draw.choice([1, 2, 3])), start=1)
                ]
    return places


def history(seed: int) -> History:
    draw = Random(seed)

    def moment(first: int = 0) -> datetime:
        return at(draw.randint(first, HALF_DAYS)) + draw.choice([0, 0, 1]) * timedelta(seconds=1)

    events = [
        Event(
            f"e{n}",
            draw.choice(VISITORS),
            draw.choice(ITEMS),
            draw.choice(["view", "view", "purchase", "cart"]),
            moment(),
        )
        for n in range(draw.choice([0, 3, 25, 25]))
    ]
    impressions = [
        Impression(f"i{n}", draw.choice(VISITORS), "home", draw.choice(ITEMS), draw.choice([None, 1, 2]), moment(4))
        for n in range(draw.choice([0, 0, 15]))
    ]
    places, bots = lists(draw), draw.choice([[], [], ["cid"]])
    prices = [
        Price("lamp", draw.choice([None, 2.5]), at(3), at(6)),
        Price("lamp", draw.choice([None, 4.0]), at(6), at(9)),
        Price("lamp", draw.choice([None, 3.0]), at(9), None),
        Price("mug", None, at(0), None),
    ]
    return History(events, places, impressions, prices, bots)
