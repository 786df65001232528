"""`nextmart embed --dry-run`: its plan is what a run then does and costs, and planning costs nothing."""

import json
import sys
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from catalogue import FAKE, Catalogue, text_hash

from jobs.cli import main
from jobs.embedding import plan
from jobs.embedding.plan import plan_embedding
from jobs.embedding.providers import local
from jobs.errors import UsageError
from jobs.services.openai_tokenizer import cl100k_base
from jobs.settings import Settings
from jobs.warehouse.connection import connect, prepare_warehouse

TEXTS = {"a": "red shoe", "b": "garden hose, 20 m", "c": "red shoe", "d": "靴 スニーカー", "e": "", "f": " \n"}
UNIQUE = ["red shoe", "garden hose, 20 m", "靴 スニーカー"]
EVERYTHING = ["ml.embeddings", "ml.embedding_batches", "ml.embedding_batch_texts", "ml.job_runs", "catalog.item_texts"]


def settings_of(model=None, **settings):
    entry = {**FAKE["embedding_models"]["fake"], **(model or {})}
    return Settings(**settings, vars={"embedding_model": "fake", "embedding_models": {"fake": entry}})


def tokens_of(texts):
    return sum(len(cl100k_base().encode_ordinary(text)) for text in texts)


def everything(catalogue):
    return {table: catalogue.rows(f"from {table} order by all") for table in EVERYTHING}


@pytest.fixture
def planned(catalogue, service):
    """Return a function that makes plans, and checks that planning writes no row and sends no request."""

    def make(model=None, retry_failed=False, **settings):
        before, asked = everything(catalogue), len(service.server.log)
        found = plan_embedding(catalogue.connection, settings_of(model, **settings), retry_failed)
        assert everything(catalogue) == before
        assert len(service.server.log) == asked
        return found

    return make


def test_a_plan_counts_items_texts_and_tokens_and_the_batch_costs_half(catalogue, planned):
    catalogue.write(**TEXTS)
    direct, batch = planned({"price": 2})
    assert (direct.provider, batch.provider) == ("openai", "openai-batch")
    for found in (direct, batch):
        assert (found.embedding_model, found.items, found.texts) == ("fake", 4, 3)
        assert found.tokens == tokens_of(UNIQUE)
    assert direct.cost == pytest.approx(tokens_of(UNIQUE) * 2 / 1e6)
    assert batch.cost == direct.cost / 2
    assert batch.minutes == 24 * 60


def test_the_plan_of_the_way_that_is_set_comes_first(catalogue, planned):
    catalogue.write(**TEXTS)
    assert [found.provider for found in planned({"provider": "openai-batch"})] == ["openai-batch", "openai"]


def test_a_plan_comes_true(catalogue, service, planned):
    catalogue.write(**TEXTS)
    texts, tokens = planned()[0].texts, planned()[0].tokens
    summary = catalogue.embed()
    assert summary["rows_in"] == summary["rows_out"] == texts
    # the tokens that were counted here are stored, not those that the service reports
    assert catalogue.rows("select sum(tokens) from ml.embeddings") == [(tokens,)]
    found = planned()
    assert [(row.items, row.texts, row.tokens, row.cost, row.minutes) for row in found] == [(0, 0, 0, 0.0, 0.0)] * 2


def test_only_what_is_missing_is_planned(catalogue, planned):
    catalogue.write(a="red shoe")
    catalogue.embed()
    catalogue.write(**TEXTS)
    assert (planned()[0].items, planned()[0].texts, planned()[0].tokens) == (2, 2, tokens_of(UNIQUE[1:]))
    another_size = planned({"dimensions": 3})[0]
    assert (another_size.items, another_size.texts) == (4, 3), "which has vectors of its own"


def test_failed_texts_are_planned_where_they_are_asked_for(catalogue, service, planned):
    service.poison = {"red shoe"}
    catalogue.write(**TEXTS)
    catalogue.embed()
    assert planned()[0].texts == 0
    again = planned(retry_failed=True)[0]
    assert (again.items, again.texts, again.tokens) == (2, 1, tokens_of(["red shoe"]))


