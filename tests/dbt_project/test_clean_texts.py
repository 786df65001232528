"""Texts of the catalogue as `stg_items` cleans them; those that were clean before keep their vectors."""

import hashlib

import pytest

TEXTS = {
    "<b>Cream</b>": "Cream",
    "&lt;b&gt;Face&lt;/b&gt; Cream": "Face Cream",
    "<p>Face</p><p>Cream</p>": "Face Cream",
    "<br>&nbsp;": None,
    "<script>alert('x')</script>": None,
    "a < b": "a < b",
    "I <3 you": "I <3 you",
    "CafÃ©": "Café",
    "Lâ€™OrÃ©al": "L’Oréal",
    "Ã  la carte": "à la carte",
    "РџСЂРёРІРµС‚": "Привет",
    "Caf√©": "Café",
    "Cafï¿½": "Caf\ufffd",
    "R&amp;D": "R&D",
    "Fa\u00adce": "Face",
    "\u200bFace\u200b \x01Cream\ufeff": "Face Cream",
    "Müller »Über«": "Müller »Über«",
    "MAÇÃ VERDE": "MAÇÃ VERDE",
    "Привет, С. Есенин": "Привет, С. Есенин",
    "Lamp": "Lamp",
}


def length_prefixed_hash(*parts: str) -> str:
    """The hash of a text as every version so far has made it."""
    return hashlib.sha256("".join(f"{len(part.encode())}:{part}" for part in parts).encode()).hexdigest()


def test_texts_are_cleaned_and_clean_texts_keep_their_hashes(warehouse):
    warehouse.add("items", [{"item_id": text, "title": text} for text in TEXTS], "2026-06-01 00:00:00+00")
    warehouse.run(select="stg_items items item_texts")
    with warehouse.open() as connection:
        titles = dict(connection.execute("select item_id, title from staging.stg_items").fetchall())
        hashes = dict(connection.execute("select item_id, text_hash from catalog.item_texts").fetchall())
    assert titles == {text.strip(" "): clean for text, clean in TEXTS.items()}
    for text in ("Lamp", "a < b", "I <3 you", "Müller »Über«", "MAÇÃ VERDE"):
        assert hashes[text] == length_prefixed_hash(text, "", ""), "an item would be embedded, and paid for, again"


def test_a_long_text_is_cut_and_labelled(warehouse):
    titles = {"long": "x" * 200_000, "tags": "<b>" * 60_000 + "Lamp", "short": "Lamp", "description": "Lamp"}
    items = [{"item_id": item, "title": title} for item, title in titles.items()]
    items[-1]["description"] = "d" * 9_000
    warehouse.add("items", items, "2026-06-01 00:00:00+00")
    warehouse.run(select="stg_items items item_texts")
    lengths = warehouse.rows("catalog.items", ["item_id", "length(title)", "length(description)"])
    assert lengths == [
        ("description", "4", "8000"), ("long", "8000", None), ("short", "4", None), ("tags", "4", None),
    ]  # fmt: skip
    labels = dict(warehouse.rows("catalog.item_texts", ["item_id", "text_status"]))
    assert labels == {"description": "ok", "long": "cut", "short": "ok", "tags": "ok"}
    warehouse.run("--vars", "{max_text_characters: 3}", select="stg_items items item_texts")
    assert warehouse.rows("catalog.item_texts", ["item_id", "text", "text_status"])[2] == ("short", "Lam", "cut")


@pytest.mark.parametrize("number", ["0", "-1", "many", "1.5"])
def test_a_length_that_makes_no_sense_is_refused(warehouse, number):
    with pytest.raises(AssertionError, match="max_text_characters is a whole number from 1"):
        warehouse.run("--vars", f"{{max_text_characters: {number}}}", command="compile", select="stg_items")
