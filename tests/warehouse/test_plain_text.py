"""Texts of feeds as people read them: HTML's tags and broken encodings go, all else stays."""

import time

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.warehouse.plain_text import plain_text
from jobs.warehouse.sql_functions import register_functions


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("<b>Cream</b>", "Cream"),
        ("<b>Cr</b>eam", "Cream"),
        ("<p>Face</p><p class='a>b'>Cream</p>", " Face  Cream "),
        ("Face<br>Cream<BR/>50 ml", "Face Cream 50 ml"),
        ("&lt;b&gt;Cream&lt;/b&gt;", "Cream"),
        ("<br>&nbsp;", " \xa0"),
        ("a<script>if (a < b) document.write('<b>x</b>')</script>b", "a b"),
        ("<style type='text/css'>p {color: red}</style>Cream", " Cream"),
        ("<!-- draft -->Cream", " Cream"),
        ("<![CDATA[Face <b>Cream</b>]]>", " Face Cream "),
        ("<o:p></o:p>Cream", "  Cream"),
        ('<img src="a.png" alt="x > y">Cream', " Cream"),
    ],
)
def test_tags_go_with_what_browsers_do_not_show(text, plain):
    assert plain_text(text) == plain


@pytest.mark.parametrize(
    "text",
    [
        "a < b", "a<b and c>d", "I <3 you", "5 < 6 > 4", "List<String>", "shirt <M>", "<- back ->", "a --> b",
        "<<<", "", "Jack & Jones", "R&D", "x <b", "Müller »Über« café", "MAÇÃ VERDE", "À LA CARTE", "Привет, С. Есенин",
        "日本 ☕", "50 €", "«Ça»", "ÂGE", "│├──┤",
    ],
)  # fmt: skip
def test_what_is_no_tag_and_no_broken_encoding_stays(text):
    assert plain_text(text) == text


BROKEN_ENCODINGS = [
    ("CafÃ©", "Café"),
    ("Caf&Atilde;&copy;", "Café"),
    ("Ã  la carte", "à la carte"),
    ("Ã‰clair", "Éclair"),
    ("â€œCreamâ€\x9d", "“Cream”"),
    ("Lâ€™OrÃ©al", "L’Oréal"),
    ("Â£5", "£5"),
    ("CafÃƒÂ©", "Café"),
    ("РџСЂРёРІРµС‚", "Привет"),
    ("Caf√©", "Café"),
    ("Cafï¿½", "Caf\ufffd"),
]


@pytest.mark.parametrize(("broken", "mended"), BROKEN_ENCODINGS)
def test_a_broken_encoding_is_mended_except_for_letters_that_are_lost(broken, mended):
    assert plain_text(broken) == mended


@given(st.text(alphabet=st.sampled_from("ab<>/!-&;ltgamp \"'ÃÂ©£é√РџСЂ\x80\x9d\xa0\ufffd"), max_size=40))
def test_a_plain_text_stays_as_it_is(text):
    plain = plain_text(text)
    assert plain_text(plain) == plain


@pytest.mark.parametrize("piece", ["<script>", "<!--", '<a "', "<p ", "<b>x", "&lt;", "Ã©", "<a '\"x", "<b x=1 "])
def test_a_long_text_of_rubbish_takes_no_long_time(piece):
    started_at = time.monotonic()
    plain_text(piece * (200_000 // len(piece)))
    assert time.monotonic() - started_at < 5


def test_many_texts_come_back_in_their_places():
    with duckdb.connect() as connection:
        register_functions(connection)
        wrong = connection.execute(
            "select count(*) from range(10_000) as numbers (n) "
            "where plain_text(case when n % 3 > 0 then '<b>' || n end) "
            "is distinct from case when n % 3 > 0 then n::varchar end"
        ).fetchone()
    assert wrong == (0,)
