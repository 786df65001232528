"""What the campaign hears from the server of commands."""

import threading
from types import SimpleNamespace

from benchmarks.chaos.commands import CommandServer


def test_a_command_has_not_ended_because_an_earlier_one_had_its_process_id():
    commands = object.__new__(CommandServer)
    commands.server = SimpleNamespace(stdout=["started 7\n", "ended 7 0 0.5\n", "started 7\n"])
    commands.results_by_pid, commands.started_pids, commands.server_message = {}, [], threading.Condition()
    commands._read_server_messages()
    assert commands.started_pids == [7, 7]
    assert commands.results_by_pid == {}
