"""A campaign: the shop lives through a history, night by night, and everything is checked after each."""

import os
import re
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import duckdb

from benchmarks.chaos.catalogue import FAULTS, LOSING_ANSWERS
from benchmarks.chaos.commands import Ended
from benchmarks.chaos.configuration import Configuration
from benchmarks.chaos.damage import restore_if_damaged
from benchmarks.chaos.difference import Difference
from benchmarks.chaos.disturbance import DAY, Disturbance
from benchmarks.chaos.history import Fault, Night
from benchmarks.chaos.machine import Machine
from benchmarks.chaos.money import Accounts
from benchmarks.chaos.outcomes import outcomes
from benchmarks.chaos.people import check_copies, check_forgotten
from benchmarks.chaos.publication import WHOLE, check_alone, check_readers, check_with_warehouse, digest
from benchmarks.chaos.refresh import check_full_refresh
from benchmarks.chaos.service import DIMENSIONS, Service
from benchmarks.chaos.shop import Shop, Size, night_time
from benchmarks.chaos.tables import check_tables
from benchmarks.chaos.tally import Tally
from tests.embedding.fake_openai import KEY
from tests.polling_reader import polling

CLOCKS = {"clock_ahead": 30 * DAY, "clock_back": -DAY / 12, "clock_day_back": -DAY * 26 / 24}
WAIT = ("--wait", "200")
ALLOW = "--allow-shrink"
PUBLISHED = r"^ *publish +[0-9,]+ rows, verified"
PAUSE_OF_READERS = 0.5  # seconds


