"""Nights with LLMSeqPrompt at a fake service, killed with SIGKILL at each step and started again.

A night is a process of its own: the commands train, evaluate, recommend and publish, OpenAI's client, a warehouse file.
The service kills it, when a request comes or when that is done and not answered yet; so does a word that the process
sends it before each command.
"""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pytest
from fake_fine_tuning import BASE
from fake_openai import KEY
from werkzeug import Response

from jobs.language_models.openai_model import REQUESTS_IN_FLIGHT
from jobs.orchestration.run_job import run_job
from jobs.publishing.publish import publish
from jobs.settings import Settings, load_settings
from jobs.warehouse.clock import now
from jobs.warehouse.connection import connect, prepare_warehouse
from jobs.warehouse.dbt_macros import dbt_model_sql
from jobs.warehouse.job_runs import JobRun

ITEMS = 48
SETTINGS = f"""
    models = ["llmseqprompt"]
    prompt_max_cost = 1.0
    [parameters.llmseqprompt]
    provider = "openai"
    language_model = "{BASE}"
    mapping = "none"
    samples = 4
"""
TABLES = """
    create schema sessions;
    create schema catalog;
    create schema recommendations;
    create table catalog.items (item_id varchar, title varchar, category varchar, price double, available boolean);
    create table catalog.item_embeddings (item_id varchar, embedding float[], text_hash varchar);
    create table sessions.sequences (
        sequence_id varchar, visitor_id varchar, items varchar[], event_times timestamptz[], ended_at timestamptz
    );
    create view sessions.latest_sequences as
        select visitor_id, items from sessions.sequences order by ended_at desc limit 20;
    create view recommendations.popular_items as
        select (row_number() over (order by item_id))::integer as rank, item_id, title, 1.0::double as score
        from catalog.items;
    create view recommendations.similar_items as select *, '' as similar_title from ml.similar_items;
"""
PUBLIC = "select * exclude (generated_at, model_version) from recommendations.visitor_recommendations order by all"
# Tables that a kill must not change.
FINAL = {
    "fine-tunings": "select * exclude (created_at, ended_at) from ml.fine_tunes order by all",
    "answers": "select * exclude (created_at) from ml.completions order by all",
    "figures": "select * exclude (model_version, measured_at) from ml.model_metrics order by all",
    "lists": PUBLIC,
    "models": "select model, status from ml.models",
}

# One entry for each night: the moment it is killed, and its first request, which shows how far the last night got.
NIGHTS = [
    (("files", 1), "files"),  # only the plan of a fine-tuning is recorded
    (("upload, done", 1), "jobs"),  # the training file is uploaded, but not recorded
    (("upload", 1), "jobs"),  # the training file is recorded, the validation file not uploaded
    (("create", 1), "jobs"),
    (("create, done", 1), "jobs"),  # the job is created, but not recorded
    (("job", 1), "jobs"),  # the job is recorded
    (("job, done", 2), "job"),  # the job is running
    (("chat", REQUESTS_IN_FLIGHT + 4), "job"),  # the job has ended; questions about the validation cases
    (("chat, done", 2), "chat"),
    (("evaluate", 1), "chat"),
    (("chat", REQUESTS_IN_FLIGHT + 4), "chat"),  # questions about the test cases
    (("recommend", 1), "chat"),
    (("chat, done", REQUESTS_IN_FLIGHT + 4), "chat"),  # questions about the visitors
    (("publish", 1), "chat"),
]


@pytest.fixture
def shop(tmp_path):
    """A folder with settings, a warehouse whose visitors go around all items, and published popular items."""
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "nextmart.toml").write_text(SETTINGS)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    with connect(folder / "warehouse.duckdb") as connection:
        prepare_warehouse(connection)
        connection.execute(TABLES)
        for item in range(ITEMS):
            connection.execute(
                "insert into catalog.items values (?, ?, '', null, true)", [f"i{item:02}", f"Item {item}"]
            )
            vector = np.eye(384)[item].tolist()
            connection.execute("insert into catalog.item_embeddings values (?, ?, '')", [f"i{item:02}", vector])
        for row in range(240):
            times = [start + timedelta(hours=row, minutes=step) for step in range(3 + row % 2)]
            items = [f"i{(row * 7 + step) % ITEMS:02}" for step in range(len(times))]
            connection.execute(
                "insert into sessions.sequences values (?, ?, ?, ?, ?)",
                [f"s{row:03}", f"v{row}", items, times, times[-1]],
            )
        query = dbt_model_sql("recommendations/visitor_recommendations.sql", {}, {"items": "catalog.items"})
        connection.execute("create view recommendations.visitor_recommendations as " + query)
        run_job("recommend", connection, load_settings())
        publish(connection, Settings(published=folder / "published.duckdb"), JobRun("publish", "publish", now()))
    return folder


