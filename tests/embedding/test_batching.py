"""Texts become requests, and each item gets the vector of its own text."""

import unicodedata
from itertools import chain, pairwise

from catalogue import text_hash
from fake_openai import vector_of
from hypothesis import given
from hypothesis import strategies as st

from jobs.embedding.batching import TextToEmbed, cut_to_token_limit, pack_requests, split_request
from jobs.embedding.provider import RequestLimits
from jobs.embedding.providers.openai import OpenAIProvider

# --- requests ---

texts = st.lists(st.builds(TextToEmbed, st.uuids().map(str), st.text(max_size=40), st.integers(0, 50)), max_size=40)
limits = st.builds(RequestLimits, st.integers(1, 8), st.none(), st.none() | st.integers(1, 90))
sizes = st.integers(1, 10)


def weight(request):
    """Return the larger of a request's tokens and the service's estimate of them, a quarter of a token a byte."""
    return sum(max(text.token_count, len(text.text.encode()) / 4) for text in request)


@given(texts, limits, sizes)
def test_every_text_is_in_one_request_and_in_its_place(texts, limits, size):
    made = list(pack_requests(texts, limits, size))
    assert list(chain(*made)) == texts
    assert all(made)


@given(texts, limits, sizes)
def test_a_request_is_within_every_limit(texts, limits, size):
    for request in pack_requests(texts, limits, size):
        assert len(request) <= min(size, limits.texts_per_request)
        if limits.tokens_per_request is not None and len(request) > 1:
            assert weight(request) <= limits.tokens_per_request


@given(texts, limits, sizes)
def test_a_request_ends_only_where_the_next_text_would_break_a_limit(texts, limits, size):
    for request, following in pairwise(pack_requests(texts, limits, size)):
        longer = [*request, following[0]]
        # the bytes of each text are rounded up to whole tokens
        assert len(longer) > min(size, limits.texts_per_request) or (
            limits.tokens_per_request is not None and weight(longer) + len(longer) * 3 / 4 > limits.tokens_per_request
        )


def test_limits_are_used_up():
    texts = [TextToEmbed(str(number), "x" * 8, 2) for number in range(10)]
    assert [len(request) for request in pack_requests(texts, RequestLimits(99, None, 6), 99)] == [3, 3, 3, 1]
    assert [len(request) for request in pack_requests(texts, RequestLimits(99, None, 7), 99)] == [3, 3, 3, 1]
    assert [len(request) for request in pack_requests(texts, RequestLimits(4), 99)] == [4, 4, 2]
    assert [len(request) for request in pack_requests(texts, RequestLimits(99), 7)] == [7, 3]


def test_a_text_over_a_requests_limit_is_a_request_of_its_own():
    small, huge = TextToEmbed("a", "x", 1), TextToEmbed("b", "y", 301_000)
    made = list(pack_requests([small, huge, small], OpenAIProvider("text-embedding-3-small", 4).request_limits, 256))
    assert made == [[small], [huge], [small]]


def test_openais_own_estimate_of_a_requests_size_is_kept_to():
    many = [
        TextToEmbed(str(number), "x" * 603, 100) for number in range(4096)
    ]  # each text has 150.75 tokens by the service's estimate
    for request in pack_requests(many, OpenAIProvider("text-embedding-3-small", 4).request_limits, 4096):
        assert sum(len(text.text.encode()) for text in request) / 4 <= 300_000


def test_requests_are_made_as_texts_are_read():
    read = []

    def endless():
        while True:
            read.append(TextToEmbed("hash", "text", 1))
            yield read[-1]

    made = pack_requests(endless(), RequestLimits(4), 256)
    next(made)
    assert len(read) == 5
    next(made)
    assert len(read) == 9


@given(st.lists(st.builds(TextToEmbed, st.uuids().map(str), st.just("text"), st.just(1)), min_size=2, max_size=40))
def test_halves_are_all_of_a_request_and_neither_is_empty(texts):
    first, second = split_request(texts)
    assert first + second == texts
    assert 0 <= len(second) - len(first) <= 1


# --- texts that are too long for a model ---


class Words:
    """A provider that counts words as tokens, and reads at most so many."""

    def __init__(self, most):
        self.request_limits = RequestLimits(2048, most)

    def count_tokens(self, texts):
        return [len(text.split()) for text in texts]

    def truncate_text(self, text, max_tokens):
        return " ".join(text.split()[:max_tokens])


rows = st.lists(
    st.tuples(st.uuids().map(str), st.lists(st.sampled_from(["red", "靴", "cafe\u0301"]), max_size=9).map(" ".join)),
    max_size=20,
)


