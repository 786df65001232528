"""All kinds of faults, with the commands that may fail because of each, and the messages that they must print then."""

from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True)
class FaultKind:
    """One kind of fault.

    Attributes
    ----------
    exclusive_group : str
        Name of the fault's group: at most one fault of a group happens in a night.
    description : str
        What happens in the night, in words for the campaign's report.
    permitted_failures : dict of command -> regular expression
        The commands that may fail because of the fault, each with a pattern that the command's output must match.
        ``docs/operations.md`` has a table of these messages, and of what to type.
    must_prevent_publication : bool
        Whether a command in ``permitted_failures`` has to fail, so that the night publishes nothing.
    """

    exclusive_group: str
    description: str
    permitted_failures: dict[str, str] = field(default_factory=dict)
    must_prevent_publication: bool = False


COMMANDS = ("load", "run", "forget", "pin", "unpin", "rollback")
NO_SPACE = "no space is left on that disk|No space left on device"

FAULTS: Final = {
    "events_missing": FaultKind("events", "the file of a day's events comes a day late"),
    "events_empty": FaultKind("events", "the file of a day's events is empty, and is filled a day later"),
    "events_doubled": FaultKind("events", "each row comes twice, and the file once more under another name"),
    "events_out_of_order": FaultKind("events", "a day's events are shuffled, in files whose order is reversed"),
    "events_month_late": FaultKind("events", "the file of a day's events comes a month late"),
    "events_schema_changed": FaultKind(
        "events", "the column of the visitor is renamed", {"load": "events need visitor_id"}, True
    ),
    "items_missing": FaultKind("items", "the list of the catalogue does not come"),
    "items_empty": FaultKind("items", "the list of the catalogue is empty", {"load": "--allow-mass-withdrawal"}),
    "items_doubled": FaultKind("items", "each row of the catalogue comes twice"),
    "items_cut": FaultKind(
        "items", "the list is cut to 2 items", {"load": "--allow-mass-withdrawal", "run": "--allow-shrink"}, True
    ),
    "items_all_withdrawn": FaultKind("items", "no item is available any more", {"run": "--allow-shrink"}, True),
    "raw_items_lost": FaultKind(
        "rows", "raw.items is empty when the run starts, because a tool lost it", {"run": "--allow-shrink"}, True
    ),
    "wrong_folder": FaultKind("place", "the warehouse's path does not exist", {"run": "--create"}, True),
    "killed_at_write": FaultKind("process", "SIGKILL of all processes at a write"),
    "killed_at_fsync": FaultKind("process", "SIGKILL of all processes at an fsync"),
    "killed_at_rename": FaultKind("process", "SIGKILL of all processes at a rename"),
    "killed_at_unlink": FaultKind("process", "SIGKILL of all processes at an unlink"),
    "torn_write": FaultKind(
        "process", "half of a write reaches the disk, then SIGKILL", dict.fromkeys(COMMANDS, "nextmart restore")
    ),
    "one_killed": FaultKind(
        "process", "SIGKILL of the process that writes: nextmart, or its dbt",
        {"run": r"the dbt build was killed \(SIGKILL\)"},
    ),
    "killed_at_any_time": FaultKind("process", "SIGKILL of all processes at some time"),
    "disk_full": FaultKind(
        "process", "from a write on the disk is full",
        dict.fromkeys(COMMANDS, NO_SPACE),
    ),
    "clock_jumps_midway": FaultKind("process", "the clock jumps two days ahead in the middle of the night"),
    "two_runs": FaultKind("process", "two runs start at the same time, both with --wait"),
    "clock_ahead": FaultKind("clock", "the clock is 30 days ahead for a night"),
    "clock_back": FaultKind("clock", "the clock is 2 hours back for a night"),
    "clock_day_back": FaultKind("clock", "the clock is 26 hours back for a night"),
    "service_down": FaultKind("service", "the embedding service answers 503"),
    "service_slow": FaultKind("service", "the embedding service is slow, and limits its rate"),
    "service_wrong": FaultKind("service", "answers of the embedding service are damaged"),
    "service_breaks": FaultKind("service", "connections to the embedding service break"),
    "setting_changed": FaultKind("settings", "a setting has another value from now on"),
    "visitor_forgotten": FaultKind("person", "a visitor is forgotten"),
    "user_forgotten": FaultKind("person", "a user is forgotten"),
    "model_pinned": FaultKind("models", "a model is pinned", {"pin": "can't be pinned"}),
    "model_unpinned": FaultKind("models", "no model is pinned any more", {"unpin": "no model is pinned"}),
    "model_rolled_back": FaultKind(
        "models", "the model is rolled back", {"rollback": "nothing to roll back to|can't roll back to"}
    ),
}  # fmt: skip
"""The kinds of faults, by name."""

FAULTS_THAT_LOSE_ANSWERS: Final = {name for name, kind in FAULTS.items() if kind.exclusive_group == "process"} - {
    "clock_jumps_midway", "two_runs",
}  # fmt: skip
"""The faults that may lose vectors which were paid for, because the service's answer was still on its way."""