@pytest.mark.parametrize(("ended_at", "left"), [(None, 2), (datetime(2026, 1, 1, tzinfo=UTC), 3)])
def test_texts_under_way_in_a_batch_are_not_planned_again(catalogue, planned, ended_at, left):
    catalogue.write(**TEXTS)
    catalogue.rows(
        "insert into ml.embedding_batches by name select 'mine' as submission_id, 'fake' as embedding_model, "
        "4 as dimensions, 'in_progress' as status, 1 as texts, 2 as tokens, 0 as results, 'run' as run_id, "
        "now() as created_at, ?::timestamptz as ended_at",
        ended_at,
    )
    catalogue.rows("insert into ml.embedding_batch_texts values ('mine', ?, 2, null)", text_hash("red shoe"))
    assert [found.texts for found in planned()] == [left, left]
    assert planned({"dimensions": 3})[0].texts == 3


def write_many(catalogue, texts):
    catalogue.write()
    catalogue.rows(
        "insert into catalog.item_texts select unnest(?), unnest(?), unnest(?)",
        *([str(place) for place in range(len(texts))], texts, list(map(text_hash, texts))),
    )


def test_tokens_of_many_texts_are_estimated_closely(catalogue, planned):
    chance = Random(0)
    words = ["garden", "hose", "靴", "スニーカー", "Schuhgröße", "👟", "20 m", "SKU-4711/B", "for", "the", "حذاء"]
    texts = [" ".join(chance.choices(words, k=chance.randint(1, 40))) + f" {place}" for place in range(4000)]
    write_many(catalogue, [*texts, *texts[:500]])
    (found, _) = planned()
    assert (found.items, found.texts) == (4500, 4000)
    assert found.tokens == pytest.approx(tokens_of(texts), rel=0.05)
    assert found == planned()[0], "the same is said each time"
    write_many(catalogue, texts[: plan.SAMPLE_SIZE])
    assert planned()[0].tokens == tokens_of(texts[: plan.SAMPLE_SIZE]), "so many are simply counted"


def test_a_too_long_text_costs_what_is_sent_of_it(catalogue, planned):
    long = "garden " * 9000
    catalogue.write(a=long, b="red shoe")
    small = {"model": "text-embedding-3-small", "dimensions": 3}
    assert [found.tokens for found in planned(small)] == [8191 + 2] * 2
    assert planned(small, embedding_too_long="fail")[0].tokens == 2


def test_an_unknown_price_is_an_unknown_cost(catalogue, planned):
    catalogue.write(**TEXTS)
    assert [found.cost for found in planned({"price": None})] == [None, None]


def test_minutes_follow_from_what_the_service_allows(catalogue, planned):
    catalogue.write(**TEXTS)
    for settings, minutes in [
        ({"embedding_batch_size": 1}, 3 / 3000),  # one text a request, at the rate of a new customer
        ({"embedding_batch_size": 1, "embedding_requests_per_minute": 2}, 3 / 2),
        ({"embedding_tokens_per_minute": 5}, tokens_of(UNIQUE) / 5),
        ({"embedding_requests_per_minute": 1, "embedding_tokens_per_minute": 10**9}, 3 / 256),
    ]:
        assert planned(**settings)[0].minutes == pytest.approx(minutes), settings


def earlier_run(catalogue, run_id, *, ago=1, minutes=10, texts=2000, rows_out=2000, status="done", **detail):
    started = datetime(2026, 1, 31, tzinfo=UTC) - timedelta(days=ago)
    said = {"embedding_model": "fake", "provider": "openai", "texts": texts, **detail}
    catalogue.rows(
        "insert into ml.job_runs by name select ? as run_id, 'embed' as job, ? as started_at, ? as finished_at, "
        "? as status, ? as rows_in, ? as rows_out, ? as detail",
        *(run_id, started, started + timedelta(minutes=minutes), status, texts, rows_out, json.dumps(said)),
    )


def test_minutes_follow_from_the_newest_run_that_did_enough(catalogue, planned):
    catalogue.write(**TEXTS)
    earlier_run(catalogue, "older", ago=9, minutes=500)
    earlier_run(catalogue, "right", ago=5, minutes=10, texts=2000)
    earlier_run(catalogue, "of few texts", minutes=500, texts=9, rows_out=9)
    earlier_run(catalogue, "broken off", minutes=500, status="incomplete")
    earlier_run(catalogue, "of batches too", minutes=500, texts=9, under_way=0)
    earlier_run(catalogue, "another model", minutes=500, embedding_model="text-embedding-3-small")
    earlier_run(catalogue, "another provider", minutes=500, provider="local")
    catalogue.rows("insert into ml.job_runs (run_id, job, started_at, status) values ('t', 'train', now(), 'done')")
    direct, batch = planned()
    assert direct.minutes == pytest.approx(3 * 10 / 2000)
    assert batch.minutes == 24 * 60


