"""Make requests from texts: cut each text to the length that a model reads, and pack texts into few requests."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from jobs.embedding.provider import Provider, RequestLimits

# OpenAI checks the size of a request with its own estimate: four bytes of UTF-8 count as one token.
BYTES_PER_TOKEN = 4


@dataclass(frozen=True)
class TextToEmbed:
    """A text to embed.

    Attributes
    ----------
    text_hash : str
        Identifies the item's whole text.
    text : str
        The text that is sent to the provider: if the item's whole text is too long for the model, its beginning.
    token_count : int
        Tokens that the provider will charge for the text.
    length_note : str
        Says how much was cut off; "" for a whole text.
    """

    text_hash: str
    text: str
    token_count: int
    length_note: str = ""


def cut_to_token_limit(
    texts_with_hashes: Sequence[tuple[str, str]], provider: Provider, too_long_policy: Literal["truncate", "fail"]
) -> tuple[list[TextToEmbed], list[TextToEmbed]]:
    """Count the tokens of each text, and cut or reject texts that are too long for the provider's model.

    Parameters
    ----------
    texts_with_hashes : sequence of (text_hash, text)
    too_long_policy : str
        ``truncate`` cuts texts that are too long, ``fail`` rejects them.

    Returns
    -------
    accepted, rejected : lists of TextToEmbed
        In the order of ``texts_with_hashes``. The ``length_note`` of a rejected text says how long the text is.
    """
    counts = provider.count_tokens([text for _, text in texts_with_hashes])
    limit = provider.request_limits.tokens_per_text
    accepted, rejected = [], []
    for (text_hash, text), tokens in zip(texts_with_hashes, counts, strict=True):
        if limit is None or tokens <= limit:
            accepted.append(TextToEmbed(text_hash, text, tokens))
        elif too_long_policy == "truncate":
            shorter = provider.truncate_text(text, limit)
            note = f"too long: only the first {limit:,} of {tokens:,} tokens were embedded"
            accepted.append(TextToEmbed(text_hash, shorter, provider.count_tokens([shorter])[0], note))
        else:
            rejected.append(
                TextToEmbed(text_hash, text, tokens, f"too long: {tokens:,} tokens, the model reads {limit:,}")
            )
    return accepted, rejected


def pack_requests(
    texts: Iterable[TextToEmbed], request_limits: RequestLimits, batch_size: int
) -> Iterator[list[TextToEmbed]]:
    """Pack texts into requests, in the order of the texts, within the limits and at most ``batch_size`` texts each.

    A text that alone exceeds the token limit of a request is sent alone: the service decides about it.
    """
    max_texts = min(batch_size, request_limits.texts_per_request)
    request: list[TextToEmbed] = []
    request_tokens = 0
    for text in texts:
        # Both nextmart's count of the tokens and the service's estimate have to stay within the limit of a request.
        tokens = max(text.token_count, -(-len(text.text.encode()) // BYTES_PER_TOKEN))
        is_full = len(request) >= max_texts
        is_too_large = (
            request_limits.tokens_per_request is not None
            and request_tokens + tokens > request_limits.tokens_per_request
        )
        if request and (is_full or is_too_large):
            yield request
            request, request_tokens = [], 0
        request.append(text)
        request_tokens += tokens
    if request:
        yield request


def split_request(texts: list[TextToEmbed]) -> list[list[TextToEmbed]]:
    """Split a request into two halves, to narrow down which text the service rejects."""
    middle = len(texts) // 2
    return [texts[:middle], texts[middle:]]
