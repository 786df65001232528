"""The simulated shop: its events and its catalogue of each day, and the files by which nextmart gets them.

The events and the catalogue of a day depend only on the shop's seed and the day's number, so they stay the same if
other nights are dropped from a history. The shop keeps a ledger of the delivered rows, which the warehouse must hold
once all files are loaded.
"""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)
NIGHT_HOUR = 3
NIGHTS_OF_DELAY = 30
NIGHTS_FILES_ARE_KEPT = 20  # nights after which the shop deletes its files

MATERIALS = ("oak", "linen", "steel", "wool", "glass", "paper", "cork", "copper")
THINGS = ("lamp", "mug", "chair", "kettle", "clock", "shelf", "rug", "vase", "tray", "stool")

Row = dict[str, str | None]


def night_start(day: int) -> datetime:
    """Return the start of the night after a day; days are counted from 0."""
    return FIRST_DAY + timedelta(days=day + 1, hours=NIGHT_HOUR)


@dataclass(frozen=True)
class ShopSize:
    """The size of a shop: numbers of visitors and items on the first day, and of those that each night adds."""

    visitor_count: int = 40
    item_count: int = 30
    new_visitors_per_night: float = 0.1
    new_items_per_night: float = 0.05


@dataclass
class SimulatedShop:
    """A shop with its seed, the folders of its feeds, and the ledger of the rows that it has delivered.

    Attributes
    ----------
    delivered_events : dict of event_id -> row
        The events that were delivered in a readable file, without those of forgotten people.
    delivered_items : dict of item_id -> row
        The last delivered row of each item, also of items that the newest catalogue file lacks.
    newest_catalogue_item_ids : set of str
        The items in the newest catalogue file that nextmart does not refuse to load.
    refused_catalogue_fault : str or None
        The fault of the newest catalogue file, ``items_cut`` or ``items_all_withdrawn``, if nextmart refuses to load
        the file, or to publish what would follow from it.
    forgotten_ids : set of str
        The visitors and users that asked to be forgotten.
    held_back_files : list of (night, file stem, rows)
        Files of events that come late, each with the night that delivers it.
    night_of_written_file : dict of Path -> night
    """

    folder: Path
    seed: int
    size: ShopSize = ShopSize()
    delivered_events: dict[str, Row] = field(default_factory=dict)
    delivered_items: dict[str, Row] = field(default_factory=dict)
    newest_catalogue_item_ids: set[str] = field(default_factory=set)
    refused_catalogue_fault: str | None = None
    forgotten_ids: set[str] = field(default_factory=set)
    held_back_files: list[tuple[int, str, list[Row]]] = field(default_factory=list)
    night_of_written_file: dict[Path, int] = field(default_factory=dict)
    current_night: int = 0

    def __post_init__(self) -> None:
        for name in ("events", "items"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)

    # --- the events and the catalogue of a day ---

    def events_of_day(self, day: int) -> list[Row]:
        """Return the events of a day in the order of their times; one of them may be unusable."""
        random = Random(f"{self.seed}/events/{day}")
        visitors = self.size.visitor_count + int(self.size.new_visitors_per_night * day)
        items = self.size.item_count + int(self.size.new_items_per_night * day)
        rows: list[Row] = []
        for visitor in random.sample(range(visitors), max(3, min(visitors, self.size.visitor_count) // 4)):
            moment = FIRST_DAY + timedelta(days=day, minutes=random.randrange(24 * 60 - 200))
            item = random.randrange(items)
            for _ in range(random.randint(2, 6)):
                item = (item + random.choice((1, 1, 1, 2, 7))) % items  # so that models have a pattern to learn
                moment += timedelta(minutes=random.choice((1, 2, 5, 20, 45)), seconds=random.randrange(60))
                has_login = visitor % 3 == 0 and random.random() < 0.5
                rows.append({
                    "event_id": f"e{day:04}-{len(rows):03}", "visitor_id": f"visitor-{visitor:04}-end",
                    "user_id": f"user-{visitor // 2:04}-end" if has_login else None, "item_id": f"item-{item:03}",
                    "event_type": random.choice(("view", "view", "view", "cart", "purchase")),
                    "event_at": f"{moment:%Y-%m-%dT%H:%M:%SZ}",
                })  # fmt: skip
        broken = random.choice(rows)
        broken.update(random.choice(({}, {"item_id": None}, {"event_at": "soon"}, {"item_id": "item-unknown"})))
        rows.sort(key=lambda row: (row["event_at"] or "", row["event_id"] or ""))
        return rows

    def catalogue_of_day(self, day: int) -> list[Row]:
        """Return the whole catalogue after a day; now and then a title changes or an item runs out."""
        rows: list[Row] = []
        for item in range(self.size.item_count + int(self.size.new_items_per_night * (day + 1))):
            random = Random(f"{self.seed}/item/{item}")
            title = f"{random.choice(MATERIALS)} {random.choice(THINGS)} number {item}"
            first_change, period = random.randrange(1, 30), random.randrange(20, 60)
            rows.append({
                "item_id": f"item-{item:03}",
                "title": title + (f", edition {1 + (day - first_change) // 20}" if day >= first_change else ""),
                "category": random.choice(("home", "kitchen", "garden")),
                "available": "no" if (day + item) % period == 0 else "yes",
            })  # fmt: skip
        return rows

    # --- the files that are delivered ---

    def deliver_files(self, night_number: int, fault_names: set[str]) -> None:
        """Write the files of a night, changed by its faults; first the late files of earlier nights that are due."""
        self.current_night = night_number
        due = [held_file for held_file in self.held_back_files if held_file[0] <= night_number]
        self.held_back_files = [held_file for held_file in self.held_back_files if held_file[0] > night_number]
        for _, name, rows in due:
            self._deliver_events(name, rows)
        self._deliver_todays_events(night_number, fault_names)
        self._deliver_todays_items(night_number, fault_names)
        self._delete_old_files(night_number)

    def _deliver_todays_events(self, night_number: int, fault_names: set[str]) -> None:
        name, rows = (
            f"{night_start(night_number):%Y-%m-%d}",
            self.without_forgotten_people(self.events_of_day(night_number)),
        )
        if "events_missing" in fault_names:
            self.held_back_files.append((night_number + 1, name, rows))
        elif "events_empty" in fault_names:
            self.held_back_files.append((night_number + 1, name, rows))
            self._write_feed_file("events", name, [])
        elif "events_month_late" in fault_names:
            self.held_back_files.append((night_number + NIGHTS_OF_DELAY, name, rows))
        elif "events_schema_changed" in fault_names:
            self.held_back_files.append((night_number + 1, name, rows))
            self._write_feed_file(
                "events", name, [{**row, "visitor_id": None, "guest": row["visitor_id"]} for row in rows]
            )
        elif "events_doubled" in fault_names:
            self._deliver_events(name, [row for row in rows for _ in range(2)])
            self._deliver_events(f"{name}-copy", rows)
        elif "events_out_of_order" in fault_names:
            shuffled = Random(night_number).sample(rows, len(rows))
            self._deliver_events(f"{name}-b", shuffled[: len(rows) // 2])
            self._deliver_events(f"{name}-a", shuffled[len(rows) // 2 :])
        else:
            self._deliver_events(name, rows)

    def _deliver_todays_items(self, night_number: int, fault_names: set[str]) -> None:
        name, rows = f"{night_start(night_number):%Y-%m-%d}", self.catalogue_of_day(night_number)
        if "items_missing" in fault_names:
            return
        if "items_empty" in fault_names:
            self._write_feed_file("items", name, [])
            return
        if "items_cut" in fault_names:
            rows = rows[:2]
            if any(self.delivered_items[item]["available"] == "yes" for item in self.newest_catalogue_item_ids):
                # the ledger leaves this file out: nextmart refuses it, and the next catalogue file is complete again
                self._write_feed_file("items", name, rows)
                self.refused_catalogue_fault = "items_cut"
                return
        if "items_all_withdrawn" in fault_names:
            rows = [{**row, "available": "no"} for row in rows]
        self._write_feed_file("items", name, rows * (2 if "items_doubled" in fault_names else 1))
        self.refused_catalogue_fault = "items_all_withdrawn" if "items_all_withdrawn" in fault_names else None
        self.delivered_items |= {str(row["item_id"]): row for row in rows}
        self.newest_catalogue_item_ids = {str(row["item_id"]) for row in rows}

    def _deliver_events(self, file_stem: str, rows: list[Row]) -> None:
        rows = self.without_forgotten_people(rows)
        self._write_feed_file("events", file_stem, rows)
        self.delivered_events |= {str(row["event_id"]): row for row in rows}

    def _write_feed_file(self, feed_name: str, file_stem: str, rows: list[Row]) -> None:
        lines = (json.dumps({key: value for key, value in row.items() if value is not None}) for row in rows)
        path = self.folder / feed_name / f"{file_stem}.jsonl"
        path.write_text("".join(f"{line}\n" for line in lines))
        self.night_of_written_file[path] = self.current_night

    def _delete_old_files(self, night_number: int) -> None:
        for path, written_in_night in list(self.night_of_written_file.items()):
            if written_in_night < night_number - NIGHTS_FILES_ARE_KEPT:
                path.unlink()
                del self.night_of_written_file[path]

    # --- people who are forgotten ---

    def without_forgotten_people(self, rows: list[Row]) -> list[Row]:
        """Return the rows without those of forgotten people, whom the shop's own systems forget as well."""
        return [row for row in rows if not {row["visitor_id"], row["user_id"]} & self.forgotten_ids]

    def forget(self, person_id: str) -> None:
        """Forget a visitor, or a user with all the user's visitors, in the ledger and in all files, old and new.

        A visitor of this shop belongs to one user at most, so all events of the visitor are deleted.
        """
        rows = self.delivered_events.values()
        self.forgotten_ids |= {person_id, *(str(row["visitor_id"]) for row in rows if row["user_id"] == person_id)}
        self.delivered_events = {str(row["event_id"]): row for row in self.without_forgotten_people(list(rows))}
        for path in (self.folder / "events").iterdir():
            lines = path.read_text().splitlines(keepends=True)
            kept = [line for line in lines if not any(name in line for name in self.forgotten_ids)]
            if len(kept) < len(lines):
                path.write_text("".join(kept))
