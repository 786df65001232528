"""The words of the campaign's table, which name the fault that caused a night's end."""

import pytest

from benchmarks.chaos.commands import CommandResult
from benchmarks.chaos.night_outcomes import outcomes_by_fault

LOADED, BUILT = CommandResult(("load",), 0, "", ""), CommandResult(("run",), 0, "", "")
KILLED = CommandResult(("run",), -9, "", "")
FULL = CommandResult(("forget", "--user", "u"), 1, "", "nextmart: no space is left on that disk")
HELD = CommandResult(("run",), 1, "", "nextmart publish --allow-shrink")


@pytest.mark.parametrize(
    ("fault_names", "results", "expected"),
    [
        (set(), [LOADED, BUILT], {"nothing": "done"}),
        ({"clock_back"}, [LOADED, BUILT], {"clock_back": "done"}),
        (
            {"clock_back", "killed_at_write"},
            [LOADED, KILLED],
            {
                "clock_back": "with killed_at_write: killed, goes on the next night",
                "killed_at_write": "killed, goes on the next night",
            },
        ),
        (
            {"user_forgotten", "disk_full"},
            [FULL],
            {
                "user_forgotten": "with disk_full: `forget` fails and says why",
                "disk_full": "`forget` fails and says why",
            },
        ),
        (
            {"wrong_folder", "items_all_withdrawn"},
            [LOADED, HELD],
            {
                "wrong_folder": "with items_all_withdrawn: refused there, then `run` fails and says why",
                "items_all_withdrawn": "`run` fails and says why",
            },
        ),
        ({"setting_changed"}, [LOADED, HELD], {"setting_changed": "`run` fails and says why"}),
    ],
)
def test_each_fault_is_told_how_its_night_ended_and_which_other_fault_caused_it(fault_names, results, expected):
    assert (
        outcomes_by_fault(fault_names, results, was_published=results[-1].exit_code == 0, was_restored=False)
        == expected
    )


def test_a_restored_copy_is_told_by_its_command():
    outcomes = outcomes_by_fault({"torn_write"}, [LOADED, KILLED], was_published=False, was_restored=True)
    assert outcomes == {"torn_write": "killed, the damaged file is restored with `nextmart restore`"}