@given(rows, st.none() | st.integers(1, 6))
def test_too_long_texts_are_cut_in_their_place_and_say_so(rows, most):
    provider = Words(most)
    kept, refused = cut_to_token_limit(rows, provider, "truncate")
    assert refused == []
    assert [text.text_hash for text in kept] == [key for key, _ in rows]
    for text, (_, whole) in zip(kept, rows, strict=True):
        length = len(whole.split())
        assert whole.startswith(text.text)
        assert text.token_count == provider.count_tokens([text.text])[0]
        if most is None or length <= most:
            assert (text.text, text.length_note) == (whole, "")
        else:
            assert text.token_count == most
            assert text.length_note == f"too long: only the first {most} of {length} tokens were embedded"


@given(rows, st.none() | st.integers(1, 6))
def test_or_they_are_left_out_whole_with_their_length(rows, most):
    kept, refused = cut_to_token_limit(rows, Words(most), "fail")
    long = [(key, text) for key, text in rows if most is not None and len(text.split()) > most]
    assert [(text.text_hash, text.text) for text in kept] == [row for row in rows if row not in long]
    assert [(text.text_hash, text.text) for text in refused] == long
    assert all(text.length_note == "" for text in kept)
    assert [text.length_note for text in refused] == [
        f"too long: {len(text.split())} tokens, the model reads {most}" for _, text in long
    ]


# --- each item has the vector of its text (with OpenAI's own client) ---

SMALL = {"model": "text-embedding-3-small", "dimensions": 3}


def right(texts):
    return {item_id: vector_of(text, 3).tolist() for item_id, text in texts.items()}


def test_items_that_swap_texts_or_share_one_each_have_its_vector(catalogue, service):
    texts = {f"item-{number:02}": f"text {number % 7}" for number in range(20)}
    catalogue.write(**texts)
    catalogue.embed(model=SMALL)
    assert catalogue.by_item() == right(texts)
    texts["item-00"], texts["item-01"] = texts["item-01"], texts["item-00"]
    catalogue.write(**texts)
    catalogue.embed(model=SMALL)
    assert catalogue.by_item() == right(texts)
    assert sorted(chain(*service.asked)) == [f"text {number}" for number in range(7)], "each is paid for once"


def test_forms_of_one_word_in_unicode_are_texts_of_their_own(catalogue, service):
    texts = {form: unicodedata.normalize(form, "Schuhgröße für Señor Nguyễn ﬁ") for form in ("NFC", "NFD", "NFKC")}
    catalogue.write(**texts, again=texts["NFD"])
    catalogue.embed(model=SMALL)
    assert catalogue.by_item() == right({**texts, "again": texts["NFD"]})
    assert len(catalogue.stored()) == 3
    assert sorted(chain(*service.asked)) == sorted(texts.values()), "what is sent is what was hashed"


# A text of exactly 8,193 tokens, of which the last three are one character.
LONG = " garden" * 8190 + "👟"


def test_empty_and_too_long_texts_are_labelled_among_others(catalogue, service):
    provider = OpenAIProvider(dimensions=3, model_name=SMALL["model"])
    assert provider.count_tokens([LONG]) == [8193]
    cut = provider.truncate_text(LONG, 8191)
    assert LONG.startswith(cut)
    catalogue.write(a="red shoe", b="", c=LONG, d=" \n", e="hose")
    catalogue.embed(model=SMALL)
    assert catalogue.labels() == {
        "b": ("empty", None),
        "c": ("too_long", "too long: only the first 8,191 of 8,193 tokens were embedded"),
        "d": ("empty", None),
    }
    assert catalogue.by_item() == {**right({"a": "red shoe", "c": cut, "e": "hose"}), "b": None, "d": None}
    assert sorted(chain(*service.asked)) == sorted(["red shoe", cut, "hose"])
    # one token less than the model reads, since a character is never cut in half
    assert catalogue.rows("select tokens from ml.embeddings where text_hash = ?", text_hash(LONG)) == [(8190,)]


def test_a_too_long_text_is_not_sent_where_the_settings_say_so(catalogue, service):
    catalogue.write(a="red shoe", b=LONG)
    catalogue.embed(model=SMALL, embedding_too_long="fail")
    assert catalogue.labels() == {"b": ("too_long", "too long: 8,193 tokens, the model reads 8,191")}
    assert catalogue.by_item() == {**right({"a": "red shoe"}), "b": None}
    assert service.asked == [["red shoe"]]
