"""The examples on real data, as their README lines say to run them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from jobs.data import read_sequences
from jobs.split import paper_split
from jobs.warehouse import connect

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture
def example(tmp_path, real_data):
    """Copy an example's settings to a fresh folder, load its data, and return a way to run commands there."""

    def prepare(name, data, **settings):
        shutil.copy(EXAMPLES / name / "nextmart.toml", tmp_path)
        # the command beside this interpreter, whether or not its environment is activated
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        environment = {**os.environ, "PATH": path, "NEXTMART_DATA": str(real_data(data).parent), **settings}

        def call(*command):
            done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
            return done.stderr

        call.folder = tmp_path
        call.loaded = call("bash", str(EXAMPLES / name / "load.sh"))
        return call

    return prepare


def test_amazon_beauty_gives_the_papers_sequences(example):
    call = example(
        "amazon_beauty", "amazon_beauty", NEXTMART_MODELS='["popularity"]', NEXTMART_EMBEDDING_PROVIDER="local"
    )
    assert "events: 198,502 loaded of 198,502 read (0 repeated, 0 known before)" in call.loaded
    again = call("bash", str(EXAMPLES / "amazon_beauty" / "load.sh"))
    assert "events: 0 loaded of 198,502 read (0 repeated, 198,502 known before)" in again
    call("python", "-c", SQL_SIDE)
    with connect(call.folder / "warehouse.duckdb") as connection:
        sequences = read_sequences(connection)
        assert connection.execute("select count(*) from staging.rejected_events").fetchone() == (0,)
        assert connection.execute("select count(*) from catalog.item_texts where text = ''").fetchone() == (7,)
    assert len(sequences) == 22_363
    assert sequences["items"].list.len().sum() == 198_502
    split = paper_split(sequences)
    assert (len(split.train), len(split.test)) == (17_890, 4_469)


def test_uci_online_retail_runs_to_published_tables(example):
    # no training by gradient here: the paths are the same, and a test should be quick
    call = example("uci_online_retail", "uci_online_retail", NEXTMART_MODELS='["popularity", "llmseqsim"]')
    call("nextmart", "run")
    with connect(call.folder / "warehouse.duckdb") as connection:
        reasons = dict(
            connection.execute("select reason, count(*) from staging.rejected_events group by all").fetchall()
        )
        assert set(reasons) == {"unknown_item"}  # postage, manual entries, adjustments
        codes = connection.execute("select distinct raw_row ->> 'item_id' from staging.rejected_events").fetchall()
        assert {"POST", "M", "DOT"} <= {code for (code,) in codes}
        cancelled = "select count(*) from staging.stg_events where event_type = 'cancellation'"
        assert connection.execute(cancelled).fetchone()[0] > 8_000
        learnt_from = "select count(*) from (select unnest(items) from sessions.sequences)"
        purchases = "select count(*) from staging.stg_events where event_type = 'purchase'"
        assert connection.execute(learnt_from).fetchone()[0] <= connection.execute(purchases).fetchone()[0]
    with duckdb.connect(str(call.folder / "published.duckdb"), read_only=True) as copy:
        visitors, rows = copy.execute(
            "select count(distinct visitor_id), count(*) from recommendations.visitor_recommendations"
        ).fetchone()
        assert visitors > 4_300
        assert rows == 20 * visitors
        values = dict(
            copy.execute(
                "select model, value from recommendations.model_leaderboard where metric = 'ndcg' and k = 20 "
                "and split = 'cutoff/test' and segment = 'all'"
            ).fetchall()
        )
    assert values["llmseqsim"] > values["popularity"] > 0


SQL_SIDE = """
from jobs import nightly
from jobs.settings import load_settings
nightly.dbt_build(load_settings(), ("--exclude", "tag:job"))
"""
