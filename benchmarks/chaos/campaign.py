"""A campaign of chaos tests: simulates the nights of a shop one by one, and checks everything after each night."""

import os
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import duckdb

from benchmarks.chaos.broken_rule import BrokenRule
from benchmarks.chaos.command_checks import ALLOW_SHRINK_OPTION, check_command_result, require_failure
from benchmarks.chaos.commands import CommandResult
from benchmarks.chaos.fake_embedding_service import DIMENSIONS, FakeEmbeddingService
from benchmarks.chaos.fault_kinds import FAULTS, FAULTS_THAT_LOSE_ANSWERS
from benchmarks.chaos.faulty_commands import DAY, FaultyCommandRunner
from benchmarks.chaos.forgotten_people_checks import check_backup_copies, check_forgotten_people
from benchmarks.chaos.full_refresh_check import check_full_refresh, has_texts_without_vector
from benchmarks.chaos.harness import CommandHarness
from benchmarks.chaos.history import Fault, Night
from benchmarks.chaos.night_outcomes import outcomes_by_fault
from benchmarks.chaos.paid_text_accounts import PaidTextAccounts
from benchmarks.chaos.publication_checks import (
    SELECT_WHETHER_WHOLE,
    check_publication_with_warehouse,
    check_published_file,
    check_reads,
    file_hash,
)
from benchmarks.chaos.shop import ShopSize, SimulatedShop, night_start
from benchmarks.chaos.shop_settings import ShopSettings
from benchmarks.chaos.table_checks import check_tables
from benchmarks.chaos.tally import CampaignTally
from benchmarks.chaos.warehouse_damage import restore_warehouse_if_damaged
from tests.polling_reader import poll_while_block_runs

CLOCK_OFFSETS = {"clock_ahead": 30 * DAY, "clock_back": -DAY / 12, "clock_day_back": -DAY * 26 / 24}
"""Fault -> seconds by which the night's clock is ahead of the right clock."""
WAIT_OPTION = ("--wait", "200")
READ_PAUSE_SECONDS = 0.5


