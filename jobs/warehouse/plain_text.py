"""Cleans texts: removes HTML tags, decodes HTML character references, and repairs text in a wrong encoding."""

import html
import re

import ftfy

# Only names of HTML elements make a tag, since titles may hold other words in angle brackets, such as List<String> or
# <M>
_INLINE = "a|abbr|acronym|b|bdi|bdo|big|cite|code|del|dfn|em|font|i|ins|kbd|mark|q|s|samp|small|span|strike|strong|sub|sup|tt|u|var|wbr"  # noqa: E501
_BLOCK = (
    "address|article|aside|audio|blockquote|body|br|button|caption|center|col|colgroup|dd|details|div|dl|dt|embed|"
    "fieldset|figcaption|figure|footer|form|h[1-6]|head|header|hr|html|iframe|img|input|label|legend|li|link|main|meta|"
    "nav|noscript|object|ol|option|p|picture|pre|section|select|source|summary|svg|table|tbody|td|textarea|tfoot|th|"
    r"thead|title|tr|ul|video|[a-z]{1,8}:[a-z]{1,20}"
)
_HIDDEN = "script|style|template"
# The quantifiers are possessive (they end in +), so that a long text of unclosed tags causes no slow backtracking
_TAG = re.compile(
    rf"<(?P<end>/?)(?:(?P<inline>{_INLINE})|(?P<block>{_BLOCK})|(?P<hidden>{_HIDDEN}))(?=[\s/>])"
    r"""(?P<attributes>(?:[^<>"']|"[^"<]*"|'[^'<]*'|["'])*+)>"""
    r"|(?P<comment><!--)|(?P<comment_end>-->)|<!doctype[^<>]*>|<!\[CDATA\[|\]\]>",
    re.IGNORECASE,
)

MAX_ROUNDS = 10
"""The most rounds of cleaning one text: cleaning is repeated as long as a round changes the text."""


def plain_text(text: str) -> str:
    """Remove HTML tags from a text, decode HTML character references, and repair text in a wrong encoding.

    Decoding character references, such as ``&amp;``, and removing tags are repeated until nothing changes, because
    feeds escape a text once, twice or not at all. So cleaning a cleaned text changes nothing. Text between ``<script>``
    or ``<style>`` and their ends, and comments, are removed too; a tag between two blocks, such as ``<br>``, becomes a
    blank. UTF-8 that was read as another encoding (``CafÃ©``) is repaired. A replacement character (``�``) stays,
    because nobody knows which letter it replaced.
    """
    for _ in range(MAX_ROUNDS):
        plain = repair_encoding(without_tags(unescape_html(text)))
        if plain == text or ("<" not in plain and "&" not in plain):
            return plain
        text = plain
    return text


def unescape_html(text: str) -> str:
    """Replace HTML's character references, such as ``&amp;``, again and again until none is left.

    A shop's feed may escape a text once, twice (``&amp;amp;``) or not at all, and may change over time. The function
    returns the same text in all these cases, and unescaping a text a second time changes nothing. Every replacement is
    shorter than its reference, so the loop ends.
    """
    while (plain := html.unescape(text)) != text:
        text = plain
    return text


def without_tags(text: str) -> str:
    """Remove HTML tags, comments, scripts and styles from a text; ``a < b`` and ``<3`` stay.

    If a script or a comment has no end, only its opening tag is removed.
    """
    if "<" not in text:
        return text
    parts: list[str] = []
    position = 0
    # number of kept parts before the open script, style or comment; None if none is open
    hidden_from: int | None = None
    for tag in _TAG.finditer(text):
        if not _is_tag(tag) or (tag["comment_end"] and hidden_from is None):
            continue
        parts.append(text[position : tag.start()])
        position = tag.end()
        is_start = (tag["hidden"] and not tag["end"]) or tag["comment"]
        if is_start:
            hidden_from = len(parts) if hidden_from is None else hidden_from
        elif tag["hidden"] or tag["comment_end"]:
            if hidden_from is not None:
                del parts[hidden_from:]
            hidden_from = None
        if not tag["inline"]:
            parts.append(" ")
    return "".join([*parts, text[position:]])


def _is_tag(match: re.Match[str]) -> bool:
    """Tell whether a match is a tag such as ``<b class="x">``, not two comparisons as in ``a <b and c> d``."""
    words = (match["attributes"] or "").strip(" /").split()
    return len(words) < (1 if match["inline"] else 2) or "=" in match["attributes"]


def repair_encoding(text: str) -> str:
    """Repair a text in UTF-8 that was read as another encoding (mojibake); return other texts unchanged."""
    return text if text.isascii() else ftfy.fix_encoding(text)