# --- the bundled model ---


def test_this_machines_own_model_costs_nothing_but_time(catalogue, planned):
    catalogue.write(**TEXTS)
    (found,) = planned({"provider": "local", "model": "all-MiniLM-L6-v2", "dimensions": 384, "price": None})
    assert (found.provider, found.items, found.texts, found.cost) == ("local", 4, 3, 0)
    assert 0 < found.minutes < 1
    assert found.tokens > 3


def test_with_nothing_missing_no_model_is_loaded(catalogue, planned, monkeypatch):
    monkeypatch.setattr(local, "bundled_model_folder", lambda: pytest.fail("loads a model"))
    catalogue.write(e="", f=" \n")
    (found,) = planned({"provider": "local", "model": "all-MiniLM-L6-v2", "dimensions": 384})
    assert (found.items, found.texts, found.tokens, found.cost, found.minutes) == (0, 0, 0, 0, 0)


def test_the_way_a_run_embeds_is_the_way_that_is_timed(catalogue, planned, monkeypatch):
    """The timing shares the texts out among all threads."""
    write_many(catalogue, [f"text {place}" for place in range(1000)])
    shares = []
    monkeypatch.setattr(local.LocalProvider, "max_requests_in_flight", 3)
    monkeypatch.setattr(local.LocalProvider, "embed", lambda self, texts: shares.append(len(texts)))
    planned({"provider": "local", "model": "all-MiniLM-L6-v2", "dimensions": 384})
    assert sorted(shares) == [21, 21, 22]


def test_an_unknown_provider_is_an_error_before_anything(catalogue, planned):
    catalogue.write(**TEXTS)
    with pytest.raises(UsageError, match=r"did you mean 'openai'\?"):
        planned({"provider": "openia"})


# --- the command line ---

SETTINGS = """
warehouse = "shop.duckdb"
embedding_timeout_seconds = 0.3
embedding_patience_seconds = 0.5

[vars]
embedding_model = "fake"

[vars.embedding_models.fake]
provider = "openai"
dimensions = 4
price = 2

[vars.embedding_models.other]
provider = "openai"
dimensions = 4
"""


