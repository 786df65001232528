"""Despite random faults and kills at random moments each text is paid for once, except requests in flight at a kill.

Every run is a process of its own, which the test kills with SIGKILL after a random time, or lets end. What a killed run
had bought and not yet stored is lost, and may be no more than the requests that were under way. At the end the server's
count of every text must be one, plus one for each time that it was so lost; and the store that of an undisturbed run.
"""

import os
import random
import signal
import sys
import time
from collections import Counter
from multiprocessing import forkserver, get_context
from pathlib import Path

import pytest
from catalogue import Catalogue, text_hash
from embed_process import AT_ONCE, BATCH, embed
from fake_openai import KEY, vector_of

from jobs.warehouse.connection import connect, prepare_warehouse

RUNS = 200
TEXTS = [f"text {number}" for number in range(40)]
PASSING = ["429", "429 retry-after", "500", "503", "reset", "cut off", "shuffled", "time-out"]


@pytest.fixture
def processes(monkeypatch):
    """The context of processes that start in a fraction of a second, as forks of a server that has loaded everything.

    The server is this test's own: Python's one server in each process is left to the tests that fork whole commands,
    which need more packages. A fork of those would take longer.
    """
    server = forkserver.ForkServer()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)]))
    server.set_forkserver_preload(["warm"])
    monkeypatch.setattr(forkserver, "connect_to_new_process", server.connect_to_new_process)
    yield get_context("forkserver")
    server._stop()


@pytest.mark.skipif(os.name != "posix", reason="kills processes")
def test_each_text_is_paid_once_whatever_happens(service, tmp_path, processes):
    environment = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": service.server.url_for("/v1")}
    chance = random.Random(0)
    service.delay = 0.01
    # the first run also starts the fork server
    _, whole_run_seconds = (
        seconds_of_an_undisturbed_run(processes, tmp_path / f"undisturbed_{number}.duckdb", environment)
        for number in range(2)
    )
    service.faults = lambda texts: chance.choice(PASSING) if chance.random() < 0.15 else None
    runs = kills = kills_that_lost = round_ = 0
    while runs < RUNS:
        round_ += 1
        path = tmp_path / f"round_{round_}.duckdb"
        write_catalogue(path)
        service.paid.clear()
        lost, kills_in_round = Counter(), 0
        while True:
            paid_before = service.paid.copy()
            child = processes.Process(target=embed, args=(path, environment))
            child.start()
            runs += 1
            child.join(chance.uniform(0.1, 0.9) * whole_run_seconds if kills_in_round < 8 else None)
            child.kill()
            child.join()
            killed = child.exitcode == -signal.SIGKILL
            quiet(service)
            with connect(path) as connection:
                stored = Catalogue(connection).stored()
            gone = {text for text in service.paid - paid_before if text_hash(text) not in stored}
            lost.update(gone)
            if not killed:
                assert child.exitcode == 0
                assert gone == set()
                break
            kills += 1
            kills_in_round += 1
            kills_that_lost += bool(gone)
            assert len(gone) <= BATCH * AT_ONCE
        assert stored == {
            **{text_hash(text): vector_of(text).tolist() for text in TEXTS},
            text_hash(""): None,
            text_hash(" "): None,
        }
        assert service.paid == Counter(TEXTS) + lost
        with connect(path) as connection:
            statuses = [
                status for (status,) in Catalogue(connection).rows("select status from ml.job_runs order by started_at")
            ]
        assert statuses[-1] == "done"
        assert {*statuses[:-1]} <= {"interrupted", "done"}  # done: killed after it had recorded its end
    assert kills > RUNS / 2
    assert kills_that_lost > 10, "the kills came at moments that show nothing"


def write_catalogue(path):
    with connect(path) as connection:
        prepare_warehouse(connection)
        catalogue = Catalogue(connection)
        catalogue.write(**{f"item-{place}": text for place, text in enumerate([*TEXTS, *TEXTS[:5], "", " "])})


def seconds_of_an_undisturbed_run(processes, path, environment):
    """How long a run takes on this machine, so that kills come while runs are under way."""
    write_catalogue(path)
    started_at = time.monotonic()
    child = processes.Process(target=embed, args=(path, environment))
    child.start()
    child.join()
    assert child.exitcode == 0
    return time.monotonic() - started_at


def quiet(service):
    """Wait until the server has handled all requests that reached it."""
    seen = None
    while seen != (seen := (len(service.asked), service.under_way)) or service.under_way:
        time.sleep(0.03)
