"""How texts become requests: cut to what a model reads, and packed into as few requests as the limits allow."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from jobs.embedding.provider import Limits, Provider

BYTES_A_TOKEN = 4  # OpenAI checks a request's size with its own estimate: a quarter of a token a byte of UTF-8


@dataclass(frozen=True)
class Text:
    """A text that is to be embedded.

    Attributes
    ----------
    text : str
        What is sent: a beginning of the item's text where that is too long for the model.
    tokens : int
        How many tokens that will be charged for.
    note : str
        What was cut off; "" for a whole text.
    """

    text_hash: str
    text: str
    tokens: int
    note: str = ""


def fitted(
    rows: Sequence[tuple[str, str]], provider: Provider, policy: Literal["truncate", "fail"]
) -> tuple[list[Text], list[Text]]:
    """Count the tokens of (text_hash, text) rows, and hold too long ones to the policy.

    Returns
    -------
    fitting, too_long : lists of Text
        In the order of the rows. With ``truncate`` the second is empty; with ``fail`` its notes say how long each is.
    """
    counts = provider.count_tokens([text for _, text in rows])
    limit = provider.limits.text_tokens
    fitting, refused = [], []
    for (text_hash, text), tokens in zip(rows, counts, strict=True):
        if limit is None or tokens <= limit:
            fitting.append(Text(text_hash, text, tokens))
        elif policy == "truncate":
            shorter = provider.shorten(text, limit)
            note = f"too long: only the first {limit:,} of {tokens:,} tokens were embedded"
            fitting.append(Text(text_hash, shorter, provider.count_tokens([shorter])[0], note))
        else:
            refused.append(Text(text_hash, text, tokens, f"too long: {tokens:,} tokens, the model reads {limit:,}"))
    return fitting, refused


def requests(texts: Iterable[Text], limits: Limits, size: int) -> Iterator[list[Text]]:
    """Cut texts into requests, in their order: at most ``size`` texts each, and within the limits.

    A text that is over the request's limit by itself is a request of its own, for the service to judge.
    """
    size = min(size, limits.texts)
    request: list[Text] = []
    weight = 0
    for text in texts:
        # both the tokens and the service's estimate of them have to fit
        own = max(text.tokens, -(-len(text.text.encode()) // BYTES_A_TOKEN))
        full = len(request) >= size
        if request and (full or (limits.request_tokens is not None and weight + own > limits.request_tokens)):
            yield request
            request, weight = [], 0
        request.append(text)
        weight += own
    if request:
        yield request


def halves(texts: list[Text]) -> list[list[Text]]:
    """Cut a request in two, to find the text that a service won't take."""
    middle = len(texts) // 2
    return [texts[:middle], texts[middle:]]