@pytest.fixture
def nextmart(service, tmp_path, monkeypatch, capsys):
    """Return a function that runs a command on a small warehouse, and returns its exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "nextmart.toml").write_text(SETTINGS)
    with connect(tmp_path / "shop.duckdb") as connection:
        prepare_warehouse(connection)
        Catalogue(connection).write(**TEXTS)

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["nextmart", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return ended.value.code, said.out, said.err

    return call


def cells(said):
    lines = [line.replace("│", "|").replace("┃", "|") for line in said.splitlines()]
    return [[cell.strip() for cell in line.strip("| ").split("|")] for line in lines if "|" in line]


def test_a_dry_run_prints_a_line_for_each_way(nextmart, service, tmp_path):
    code, said, progress = nextmart("embed", "--dry-run")
    assert (code, progress) == (0, "")
    tokens = tokens_of(UNIQUE)
    names, *ways = cells(said)
    assert names == ["provider", "model", "items", "texts", "tokens", "cost", "minutes"]
    assert [way[:5] for way in ways] == [[way, "fake", "4", "3", str(tokens)] for way in ("openai", "openai-batch")]
    assert [float(way[5].removeprefix("$")) for way in ways] == pytest.approx(
        [tokens * 2 / 1e6, tokens / 1e6], abs=5e-5
    )
    assert [way[6] for way in ways] == ["0.0", "1,440.0"]
    assert "Nothing was spent" in said
    assert service.asked == []
    with connect(tmp_path / "shop.duckdb") as connection:
        stored = everything(Catalogue(connection))
        assert [table for table, rows in stored.items() if rows] == ["catalog.item_texts"], "not even a run is recorded"


def test_a_dry_run_for_machines_is_json_on_stdout_alone(nextmart, service):
    code, out, said = nextmart("embed", "--dry-run", "--json")
    assert (code, said, service.asked) == (0, "", [])
    found = json.loads(out)
    assert (found["job"], found["status"]) == ("embed", "planned")
    tokens = tokens_of(UNIQUE)
    assert [(way["provider"], way["items"], way["texts"], way["tokens"], way["cost"]) for way in found["plans"]] == [
        ("openai", 4, 3, tokens, pytest.approx(tokens * 2 / 1e6)),
        ("openai-batch", 4, 3, tokens, pytest.approx(tokens / 1e6)),
    ]


def test_another_model_or_provider_is_planned_for_as_asked(nextmart):
    code, out, _ = nextmart("embed", "--dry-run", "--json", "--model", "other")
    assert code == 0
    assert [(way["embedding_model"], way["cost"]) for way in json.loads(out)["plans"]] == [("other", None)] * 2
    code, out, _ = nextmart("embed", "--dry-run", "--json", "--provider", "openai-batch")
    assert code == 0
    assert [(way["embedding_model"], way["provider"]) for way in json.loads(out)["plans"]] == [
        ("fake", "openai-batch"),
        ("fake", "openai"),
    ]


def test_another_model_is_filled_beside_the_one_that_serves(nextmart, tmp_path):
    for words in ([], ["--model", "other"]):
        assert nextmart("embed", *words)[0] == 0
    with connect(tmp_path / "shop.duckdb") as connection:
        counted = "select embedding_model, dimensions, count(embedding) from ml.embeddings group by all order by all"
        assert Catalogue(connection).rows(counted) == [("fake", 4, 3), ("other", 4, 3)]


def test_wrong_usage_says_what_would_be_right_and_sends_nothing(nextmart, service):
    for words, says in [
        (["--model", "text-embeding-3-smal"], "did you mean 'text-embedding-3-small'?"),
        (["--model", "fakee"], "did you mean 'fake'?"),
        (["--provider", "openai-bach"], "did you mean 'openai-batch'?"),
        (["--max-cost", "-1"], "max-cost"),
        (["--max-cost", "much"], "max-cost"),
    ]:
        for dry_run in ([], ["--dry-run"]):
            code, out, said = nextmart("embed", *words, *dry_run)
            assert (code, out, service.asked) == (2, "", []), words
            assert says in said, words
    code, _, said = nextmart("embed", "--model", "other", "--max-cost", "1")
    assert (code, service.asked) == (2, [])
    assert "--max-cost needs a price" in said


def test_a_run_that_ends_early_says_why_and_that_it_did(nextmart, service, tmp_path):
    service.faults = lambda texts: "quota"
    code, out, said = nextmart("embed", "--json")
    assert code == 1, "there is no vector to go on with"
    assert "add credit" in json.loads(out)["error"]
    assert "quota of OPENAI_API_KEY is used up" in said

    service.faults = lambda texts: None
    assert nextmart("embed")[0] == 0
    with connect(tmp_path / "shop.duckdb") as connection:
        Catalogue(connection).write(**TEXTS, more="one more")
    service.faults = lambda texts: "quota"
    code, out, said = nextmart("embed", "--json")
    assert code == 1
    assert "embed ended early; the vectors that exist will do meanwhile: the quota of OPENAI_API_KEY" in said
    assert json.loads(out)["status"] == "incomplete"
    code, out, _ = nextmart("embed")
    assert code == 1
    assert "embed: incomplete: 0 of 1 texts embedded with fake" in out


def test_money_that_does_not_suffice_ends_a_run_early_too(nextmart, service):
    code, _, said = nextmart("embed", "--max-cost", "0")
    assert code == 1
    assert "that --max-cost allows" in said
    assert service.asked == []


def test_without_the_tables_the_command_to_build_them_is_named(nextmart, tmp_path):
    with connect(tmp_path / "empty.duckdb") as connection:
        prepare_warehouse(connection)
    code, _, said = nextmart("embed", "--dry-run", "--warehouse", "empty.duckdb")
    assert code == 1
    assert "run `nextmart run` once" in said
    assert nextmart("embed", "--dry-run", "--warehouse", "absent.duckdb")[0] == 1
    assert not (tmp_path / "absent.duckdb").exists()
