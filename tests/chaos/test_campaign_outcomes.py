"""The words of the campaign's table, which name the fault that caused a night's end."""

import pytest

from benchmarks.chaos.commands import Ended
from benchmarks.chaos.outcomes import outcomes

LOADED, BUILT = Ended(("load",), 0, "", ""), Ended(("run",), 0, "", "")
KILLED = Ended(("run",), -9, "", "")
FULL = Ended(("forget", "--user", "u"), 1, "", "nextmart: no space is left on that disk")
HELD = Ended(("run",), 1, "", "nextmart publish --allow-shrink")


@pytest.mark.parametrize(
    ("names", "ended", "expected"),
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
def test_each_fault_is_told_how_its_night_ended_and_which_other_fault_caused_it(names, ended, expected):
    assert outcomes(names, ended, has_settled=ended[-1].code == 0, was_restored=False) == expected


def test_a_restored_copy_is_told_by_its_command():
    said = outcomes({"torn_write"}, [LOADED, KILLED], has_settled=False, was_restored=True)
    assert said == {"torn_write": "killed, the damaged file is restored with `nextmart restore`"}
