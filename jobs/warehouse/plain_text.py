"""Texts as people read them: without HTML's tags and character references, and with broken encodings mended."""

import html
import re

import ftfy

# Only elements of HTML are tags, since titles may hold other words between the signs: a List<String>, a size <M>
_INLINE = "a|abbr|acronym|b|bdi|bdo|big|cite|code|del|dfn|em|font|i|ins|kbd|mark|q|s|samp|small|span|strike|strong|sub|sup|tt|u|var|wbr"  # noqa: E501
_BLOCK = (
    "address|article|aside|audio|blockquote|body|br|button|caption|center|col|colgroup|dd|details|div|dl|dt|embed|"
    "fieldset|figcaption|figure|footer|form|h[1-6]|head|header|hr|html|iframe|img|input|label|legend|li|link|main|meta|"
    "nav|noscript|object|ol|option|p|picture|pre|section|select|source|summary|svg|table|tbody|td|textarea|tfoot|th|"
    r"thead|title|tr|ul|video|[a-z]{1,8}:[a-z]{1,20}"
)
_HIDDEN = "script|style|template"
# A quantifier that ends in + gives nothing back, so that a long text of unclosed tags takes no longer than another
_TAG = re.compile(
    rf"<(?P<end>/?)(?:(?P<inline>{_INLINE})|(?P<block>{_BLOCK})|(?P<hidden>{_HIDDEN}))(?=[\s/>])"
    r"""(?P<attributes>(?:[^<>"']|"[^"<]*"|'[^'<]*'|["'])*+)>"""
    r"|(?P<comment><!--)|(?P<comment_end>-->)|<!doctype[^<>]*>|<!\[CDATA\[|\]\]>",
    re.IGNORECASE,
)

MOST_ROUNDS = 10
"""How often a text is read anew at most, if every reading finds more to clean."""


def plain_text(text: str) -> str:
    """Return a text without HTML's tags and character references, and with a broken encoding mended.

    Character references, such as ``&amp;``, are replaced and tags are removed again and again until none is left, as
    feeds escape a text once, twice or not at all. So the result for the result is the same. Text between ``<script>``
    or ``<style>`` and their ends, and comments, are removed too; a tag between two blocks, such as ``<br>``, becomes a
    blank. UTF-8 that was read as another encoding (``CafÃ©``) is read anew. What stands for a letter that was lost
    before (``�``) stays, because nobody knows which letter it was.
    """
    for _ in range(MOST_ROUNDS):
        plain = mended_encoding(without_tags(unescape_html(text)))
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
    """Remove the tags of HTML's elements, comments, and what browsers don't show; ``a < b`` and ``<3`` stay.

    A script or a comment that doesn't end loses only its first tag.
    """
    if "<" not in text:
        return text
    parts: list[str] = []
    position = 0
    hidden_from: int | None = None  # the number of parts before the hidden one that is open
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
    """Tell a tag such as ``<b class="x">`` from two comparisons, as in ``a <b and c> d``."""
    words = (match["attributes"] or "").strip(" /").split()
    return len(words) < (1 if match["inline"] else 2) or "=" in match["attributes"]


def mended_encoding(text: str) -> str:
    """Read UTF-8 anew that was read as another encoding; other texts stay as they are."""
    return text if text.isascii() else ftfy.fix_encoding(text)