class Campaign:
    """A shop in a folder, its processes, its service, and what was found so far."""

    def __init__(self, folder: Path, machine: Machine, seed: int, size: Size, refresh_every: int) -> None:
        self.refresh_every = refresh_every
        self.folder, self.scratch = folder / "shop", folder / "scratch"
        for path in (self.folder, self.scratch):
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir(parents=True)
        self.shop = Shop(self.folder, seed, size)
        self.configuration = Configuration()
        self.service = Service()
        self.orders = machine.orders
        self.orders.end()
        self.orders.watch(self.folder)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("NEXTMART_", "OPENAI_"))}
        environment = {**inherited, **self.service.environment, "DBT_LOG_LEVEL_FILE": "info"}
        self.disturbance = Disturbance(machine, self.folder, environment)
        self.accounts = Accounts()
        self.tally = Tally()
        self.to_forget: list[tuple[str, str]] = []
        self.happened: list[str] = []
        self.has_unpublished_setting = False
        self.has_forgotten_in_last_night = False
        self.copy_restored_in_last_night: Path | None = None
        # texts that were sold before a copy was taken, by the file name of the copy
        self.sold_before_copy: dict[str, Counter[str]] = {}
        self.cpu_seconds_of_last_night = 0.0

    @property
    def published(self) -> Path:
        """The file that readers open."""
        return self.folder / "published.duckdb"

    def close(self) -> None:
        """End the service."""
        self.service.close()

    # --- a night ---

    def live(self, night: Night) -> None:
        """Live through a night, and check everything that can be checked after it.

        Raises
        ------
        Difference
            If a rule does not hold.
        """
        self.happened, self.cpu_seconds_of_last_night = [], 0.0
        self._prepare(night)
        self.shop.deliver(night.number, night.names)
        night = with_lasting_fault(night, self.shop)
        published_before = digest(self.published)
        polled = polling(self.published, WHOLE, PAUSE_OF_READERS) if published_before else nullcontext()
        with polled as seen:
            ended = self._run_commands(night)
        if seen:
            check_readers(seen)
            self.tally.reads += seen.reads
        self.has_forgotten_in_last_night = any(
            command.arguments[0] == "forget" and command.code == 0 for command in ended
        )
        has_settled = {"load", "run"} <= {command.arguments[0] for command in ended} and ended[-1].code == 0
        for name in night.names:
            if has_settled and FAULTS[name].must_fail and name != "wrong_folder":
                self._require_failed(ended[-1], name)
        self.cpu_seconds_of_last_night = sum(command.cpu_seconds for command in ended)
        self.copy_restored_in_last_night = self._restore_if_damaged() if "torn_write" in night.names else None
        if self.published.exists():
            check_alone(self.published)
        self.check_warehouse(night, has_settled)
        if has_settled and (night.number + 1) % self.refresh_every == 0:
            self.refresh(night)
        self.has_unpublished_setting &= not has_settled
        self.tally.nights += 1
        self.tally.settled += has_settled
        self.tally.texts_paid = self.service.sold.total()
        self.tally.texts_lost = self.accounts.lost.total()
        ends = outcomes(
            night.names, ended, has_settled=has_settled, was_restored=self.copy_restored_in_last_night is not None
        )
        for name, outcome in ends.items():
            self.tally.outcomes[name][outcome] += 1

    def refresh(self, night: Night) -> None:
        """Compare the warehouse with a full refresh of a copy."""
        self._set_clock(night.number)
        check_full_refresh(self.folder, self.scratch, self.disturbance)
        self.tally.refreshes += 1

    def _prepare(self, night: Night) -> None:
        by_group = {FAULTS[fault.name].group: fault for fault in night.faults}
        if fault := by_group.get("settings"):
            self.happened.append(self.configuration.change(fault.which))
            self.has_unpublished_setting = True
        self.configuration.write(self.folder)
        self.service.behave(night.names, night.number)
        clock = by_group.get("clock")
        self._set_clock(night.number, CLOCKS[clock.name] if clock else 0)
        if fault := by_group.get("person"):
            self._choose_person(fault)

    def _set_clock(self, number: int, ahead: float = 0) -> None:
        self.orders.set_clock(night_time(number).timestamp() + ahead - time.time())

    def _choose_person(self, fault: Fault) -> None:
        column, option = ("visitor_id", "--visitor") if fault.name == "visitor_forgotten" else ("user_id", "--user")
        if people := sorted({str(row[column]) for row in self.shop.events.values() if row[column]}):
            person = people[int(fault.which * len(people))]
            self.to_forget.append((option, person))
            self.shop.forget(person)
            self.happened.append(f"{person} asks to be forgotten")

    # --- its commands ---

    def _run_commands(self, night: Night) -> list[Ended]:
        fault = next((fault for fault in night.faults if FAULTS[fault.name].group == "process"), None)
        if "wrong_folder" in night.names:
            self._run_in_wrong_folder(night)
        ended: list[Ended] = []
        planned: list[tuple[str, ...]] = [("forget", *person) for person in self.to_forget]
        planned += [*self._model_commands(night), ("load",), ("run",)]
        hit = self._command_hit_by(fault, planned)
        for arguments in planned:
            before = digest(self.published)
            # the rows of raw.items are lost after the load: a load brings the whole catalogue, and would mend the loss
            is_lost = "raw_items_lost" in night.names and arguments[0] == "run"
            with self._without_raw_items() if is_lost else nullcontext():
                if fault and fault.name == "two_runs" and arguments[0] == "run":
                    done = self._run_two()
                else:
                    done = self.disturbance.run(arguments, fault if arguments == hit else None)
            if self.disturbance.happened_at:
                self.happened.append(self.disturbance.happened_at)
            self._judge(night, done, before)
            self._note_copies()
            ended.append(done)
            if done.code == 0 and arguments[0] == "forget":
                self.to_forget.remove(arguments[1:3])
            if done.code and arguments[0] in ("load", "forget"):
                break
        must_fail = any(FAULTS[name].must_fail for name in night.names)
        if self.has_unpublished_setting and not must_fail and ended[-1].code and ALLOW in ended[-1].said:
            # the person who has asked for shorter lists types the option that the message names
            ended.append(self.disturbance.run(("publish", ALLOW), None))
            self._judge(night, ended[-1], None)
        return ended

    def _command_hit_by(self, fault: Fault | None, planned: list[tuple[str, ...]]) -> tuple[str, ...]:
        # most of a night is its run; renames and unlinks are publish's
        if fault and fault.which < 0.3 and fault.name not in ("killed_at_rename", "killed_at_unlink", "two_runs"):
            return planned[int(fault.which / 0.3 * (len(planned) - 1))]
        return planned[-1]

    def _model_commands(self, night: Night) -> list[tuple[str, ...]]:
        fault = next((fault for fault in night.faults if FAULTS[fault.name].group == "models"), None)
        if not fault:
            return []
        if fault.name == "model_pinned":
            with self._open_warehouse() as warehouse:
                query = (
                    "select model_version from ml.models where weights is not null order by finished_at, model_version"
                )
                versions = [version for (version,) in warehouse.execute(query).fetchall()]
            return [("pin", versions[int(fault.which * len(versions))])] if versions else []
        return [("unpin",) if fault.name == "model_unpinned" else ("rollback",)]

    def _run_two(self) -> Ended:
        both = [self.disturbance.start(("run", *WAIT)) for _ in range(2)]
        ended = [running.wait() for running in both]
        return next((done for done in ended if done.code), ended[0])

    def _run_in_wrong_folder(self, night: Night) -> None:
        before = digest(self.published)
        elsewhere = self.folder / "unmounted"
        ended = self.disturbance.run(("run", "--warehouse", str(elsewhere / "warehouse.duckdb")), None)
        shutil.rmtree(elsewhere, ignore_errors=True)
        self._judge(night, ended, before)
        self._require_failed(ended, "wrong_folder")

    @contextmanager
    def _without_raw_items(self) -> Iterator[None]:
        """Empty raw.items for a run, as a tool that fills the table may do, and restore the rows afterwards."""
        path = str(self.folder / "warehouse.duckdb")
        with closing(duckdb.connect(path)) as warehouse:
            kept = warehouse.execute("from raw.items").to_arrow_table()  # noqa: F841 - a replacement scan reads it
            warehouse.execute("delete from raw.items")
        try:
            yield
        finally:
            with closing(duckdb.connect(path)) as warehouse:
                warehouse.execute("insert into raw.items by name from kept")

    # --- what is required ---

    def _judge(self, night: Night, ended: Ended, published_before: str | None) -> None:
        if "Traceback (most recent call last)" in ended.said:
            raise Difference("nobody has to read a traceback", ended)
        if KEY in ended.said:
            raise Difference("no secret is printed", ended)
        if ended.left_orphans:
            raise Difference("no child works on without its owner", ended)
        if ended.code < 0 and not self.disturbance.happened_at:
            raise Difference("no command dies by itself", ended)
        if ended.code > 0:
            permitted = [FAULTS[name].fails.get(ended.arguments[0]) for name in night.names]
            permitted += [ALLOW] if self.has_unpublished_setting and ended.arguments[0] == "run" else []
            if not any(words and re.search(words, ended.said) for words in permitted):
                raise Difference(f"`{ended.arguments[0]}` needs no person, or says what to type", ended)
            # a run that fails in its upkeep has published before
            has_published = re.search(PUBLISHED, ended.said, re.MULTILINE)
            if ended.arguments[0] == "run" and not has_published and digest(self.published) != published_before:
                raise Difference("a failed run leaves the published file as it was", ended)

    def _restore_if_damaged(self) -> Path | None:
        restored = restore_if_damaged(self.folder / "warehouse.duckdb", self.disturbance)
        if not restored:
            return None
        self.happened.append(f"the warehouse is damaged: {restored.damage}")
        return restored.copy

    def _note_copies(self) -> None:
        names = [path.name for path in (self.folder / "backups").glob("*.duckdb")]
        self.sold_before_copy = {name: self.sold_before_copy.get(name, Counter(self.service.sold)) for name in names}

    def _require_failed(self, ended: Ended, name: str) -> None:
        if ended.code == 0:
            raise Difference(f"no publication that a gate should hold: {FAULTS[name].happens}", ended)

    @contextmanager
    def _open_warehouse(self) -> Iterator[duckdb.DuckDBPyConnection]:
        try:
            warehouse = duckdb.connect(str(self.folder / "warehouse.duckdb"), read_only=True)
        except duckdb.Error as error:
            raise Difference("the warehouse can be opened after each night", error) from error
        with closing(warehouse):
            if self.published.exists():
                warehouse.execute(f"attach '{self.published}' as published (read_only)")
            yield warehouse

    def check_warehouse(self, night: Night, has_settled: bool) -> None:
        """Check what was paid and who was forgotten, and after a night that ended well all tables."""
        sold = self.service.sold
        # a restored copy lacks all vectors that were paid after the copy was taken, those of texts in flight included
        if self.copy_restored_in_last_night:
            most_lost, sold_since_copy = 0, sold - self.sold_before_copy[self.copy_restored_in_last_night.name]
        else:
            most_lost = self.configuration.most_in_flight if night.names & LOSING_ANSWERS else 0
            sold_since_copy = Counter[str]()
        with self._open_warehouse() as warehouse:
            self.accounts.check(warehouse, sold, most_lost, sold_since_copy)
            if self.shop.forgotten and not self.to_forget:
                check_forgotten(warehouse, [self.folder / ".nextmart", self.published], self.shop.forgotten)
                if self.has_forgotten_in_last_night:
                    check_copies(self.folder / "backups", self.shop.forgotten)
            if has_settled:
                values = self.configuration.values
                check_tables(warehouse, self.shop, values["vars.sequence_scope"], DIMENSIONS)
                check_with_warehouse(warehouse, values["vars.recommendations_per_visitor"])


def with_lasting_fault(night: Night, shop: Shop) -> Night:
    """Return the night with an earlier night's fault added if nextmart still refuses the list of the earlier night."""
    if shop.refused_list is None or shop.refused_list in night.names:
        return night
    return replace(night, faults=(*night.faults, Fault(shop.refused_list, 0, 0)))
