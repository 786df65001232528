"""What the campaign hears from the server of commands."""

import threading
from types import SimpleNamespace

from benchmarks.chaos.commands import Commands


def test_a_command_has_not_ended_because_an_earlier_one_had_its_process_id():
    commands = object.__new__(Commands)
    commands.server = SimpleNamespace(stdout=["started 7\n", "ended 7 0 0.5\n", "started 7\n"])
    commands.ended, commands.started, commands.news = {}, [], threading.Condition()
    commands._listen()
    assert commands.started == [7, 7]
    assert commands.ended == {}