class Campaign:
    """A simulated shop in a folder, with its settings, its embedding service, and counts of what has happened."""

    def __init__(
        self, folder: Path, harness: CommandHarness, seed: int, shop_size: ShopSize, full_refresh_every_nights: int
    ) -> None:
        self.full_refresh_every_nights = full_refresh_every_nights
        self.folder, self.scratch_folder = folder / "shop", folder / "scratch"
        for path in (self.folder, self.scratch_folder):
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir(parents=True)
        self.shop = SimulatedShop(self.folder, seed, shop_size)
        self.settings = ShopSettings()
        self.service = FakeEmbeddingService()
        self.fault_injector = harness.fault_injector
        self.fault_injector.clear()
        self.fault_injector.limit_to_folder(self.folder)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("NEXTMART_", "OPENAI_"))}
        environment = {**inherited, **self.service.environment, "DBT_LOG_LEVEL_FILE": "info"}
        self.command_runner = FaultyCommandRunner(harness, self.folder, environment)
        self.paid_text_accounts = PaidTextAccounts()
        self.tally = CampaignTally()
        self.pending_forget_requests: list[tuple[str, str]] = []
        self.happenings: list[str] = []
        self.has_unpublished_setting = False
        self.has_forgotten_in_last_night = False
        self.copy_restored_in_last_night: Path | None = None
        # file name of a backup copy -> how often each text had been sold when the copy was taken
        self.sold_counts_before_copy: dict[str, Counter[str]] = {}
        self.cpu_seconds_of_last_night = 0.0
        # how many nights the campaign had when it was last compared with a full refresh
        self.night_count_at_last_comparison = 0

    @property
    def published_file(self) -> Path:
        """The path of the published file, which readers open."""
        return self.folder / "published.duckdb"

    def close(self) -> None:
        """Stop the fake embedding service."""
        self.service.close()

    # --- a night ---

    def run_night(self, night: Night) -> None:
        """Simulate one night: deliver the feeds, run the commands with the night's faults, and check the results.

        Raises
        ------
        BrokenRule
            If a rule does not hold.
        """
        self.happenings, self.cpu_seconds_of_last_night = [], 0.0
        self._prepare_night(night)
        self.shop.deliver_files(night.number, night.fault_names)
        night = with_fault_of_refused_catalogue(night, self.shop)
        published_hash_before = file_hash(self.published_file)
        reader = nullcontext()
        if published_hash_before:
            reader = poll_while_block_runs(self.published_file, SELECT_WHETHER_WHOLE, READ_PAUSE_SECONDS)
        with reader as reader_log:
            results = self._run_commands(night)
        if reader_log:
            check_reads(reader_log)
            self.tally.published_file_read_count += reader_log.read_count
        self.has_forgotten_in_last_night = any(
            command.arguments[0] == "forget" and command.exit_code == 0 for command in results
        )
        was_published = {"load", "run"} <= {command.arguments[0] for command in results} and results[-1].exit_code == 0
        for name in night.fault_names:
            if was_published and FAULTS[name].must_prevent_publication and name != "wrong_folder":
                require_failure(results[-1], name)
        self.cpu_seconds_of_last_night = sum(command.cpu_seconds for command in results)
        self.copy_restored_in_last_night = (
            self._restore_warehouse_if_damaged() if "torn_write" in night.fault_names else None
        )
        if self.published_file.exists():
            check_published_file(self.published_file)
        self.check_warehouse(night, was_published)
        if was_published:
            self.compare_with_full_refresh_if_due(night)
        self.has_unpublished_setting &= not was_published
        self.tally.night_count += 1
        self.tally.published_night_count += was_published
        self.tally.sold_vector_count = self.service.sold_text_counts.total()
        self.tally.lost_vector_count = self.paid_text_accounts.lost_texts.total()
        outcomes = outcomes_by_fault(
            night.fault_names,
            results,
            was_published=was_published,
            was_restored=self.copy_restored_in_last_night is not None,
        )
        for name, outcome in outcomes.items():
            self.tally.outcome_counts_by_fault[name][outcome] += 1

    def compare_with_full_refresh_if_due(self, night: Night) -> None:
        """Compare with a full refresh if enough nights have passed since the last time, and every text has its vector.

        A refresh would embed the texts that the night could not, because the service was down or answered wrongly; then
        the comparison waits for a later night.
        """
        is_due = night.number + 1 - self.night_count_at_last_comparison >= self.full_refresh_every_nights
        if is_due and not has_texts_without_vector(self.folder):
            self.compare_with_full_refresh()
            self.night_count_at_last_comparison = night.number + 1

    def compare_with_full_refresh(self) -> None:
        """Compare the warehouse with a copy of it after a full refresh, which keeps the clock of the night's end.

        If that clock was ahead, or jumped, the night trained models at a time that is still in the future for the right
        clock, and a refresh with the right clock would train them again.
        """
        check_full_refresh(self.folder, self.scratch_folder, self.command_runner)
        self.tally.full_refresh_count += 1

    def _prepare_night(self, night: Night) -> None:
        by_group = {FAULTS[fault.name].exclusive_group: fault for fault in night.faults}
        if fault := by_group.get("settings"):
            self.happenings.append(self.settings.change_one_setting(fault.target))
            self.has_unpublished_setting = True
        self.settings.write(self.folder)
        self.service.set_faults_of_night(night.fault_names, night.number)
        self._set_clock_of_night(night)
        if fault := by_group.get("person"):
            self._choose_person_to_forget(fault)

    def _set_clock_of_night(self, night: Night) -> None:
        offset_seconds = sum(CLOCK_OFFSETS.get(fault.name, 0) for fault in night.faults)
        self.fault_injector.shift_clock(night_start(night.number).timestamp() + offset_seconds - time.time())

    def _choose_person_to_forget(self, fault: Fault) -> None:
        column, option = ("visitor_id", "--visitor") if fault.name == "visitor_forgotten" else ("user_id", "--user")
        if people := sorted({str(row[column]) for row in self.shop.delivered_events.values() if row[column]}):
            person = people[int(fault.target * len(people))]
            self.pending_forget_requests.append((option, person))
            self.shop.forget(person)
            self.happenings.append(f"{person} asks to be forgotten")

    # --- the commands of a night ---

    def _run_commands(self, night: Night) -> list[CommandResult]:
        fault = next((fault for fault in night.faults if FAULTS[fault.name].exclusive_group == "process"), None)
        if "wrong_folder" in night.fault_names:
            self._run_in_wrong_folder(night)
        results: list[CommandResult] = []
        planned_commands: list[tuple[str, ...]] = [("forget", *person) for person in self.pending_forget_requests]
        planned_commands += [*self._commands_that_change_the_model(night), ("load",), ("run",)]
        disturbed_command = self._command_to_disturb(fault, planned_commands)
        for arguments in planned_commands:
            published_hash_before = file_hash(self.published_file)
            # raw.items loses its rows only after the load, because a load would bring the whole catalogue back
            is_lost = "raw_items_lost" in night.fault_names and arguments[0] == "run"
            with self._with_raw_items_emptied() if is_lost else nullcontext():
                if fault and fault.name == "two_runs" and arguments[0] == "run":
                    result = self._make_two_runs_at_once()
                else:
                    result = self.command_runner.run(arguments, fault if arguments == disturbed_command else None)
            if self.command_runner.fault_description:
                self.happenings.append(self.command_runner.fault_description)
            self._check_command_result(night, result, published_hash_before)
            self._note_texts_sold_before_copies()
            results.append(result)
            if result.exit_code == 0 and arguments[0] == "forget":
                self.pending_forget_requests.remove(arguments[1:3])
            if result.exit_code and arguments[0] in ("load", "forget"):
                break
        must_prevent_publication = any(FAULTS[name].must_prevent_publication for name in night.fault_names)
        if (
            self.has_unpublished_setting
            and not must_prevent_publication
            and results[-1].exit_code
            and ALLOW_SHRINK_OPTION in results[-1].output
        ):
            # a changed setting asks for shorter lists, so a person would follow the message and allow fewer rows
            results.append(self.command_runner.run(("publish", ALLOW_SHRINK_OPTION), None))
            self._check_command_result(night, results[-1], None)
        return results

    def _command_to_disturb(self, fault: Fault | None, planned_commands: list[tuple[str, ...]]) -> tuple[str, ...]:
        # most faults hit `run`, which takes most of a night; those at a rename or unlink always do, because `run`
        # publishes, and that renames and unlinks files
        if fault and fault.target < 0.3 and fault.name not in ("killed_at_rename", "killed_at_unlink", "two_runs"):
            return planned_commands[int(fault.target / 0.3 * (len(planned_commands) - 1))]
        return planned_commands[-1]

    def _commands_that_change_the_model(self, night: Night) -> list[tuple[str, ...]]:
        fault = next((fault for fault in night.faults if FAULTS[fault.name].exclusive_group == "models"), None)
        if not fault:
            return []
        if fault.name == "model_pinned":
            with self._open_warehouse() as connection:
                query = (
                    "select model_version from ml.models where weights is not null order by finished_at, model_version"
                )
                versions = [version for (version,) in connection.execute(query).fetchall()]
            return [("pin", versions[int(fault.target * len(versions))])] if versions else []
        return [("unpin",) if fault.name == "model_unpinned" else ("rollback",)]

    def _make_two_runs_at_once(self) -> CommandResult:
        both = [self.command_runner.start(("run", *WAIT_OPTION)) for _ in range(2)]
        results = [running.wait() for running in both]
        return next((result for result in results if result.exit_code), results[0])

    def _run_in_wrong_folder(self, night: Night) -> None:
        published_hash_before = file_hash(self.published_file)
        elsewhere = self.folder / "unmounted"
        result = self.command_runner.run(("run", "--warehouse", str(elsewhere / "warehouse.duckdb")), None)
        shutil.rmtree(elsewhere, ignore_errors=True)
        self._check_command_result(night, result, published_hash_before)
        require_failure(result, "wrong_folder")

    @contextmanager
    def _with_raw_items_emptied(self) -> Iterator[None]:
        """Empty raw.items while a command runs, as another tool might by mistake, and restore the rows afterwards."""
        path = str(self.folder / "warehouse.duckdb")
        with closing(duckdb.connect(path)) as connection:
            raw_items = connection.execute("from raw.items").to_arrow_table()  # noqa: F841 - a replacement scan reads it
            connection.execute("delete from raw.items")
        try:
            yield
        finally:
            with closing(duckdb.connect(path)) as connection:
                connection.execute("insert into raw.items by name from raw_items")

    # --- the checks ---

    def _check_command_result(
        self, night: Night, command_result: CommandResult, published_hash_before: str | None
    ) -> None:
        check_command_result(
            command_result,
            night.fault_names,
            has_fault_happened=bool(self.command_runner.fault_description),
            has_unpublished_setting=self.has_unpublished_setting,
            published_file=self.published_file,
            published_hash_before=published_hash_before,
        )

    def _restore_warehouse_if_damaged(self) -> Path | None:
        repair = restore_warehouse_if_damaged(self.folder / "warehouse.duckdb", self.command_runner)
        if not repair:
            return None
        self.happenings.append(f"the warehouse is damaged: {repair.damage}")
        return repair.backup_copy

    def _note_texts_sold_before_copies(self) -> None:
        names = [path.name for path in (self.folder / "backups").glob("*.duckdb")]
        self.sold_counts_before_copy = {
            name: self.sold_counts_before_copy.get(name, Counter(self.service.sold_text_counts)) for name in names
        }

    @contextmanager
    def _open_warehouse(self) -> Iterator[duckdb.DuckDBPyConnection]:
        try:
            connection = duckdb.connect(str(self.folder / "warehouse.duckdb"), read_only=True)
        except duckdb.Error as error:
            raise BrokenRule("the warehouse can be opened after each night", error) from error
        with closing(connection):
            if self.published_file.exists():
                connection.execute(f"attach '{self.published_file}' as published (read_only)")
            yield connection

    def check_warehouse(self, night: Night, was_published: bool) -> None:
        """Check the paid texts and the forgotten people; if the night has published, check all tables as well."""
        sold = self.service.sold_text_counts
        # a restored copy lacks all vectors that were bought after it was taken, also those of requests under way
        if self.copy_restored_in_last_night:
            max_lost_texts = 0
            sold_counts_since_copy = sold - self.sold_counts_before_copy[self.copy_restored_in_last_night.name]
        else:
            max_lost_texts = self.settings.max_texts_in_flight if night.fault_names & FAULTS_THAT_LOSE_ANSWERS else 0
            sold_counts_since_copy = Counter[str]()
        with self._open_warehouse() as connection:
            self.paid_text_accounts.check(connection, sold, max_lost_texts, sold_counts_since_copy)
            if self.shop.forgotten_ids and not self.pending_forget_requests:
                check_forgotten_people(
                    connection, [self.folder / ".nextmart", self.published_file], self.shop.forgotten_ids
                )
                if self.has_forgotten_in_last_night:
                    check_backup_copies(self.folder / "backups", self.shop.forgotten_ids)
            if was_published:
                values = self.settings.setting_values
                check_tables(connection, self.shop, values["vars.sequence_scope"], DIMENSIONS)
                check_publication_with_warehouse(connection, values["vars.recommendations_per_visitor"])


def with_fault_of_refused_catalogue(night: Night, shop: SimulatedShop) -> Night:
    """Return the night with the fault of the newest catalogue file added, if nextmart still refuses that file."""
    if shop.refused_catalogue_fault is None or shop.refused_catalogue_fault in night.fault_names:
        return night
    return replace(night, faults=(*night.faults, Fault(shop.refused_catalogue_fault, 0, 0)))
