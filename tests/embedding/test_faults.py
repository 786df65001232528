"""The embed job with OpenAI's own client against a fake service that fails on purpose."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from catalogue import Catalogue
from fake_openai import FAULTS, KEY, SPOILED, vector_of

from jobs.embedding.backfill import EmbedOptions
from jobs.embedding.request_dispatcher import PROBE_TEXT
from jobs.errors import NextmartError, UsageError
from jobs.warehouse.connection import connect, prepare_warehouse

TEXTS = {f"item-{number:02}": f"text {number}" for number in range(12)}
SHORT = {"embedding_patience_seconds": 0.5}  # where nothing comes of patience


@pytest.fixture
def full(catalogue, service):
    catalogue.write(**TEXTS)
    return catalogue


def bought(service):
    return {text: count for text, count in service.paid.items() if text != PROBE_TEXT and count}


def is_complete(catalogue, texts=TEXTS):
    return catalogue.by_item() == {item_id: vector_of(text).tolist() for item_id, text in texts.items()}


def test_without_faults_requests_go_together_and_each_text_is_paid_once(full, service):
    service.delay = 0.1
    summary = full.embed(embedding_requests_in_flight=3)
    assert is_complete(full)
    assert (summary["status"], summary["rows_out"]) == ("done", 12)
    assert bought(service) == dict.fromkeys(TEXTS.values(), 1)
    assert service.most_under_way == 3
    assert summary["detail"]["tokens"] == 36
    assert summary["cost"] == pytest.approx(36 / 1e6)


@pytest.mark.parametrize("form", ["base64", "lists"])
def test_both_forms_of_vectors_are_read(full, service, form):
    service.form = form
    full.embed()
    assert is_complete(full)


def test_a_shuffled_answer_is_put_right_by_index(full, service):
    service.faults = lambda texts: "shuffled"
    full.embed()
    assert is_complete(full)
    assert bought(service) == dict.fromkeys(TEXTS.values(), 1)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("max_requests_in_flight", [1, 3])
def test_a_passing_fault_is_waited_out_and_costs_nothing(full, service, fault, max_requests_in_flight):
    service.in_turn(fault, None, fault)
    summary = full.embed(embedding_requests_in_flight=max_requests_in_flight)
    assert is_complete(full)
    assert summary["status"] == "done"
    assert bought(service) == dict.fromkeys(TEXTS.values(), 1)


@pytest.mark.parametrize("fault", SPOILED)
def test_a_wrong_answer_is_never_stored_and_asked_for_again(full, service, fault):
    service.in_turn(fault)
    summary = full.embed(embedding_requests_in_flight=1)
    assert is_complete(full)
    assert summary["status"] == "done"
    again = {"NaN": 1, "zeros": 1}.get(fault, 4)  # only the one wrong vector is asked for again
    assert sum(bought(service).values()) + sum(service.spoiled.values()) == 12 + again
    if fault not in ("truncated", "other keys", "a page"):  # these answers don't say what they cost
        assert summary["detail"]["tokens"] == 3 * (12 + again)


@pytest.mark.parametrize("fault", ["NaN", "zeros"])
def test_a_text_whose_vector_is_always_wrong_is_given_up_by_name(full, service, fault):
    service.cursed = {"text 7"}
    service.faults = lambda texts: fault if "text 7" in texts else None
    summary = full.embed()
    assert full.labels() == {"item-07": ("failed", "the provider gave only vectors that are zero or not finite")}
    assert (summary["status"], summary["rows_out"], summary["detail"]["failed"]) == ("done", 11, 1)
    assert service.spoiled["text 7"] <= 4
    assert full.embed()["rows_in"] == 0


@pytest.mark.parametrize("poison", [["text 7"], ["text 0", "text 1", "text 10"], list(TEXTS.values())[1:]])
def test_a_refused_text_is_found_and_its_neighbours_go_through(full, service, poison):
    service.poison = {*poison}
    summary = full.embed()
    refused = {item_id for item_id, text in TEXTS.items() if text in poison}
    assert {item_id: status for item_id, (status, _) in full.labels().items()} == dict.fromkeys(refused, "failed")
    assert all("this text is not allowed" in error for _, error in full.labels().values())
    assert {item_id for item_id, vector in full.by_item().items() if vector is not None} == TEXTS.keys() - refused
    assert bought(service) == dict.fromkeys({*TEXTS.values()} - {*poison}, 1)
    assert (summary["status"], summary["detail"]["failed"]) == ("done", len(poison))

    before = len(service.asked)
    assert full.embed()["rows_in"] == 0, "a refused text is not asked about every night"
    assert len(service.asked) == before
    service.poison = set()
    assert full.embed(options=EmbedOptions(retry_failed=True))["rows_out"] == len(poison)
    assert is_complete(full)


def test_a_text_at_which_the_service_breaks_is_found_too(full, service):
    service.faults = lambda texts: "500" if "text 7" in texts else None
    full.embed()
    assert full.labels().keys() == {"item-07"}
    assert "500" in full.labels()["item-07"][1]
    assert bought(service) == dict.fromkeys({*TEXTS.values()} - {"text 7"}, 1)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("401", "doesn't accept OPENAI_API_KEY: check it"),
        ("quota", "quota of OPENAI_API_KEY is used up: add credit"),
        ("404", "doesn't know the model 'fake'"),
    ],
)
def test_what_only_a_person_can_mend_ends_the_run_at_once(full, service, fault, says):
    service.in_turn(None, *[fault] * 99)
    summary = full.embed(embedding_requests_in_flight=1)
    assert summary["status"] == "incomplete"
    assert says in summary["detail"]["ended_by"]
    assert len(service.asked) == 2
    assert len(full.stored()) == 4
    service.faults = lambda texts: None
    full.embed()
    assert is_complete(full)
    assert bought(service) == dict.fromkeys(TEXTS.values(), 1)


# Without NaN and zeros: a single wrong vector is the fault of its text, see the tests above.
@pytest.mark.parametrize("fault", [*FAULTS, *(fault for fault in SPOILED if fault not in ("NaN", "zeros")), "400"])
def test_a_service_that_is_down_ends_the_run_in_time_and_no_text_is_blamed(full, service, fault):
    service.in_turn(None, None, None)
    one = {"first": "the first text"}
    full.write(**one)
    full.embed()
    service.faults = lambda texts: fault
    full.write(**one, **TEXTS)
    started = time.monotonic()
    summary = full.embed(**SHORT)
    assert time.monotonic() - started < 12
    assert summary["status"] == "incomplete"
    assert full.labels() == {}, "nothing is wrong with the texts"
    service.faults = lambda texts: None
    full.embed()
    assert is_complete(full, {**one, **TEXTS})


def test_a_wait_without_end_is_not_waited_for(full, service):
    full.embed()
    full.write(**TEXTS, more="one more")
    service.server.clear()
    service.server.expect_request("/v1/embeddings").respond_with_json(
        {"error": {"message": "come back tomorrow"}}, status=429, headers={"Retry-After": "86400"}
    )
    started = time.monotonic()
    summary = full.embed()
    assert time.monotonic() - started < 6
    assert "come back tomorrow" in summary["detail"]["ended_by"]


def test_retry_after_holds_everybody_back(full, service):
    times = []

    def first_is_too_early(texts):
        times.append(time.monotonic())
        return "429 retry-after" if len(times) == 1 else None

    service.faults = first_is_too_early
    full.embed(embedding_requests_in_flight=1)
    assert times[1] - times[0] >= 0.05


def test_limits_that_the_service_announces_are_kept(catalogue, service):
    service.headers = {
        "x-ratelimit-limit-requests": "1200",
        "x-ratelimit-limit-tokens": "99999",
    }  # one request every 50 ms
    catalogue.write(**{f"item-{number:02}": f"text {number}" for number in range(80)})
    started = time.monotonic()
    catalogue.embed()
    assert len(service.asked) == 20
    assert time.monotonic() - started > 0.05 * 11  # eight requests may start before the first answer tells the limit


@pytest.mark.parametrize("key", [None, "", "  ", KEY + "\n"])
def test_without_a_usable_key_the_variable_to_set_is_named_and_nothing_sent(full, service, monkeypatch, key):
    if key is None:
        monkeypatch.delenv("OPENAI_API_KEY")
    else:
        monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(UsageError, match="OPENAI_API_KEY"):
        full.embed()
    assert service.asked == []


def test_one_request_carries_its_texts_the_model_and_the_size_where_the_model_has_one(full, service):
    full.embed()
    assert {(body["model"], body.get("dimensions")) for body in service.bodies} == {("fake", None)}
    full.embed(model={"model": "text-embedding-3-small", "dimensions": 3})
    assert {(body["model"], body.get("dimensions")) for body in service.bodies[-2:]} == {("text-embedding-3-small", 3)}


# --- the API key stays secret ---


@pytest.mark.parametrize("fault", [None, "400", "401", "quota", "500", "reset", "a page", "short"])
def test_the_key_is_nowhere_afterwards(service, tmp_path, monkeypatch, fault, capfd, caplog):
    """The key is in no error, no output, no log line and no file."""
    caplog.set_level("DEBUG")
    with connect(tmp_path / "warehouse.duckdb") as connection:
        prepare_warehouse(connection)
        catalogue = Catalogue(connection)
        catalogue.write(**TEXTS)
        service.in_turn(None, *[fault] * 99)
        catalogue.embed(**SHORT)
        with pytest.raises(NextmartError) if fault else memoryview(b"") as raised:
            service.faults = lambda texts: fault
            connection.execute("delete from ml.embeddings")
            catalogue.embed(**SHORT)
    said = capfd.readouterr()
    texts = [said.out, said.err, caplog.text, str(raised.value) if fault else ""]
    assert all(KEY not in text for text in texts)
    assert sum(KEY.encode() in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()) == 0
    assert fault != "401" or "<OPENAI_API_KEY>" in str(raised.value)


# --- Ctrl-C ---

INTERRUPTED = """
import sys
from pathlib import Path
sys.path[:0] = [{tests!r}]
from catalogue import Catalogue
from jobs.warehouse.connection import connect
with connect(Path({path!r})) as connection:
    try:
        Catalogue(connection).embed(embedding_requests_in_flight=2, embedding_timeout_seconds=5)
    except KeyboardInterrupt:
        sys.exit(130)
"""


def test_ctrl_c_keeps_what_is_under_way_and_asks_for_nothing_more(service, tmp_path):
    path = tmp_path / "warehouse.duckdb"
    with connect(path) as connection:
        prepare_warehouse(connection)
        Catalogue(connection).write(**TEXTS)
    service.delay = 1.0
    code = INTERRUPTED.format(tests=str(Path(__file__).parent), path=str(path))
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    while len(service.asked) < 2:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130, said
    assert "finishing the requests that are under way" in said
    assert len(service.asked) == 2
    with connect(path) as connection:
        assert len(Catalogue(connection).stored()) == 8
        assert Catalogue(connection).rows("select status, rows_out from ml.job_runs") == [("interrupted", 8)]
