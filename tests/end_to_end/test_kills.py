"""Nights that are killed: the next run ends as if nothing had happened, and readers notice nothing."""

import itertools
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from embedding_service import WORDS, EmbeddingService
from final_tables import FINAL_TABLES
from polling_reader import poll_while_block_runs
from shop import Shop, visit
from warm_commands import start_warm

from jobs.orchestration.run_job import run_job
from jobs.settings import load_settings
from jobs.warehouse.connection import Connection, connect

BATCH = 8  # texts

# Everything is due again on the second night: other embeddings, another seed, new events, a new item.
# Two of its models leave checkpoints.
SECOND_NIGHT = f"""
    models = ["popularity", "llmseqsim", "sasrec", "llm2sasrec"]
    seed = 1
    embedding_batch_size = {BATCH}
    embedding_requests_in_flight = 1
    {WORDS}
"""

WHOLE_PUBLICATION = """
    select
        (select publish_run_id from recommendations.publication),
        (select count(*) from recommendations.visitor_recommendations)
        = 20 * (select count(*) from recommendations.visitor_recommendations_wide)
        and (select count(*) > 0 from recommendations.visitor_recommendations)
        and (select min(model_version) = max(model_version) from recommendations.visitor_recommendations)
        and (select max(model_version) from recommendations.visitor_recommendations)
        = (select model_version from recommendations.publication)
"""


class Night:
    """A ``nextmart run`` that can be killed with all its children; dbt's log tells which model has begun.

    The night is a fork of a process that has the packages at hand, or a process of the installed command.
    """

    def __init__(self, shop: Shop, environment: dict[str, str], log: Path, *, is_installed_command: bool) -> None:
        self.started_at = time.monotonic()
        log.touch()
        self.log = log.open()
        self.said = ""
        # on a busy machine, a build that was just killed takes a moment to die, and holds the lock until then
        command, of_shop = ["run", "--verbose", "--wait", "60"], shop.environment(**environment)
        if is_installed_command:
            with log.open("w") as stderr:
                self.process: subprocess.Popen | BaseProcess = subprocess.Popen(
                    shop.command(*command), cwd=shop.folder, env=of_shop, start_new_session=True,
                    stdout=subprocess.DEVNULL, stderr=stderr,
                )  # fmt: skip
        else:
            outputs = [Path(os.devnull), log]
            self.process = start_warm(command, shop.folder, of_shop, outputs, leads_group=True)

    def has_ended(self) -> bool:
        if isinstance(self.process, subprocess.Popen):
            return self.process.poll() is not None
        return not self.process.is_alive()

    def leads_group(self) -> bool:
        """Tell whether the process leads its group, as a fork does a moment after its start, until it ends."""
        try:
            return os.getpgid(self.process.pid) == self.process.pid
        except ProcessLookupError:
            return False

    def has_begun(self, model: str) -> bool:
        """Tell whether dbt has begun to build a model."""
        self.said += self.log.read()
        return any(" START " in line and f".{model} " in line for line in self.said.splitlines())

    def kill_when(self, reached: Callable[["Night"], object]) -> bool:
        """Kill once ``reached`` is true; return false if the run ended before."""
        while not self.has_ended():
            if self.leads_group() and reached(self):
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait() if isinstance(self.process, subprocess.Popen) else self.process.join()
                return True
            time.sleep(0.005)
        self.said += self.log.read()
        return False