@pytest.fixture
def start(fake, prompt_server):
    """A function that runs a night in a folder, to its end or until a moment occurs for the nth time."""

    def hear(request):
        fake._reach(request.path.rpartition("/")[2])
        return Response()

    prompt_server.expect_request(re.compile("/v1/begins/")).respond_with_handler(hear)
    nights = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("forked_nights.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )

    def start(folder, moment=None, count=1):
        left = iter(range(count - 1, -1, -1))
        known, dead = threading.Event(), threading.Event()

        def strike():
            known.wait()
            if next(left, 1) == 0:
                os.kill(process, signal.SIGKILL)
                dead.wait(10)
                raise ConnectionAbortedError  # the service drops the request

        fake.at = {moment: strike} if moment else {}
        print(folder, file=nights.stdin, flush=True)
        process = int(nights.stdout.readline())
        known.set()
        code = int(nights.stdout.readline())
        dead.set()
        return code

    yield start
    nights.stdin.close()
    nights.wait()
    nights.stdout.close()


def rows(folder, copy, queries):
    """Query a copy of a warehouse, so that only the next night opens the files that the last night left."""
    for name in ("warehouse.duckdb", "warehouse.duckdb.wal"):
        (copy / name).unlink(missing_ok=True)
        if (folder / name).exists():
            shutil.copy(folder / name, copy / name)
    with connect(copy / "warehouse.duckdb") as connection:
        return {name: connection.execute(query).fetchall() for name, query in queries.items()}


def published(folder):
    with duckdb.connect(str(folder / "published.duckdb"), read_only=True) as connection:
        return connection.execute(PUBLIC).fetchall()


def hashed(body):
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


@pytest.mark.skipif(os.name != "posix", reason="kills processes")
def test_nights_killed_at_each_step_end_like_one_that_was_not_and_buy_nothing_twice(shop, start, fake, tmp_path):
    yesterday = published(shop)
    undisturbed = shutil.copytree(shop, tmp_path / "undisturbed")
    copy = tmp_path / "copy"
    copy.mkdir()
    fake.course = ["validating_files", "running", "running", "succeeded"]
    assert start(undisturbed) == 0, (undisturbed / "said").read_text()
    wanted = rows(undisturbed, copy, FINAL)
    assert published(undisturbed) == wanted["lists"] != yesterday
    assert {row[4] for row in yesterday} != {row[4] for row in wanted["lists"]}
    bought = fake.paid.copy()
    assert set(bought.values()) == {1}
    fake.forget()

    kept = set()  # hashes of the requests whose answers are recorded
    lives = [*NIGHTS, ((None, 0), "chat")]
    for (moment, count), first in lives:
        asked, questions = len(fake.asked), len(fake.questions)
        code = start(shop, moment, count)
        said = f"night to be killed at {moment}: {(shop / 'said').read_text()}"
        assert code == (-signal.SIGKILL if moment else 0), said
        requests = fake.asked[asked:]
        assert not requests or requests[0] == first, said
        assert not kept & {hashed(body) for body in fake.questions[questions:]}, said
        found = rows(shop, copy, {**FINAL, "hashes": "select request_hash from ml.completions"})
        assert kept <= {key for (key,) in found["hashes"]}
        assert len(found["hashes"]) - len(kept) >= requests.count("chat") - REQUESTS_IN_FLIGHT, said
        kept = {key for (key,) in found["hashes"]}
        assert found["lists"] in (yesterday, wanted["lists"]), said
        assert published(shop) == (yesterday if moment else wanted["lists"]), said

    for name in FINAL:
        assert found[name] == wanted[name], name
    assert (len(fake.files), len(fake.jobs)) == (2, 1)
    lost = fake.paid - bought
    assert all(what.startswith("answers to") for what in lost)
    assert 2 <= lost.total() <= REQUESTS_IN_FLIGHT * sum(moment.startswith("chat") for (moment, _), _ in NIGHTS)
    assert KEY not in (shop / "said").read_text()