@pytest.mark.skipif(os.name != "posix", reason="kills a process group")
def test_a_night_killed_again_and_again_ends_like_one_that_was_not(shop, tmp_path, httpserver):
    service = EmbeddingService(httpserver)
    items = [item for (item,) in shop.read("select item_id from recommendations.popular_items order by rank limit 5")]
    shop.load(
        items=[{"item_id": "brand-new", "title": "Steady kettle for slow mornings", "category": "Coffee > Kettles"}],
        events=visit("v00000001", items) + visit("v00000001", items[::-1], hour=12) + visit("a new visitor", items),
    )
    shop.set(SECOND_NIGHT)
    undisturbed = shop.copy(tmp_path / "undisturbed")
    undisturbed.call("run", **service.environment)
    texts_needed = service.texts.total()
    service.texts.clear()
    service.requests = 0

    any_time = random.Random(0).uniform(2, 6)  # seconds
    checkpoints = shop.folder / ".nextmart" / "checkpoints"
    seen = set()

    def new_checkpoint() -> bool:
        found = set(checkpoints.glob("*.safetensors")) - seen
        seen.update(found)
        return bool(found)

    moments = {
        "any time": lambda night: time.monotonic() - night.started_at > any_time,
        "sessions": lambda night: night.has_begun("session_items"),
        "the third request of embeddings": lambda night: service.requests >= 3,
        "the first model's checkpoint": lambda night: new_checkpoint(),
        "the second model's checkpoint": lambda night: new_checkpoint(),
        "recommending": lambda night: night.has_begun("recommend_items"),
        "public tables": lambda night: night.has_begun("visitor_recommendations"),
        "publishing": lambda night: (shop.folder / ".published.duckdb.unfinished").exists(),
    }
    with poll_while_block_runs(shop.published, WHOLE_PUBLICATION, pause_seconds=0.05) as reader_log:
        for moment, reached in moments.items():
            log = tmp_path / f"{moment}.log"
            night = Night(shop, service.environment, log, is_installed_command=moment == "any time")
            assert night.kill_when(reached), f"{moment}: {night.said}"
        shop.call("run", "--wait", "60", **service.environment)

    for name, query in FINAL_TABLES.items():
        ordered = f"from ({query.format(public='published.recommendations')}) order by all"
        assert shop.rows(ordered) == undisturbed.rows(ordered), name
    assert shop.broken_invariants() == {}

    assert reader_log.errors == []
    assert reader_log.read_count > 100
    publications = [publication for publication, _ in reader_log.rows]
    assert [whole for _, whole in reader_log.rows] == ["True"] * len(publications)
    assert publications == sorted(set(publications))
    assert 2 <= len(publications) <= 4

    for job in ("embed", "train", "evaluate", "recommend", "publish"):
        *earlier, last = [recorded["status"] for recorded in shop.job_runs(job)]
        assert last in ("done", "unchanged")
        assert "running" not in earlier
        assert "interrupted" in earlier or job not in ("embed", "train")
    kills_while_buying = [recorded["status"] for recorded in shop.job_runs("embed")].count("interrupted")
    lost_answers = kills_while_buying * BATCH  # one request is in flight at a time
    assert service.texts.total() <= texts_needed + lost_answers, "a text is paid for twice only if its answer was lost"
    assert list(checkpoints.iterdir()) == []
    assert sorted(path.name for path in shop.folder.iterdir()) == sorted(
        path.name for path in undisturbed.folder.iterdir()
    )


TABLES_OF_RECOMMEND = (
    """
        select * exclude (run_id, generated_at) from ml.recommendations
        where run_id = (select arg_max(run_id, started_at) from ml.job_runs where job = 'recommend' and status = 'done')
        order by all
    """,
    "select * exclude (run_id) from ml.similar_items order by all",
)
STATUSES_OF_RECOMMEND = "select status from ml.job_runs where job = 'recommend' order by started_at"


class Dying:
    """A connection of a process that is killed at its nth statement: no later one is carried out either."""

    def __init__(self, connection: Connection, statements: int) -> None:
        self.connection, self.left = connection, statements

    def __getattr__(self, name: str) -> object:
        return getattr(self.connection, name)

    def execute(self, *arguments: object) -> Connection:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return self.connection.execute(*arguments)


@pytest.mark.parametrize("due", ["everybody", "one visitor"])
def test_recommend_killed_at_any_statement_ends_like_one_that_was_not(shop, tmp_path, monkeypatch, due):
    """Die at statement n, for n = 1, 2, … until a run goes through; a run after each must mend it."""
    monkeypatch.chdir(shop.folder)
    settings = load_settings(warehouse=shop.warehouse)
    if due == "everybody":
        settings = load_settings(vars={"recommendations_per_visitor": 7, "similar_items_per_item": 5})
    else:
        with connect(shop.warehouse) as connection:
            forget = "update ml.recommendations set sequence_hash = 0 where visitor_id = 'v00000001'"
            connection.execute(forget)
    prepared = shop.warehouse.read_bytes()

    def run_and_read() -> tuple[list[list[tuple]], list[str]]:
        """Run the job; return what it has committed: the tables that it writes, and the status of each of its runs."""
        with connect(shop.warehouse) as connection:
            run_job("recommend", connection, settings)
            with connection.cursor() as reader:
                return (
                    [reader.execute(query).fetchall() for query in TABLES_OF_RECOMMEND],
                    [status for (status,) in reader.execute(STATUSES_OF_RECOMMEND).fetchall()],
                )

    wanted, _ = run_and_read()

    for statements in itertools.count():
        shop.warehouse.write_bytes(prepared)
        with connect(shop.warehouse) as connection:
            dying = Dying(connection, statements)
            with suppress(KeyboardInterrupt):
                run_job("recommend", dying, settings)
        tables, statuses = run_and_read()
        assert tables == wanted, f"killed at statement {statements}"
        assert "running" not in statuses
        if dying.left >= 0:
            break
    assert statements > 10
    assert statuses == ["done", "done", "unchanged"]
