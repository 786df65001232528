"""The meaning of single values: null words, times, prices and availability, as dbt's macros read them."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.dbt_vars import default_vars
from jobs.errors import UsageError
from jobs.warehouse.connection import connect
from jobs.warehouse.dbt_macros import dbt_macros

# the files with the macros for the meaning of single values need no others
VALUE_MACROS = ("dialect.sql", "values.sql", "times.sql", "prices.sql", "availability.sql")
MACROS = dbt_macros(*VALUE_MACROS)


@pytest.fixture(scope="module")
def connection():
    with connect(Path(":memory:")) as opened:
        yield opened


def read(connection, sql, texts):
    """Read all texts in one query, because a text must not change what its neighbours mean."""
    rows = connection.execute(
        f"select place, {sql} from (select unnest($texts::varchar[]) as text, "
        "unnest(range(len($texts::varchar[]))) as place) order by place",
        {"texts": texts},
    ).fetchall()
    return [value for _, value in rows]


def check(connection, sql, expected):
    found = dict(zip(expected, read(connection, sql, list(expected)), strict=True))
    assert {text: value for text, value in found.items() if value != expected[text]} == {}


# --- null words ---

NULLS = ["nan", "NaN", "NULL", "null", "None", "\\N", "(not set)", "-", "N/A", "NA", "<NA>", "undefined", " NA ", ""]
WORDS = ["Nan", "Na", "na", "Null", "Nonesuch", "NA-1", "0", "NANA", "a-b", "none of these", "N", "not", "'"]


def test_null_words_are_null_and_words_like_them_are_not(connection):
    sql = MACROS.default__null_word_as_null("text", default_vars()["null_words"])
    check(connection, sql, dict.fromkeys(NULLS) | {word: word for word in WORDS})


def test_own_null_words_replace_the_list(connection):
    check(connection, MACROS.default__null_word_as_null("text", ["it's"]), {"it's": None, "NA": "NA", " x ": "x"})
    check(connection, MACROS.default__null_word_as_null("text", []), {"NULL": "NULL", "": None})
    with pytest.raises(UsageError, match="null_words is a list of texts"):
        MACROS.default__null_word_as_null("text", "NULL")


def test_null_words_are_looked_up_without_a_join(connection):
    sql = MACROS.default__null_word_as_null("text", default_vars()["null_words"])
    plan = connection.execute(f"explain select {sql} from (values ('NA')) as texts (text)").fetchall()[0][1]
    assert "JOIN" not in plan


# --- times ---

NOON = datetime(2026, 1, 31, 10, 0, 0, tzinfo=UTC)
MORNING = datetime(2026, 1, 31, tzinfo=UTC)
TIMES = {
    "1793714706": datetime.fromtimestamp(1793714706, UTC),
    "1793714706.0": datetime.fromtimestamp(1793714706, UTC),
    "1793714706.": datetime.fromtimestamp(1793714706, UTC),
    "1793714706123": datetime.fromtimestamp(1793714706, UTC) + timedelta(milliseconds=123),
    "1793714706123.0": datetime.fromtimestamp(1793714706, UTC) + timedelta(milliseconds=123),
    "1793714706123456": datetime.fromtimestamp(1793714706, UTC) + timedelta(microseconds=123456),
    "1793714706123456789": datetime.fromtimestamp(1793714706, UTC) + timedelta(microseconds=123456),
    "1.793714706123456256e+18": datetime.fromtimestamp(1793714706, UTC) + timedelta(microseconds=123456),
    "1396860669.277": datetime(2014, 4, 7, 8, 51, 9, 277000, UTC),
    "1.43E+12": datetime.fromtimestamp(1_430_000_000, UTC),
    "1.43e9": datetime.fromtimestamp(1_430_000_000, UTC),
    "-86400": datetime(1969, 12, 31, tzinfo=UTC),
    "99999": datetime(1970, 1, 2, 3, 46, 39, tzinfo=UTC),
    "20260131": MORNING,
    "20260131.0": MORNING,
    "20260131100000": NOON,
    "20260131100000.0": NOON,
    "20260131T100000Z": NOON,
    "20260131T100000": NOON,
    "20260131T1000": NOON,
    "20260131T1000Z": NOON,
    "20260131 100000": NOON,
    "20260131T110000+01": NOON,
    "20260131110000 +0100": NOON,
    "2026-01-31 11:00:00 +0100": NOON,
    "2026-01-31T06:30 -03:30": NOON,
    "2026-01-31 10:00:00 Z": NOON,
    "2026-01-31T10:00Z": NOON,
    "2026-01-31 11:00+01": NOON,
    "2026/1/31 11:00+01:00": NOON,
    "20260131T110000+0100": NOON,
    "20260131T110000.000+01:00": NOON,
    "20260131T100000.250Z": NOON + timedelta(milliseconds=250),
    "2026-01-31 10:00:00": NOON,
    "2026-01-31T10:00": NOON,
    "2026-1-31": MORNING,
    "2026/01/31 10:00:00": NOON,
    "2026-01-31 10:00:00,123": NOON + timedelta(milliseconds=123),
    "2026-01-31T11:00:00,5+01:00": NOON + timedelta(milliseconds=500),
    "2026-01-31T10:00:00.123456789Z": NOON + timedelta(microseconds=123456),
    "2026-01-31 10:00:00 UTC": NOON,
    "2026-01-31 10:00:00 gmt": NOON,
    "2026-01-31 11:00:00 Europe/Berlin": NOON,
    "2026-01-31 07:00:00 America/Argentina/Buenos_Aires": NOON,
    "2026-01-31 02:00:00 PST8PDT": NOON,
    "epoch": datetime(1970, 1, 1, tzinfo=UTC),
}  # fmt: skip
# a time that can be read in two ways, or in none
NO_TIMES = [
    "01/02/2021", "01/02/2021 1:45 PM", "12/1/2010 8:26", "31.12.2021 10:00", "31-12-2021", "12-11-10", "1/2/3",
    "01/02/2021 10:00 UTC", "yesterday", "", "0", "-5", "2026", "20261331", "19000230", "20260131250000",
    "-9223372036854775808",     "20260131T10000Z", "2026-02-30", "1e99", "99999999999999999999", "1.2.3",
    "2026-01-31 10:00:00 Nowhere/Land",
    # British summer time or Bangladesh; of India, Israel or Ireland; New York or Sydney; Atlantic or Alaska
    "2026-07-31 10:00:00 BST", "2026-01-31 10:00:00 IST", "2026-01-31 10:00:00.5EST", "2026-01-31T10:00:00ast",
]  # fmt: skip


def test_times_are_read_in_every_form(connection):
    check(connection, MACROS.default__to_timestamp_utc("text"), TIMES | dict.fromkeys(NO_TIMES))


FORMS = [
    lambda at: at.isoformat(),
    lambda at: at.isoformat().replace("+00:00", "Z"),
    lambda at: at.isoformat(" ").replace(".", ","),
    lambda at: at.astimezone(tz=None).isoformat(),
    lambda at: f"{at:%Y/%m/%d %H:%M:%S.%f}",
    lambda at: f"{at:%Y%m%dT%H%M%S.%fZ}",
    lambda at: f"{at:%Y%m%d %H%M%S.%f}",
    lambda at: f"{at:%Y%m%d%H%M%S.%f}",
    lambda at: f"{microseconds(at) // 10**6}.{microseconds(at) % 10**6:06}",
    lambda at: str(microseconds(at)),
    lambda at: f"{microseconds(at)}.0",
    lambda at: f"{microseconds(at)}000",
    lambda at: f"{Decimal(microseconds(at)):.18e}",
]


def microseconds(at):
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.datetimes(datetime(1995, 1, 1), datetime(2099, 12, 31), timezones=st.just(UTC)), max_size=5))
def test_an_instant_in_any_form_reads_back_to_the_same_instant(connection, instants):
    texts = [form(at) for at in instants for form in FORMS]
    expected = [at for at in instants for _ in FORMS]
    assert read(connection, MACROS.default__to_timestamp_utc("text"), texts) == expected


# --- prices ---

PRICES = {
    "12.99": 12.99, "12,99": 12.99, " 10 ": 10, "€1.299,00": 1299, "$9": 9, "12.99 USD": 12.99, "1,299.00": 1299,
    "1 299,00 kr": 1299, "1'299.00": 1299, "1’299.00": 1299, "1\u00a0299,00\u00a0€": 1299, "1\u202f299,5": 1299.5,
    "CHF 1'299.50": 1299.5, "USD12": 12, "US$ 12.99": 12.99, "R$ 12,99": 12.99, "12,99 zł": 12.99, "12,- €": 12,
    "12.–": 12, "Fr. 12.50": 12.5, "Rs. 1,29,900": 129900, "£0.99": 0.99, "£.99": 0.99, "0,999": 0.999, "0.999": 0.999,
    "1,299,000": 1299000, "1.299.000": 1299000, "1.299.000,5": 1299000.5, "12 345 678": 12345678, "1 299": 1299,
    "1299,000": 1299, "1299.000": 1299, "-5": -5, "-12,50": -12.5, "$-5": -5, "-$5": -5, "$12.99 USD": 12.99,
    "1e3": 1000, "12.": 12, ".5": 0.5, "12,5": 12.5, "12,3456": 12.3456, "99 Kč": 99, "TRY 5": 5, "5 eur": 5, "0": 0,
}  # fmt: skip
NO_PRICES = [
    "", "free", "from 12", "12-15", "12.99 - 15.99", "12 pcs", "top 10", "try 5", "1,299,00", "1.299.00", "12,99.00",
    "12 34", "NaN", "1e999", "inf", "1.2.3", "$", "EUR", "SKU12", "12 €/kg", ",", "-", "1'29",
]  # fmt: skip
AMBIGUOUS = {
    "1,299": (1299, 1.299), "€1.299": (1.299, 1299), "-1,299 kr": (-1299, -1.299),
    "999,999": (999999, 999.999),
}  # fmt: skip


def test_prices_are_read_with_currencies_and_either_decimal_sign(connection):
    for sign in (None, ".", ","):
        check(connection, MACROS.default__to_price("text", sign), PRICES | dict.fromkeys(NO_PRICES))


def test_a_price_that_can_be_read_in_two_ways_is_read_by_the_setting_alone(connection):
    unread = dict.fromkeys(AMBIGUOUS)
    check(connection, MACROS.default__to_price("text", None), unread | {"1.299": 1.299, " 1.299 ": 1.299})
    english = {text: values[0] for text, values in AMBIGUOUS.items()} | {"1.299": 1.299}
    german = {text: values[1] for text, values in AMBIGUOUS.items()} | {"1.299": 1299}
    check(connection, MACROS.default__to_price("text", "."), english)
    check(connection, MACROS.default__to_price("text", ","), german)
    with pytest.raises(UsageError, match="price_decimal_sign: ';' is neither"):
        MACROS.default__to_price("text", ";")


def grouped(cents, thousands, decimal):
    return f"{cents // 100:,}".replace(",", thousands) + f"{decimal}{cents % 100:02}"


STYLES = [
    lambda cents: f"{cents // 100}.{cents % 100:02}",
    lambda cents: f"{cents // 100},{cents % 100:02}",
    lambda cents: grouped(cents, ",", "."),
    lambda cents: grouped(cents, ".", ","),
    lambda cents: grouped(cents, " ", ","),
    lambda cents: grouped(cents, "\u00a0", "."),
    lambda cents: grouped(cents, "'", "."),
]
CURRENCIES = ["{}", "€{}", "{} €", "$ {}", "{} USD", "eur {}", "{}kr", "CHF {}", "US${}", "-{}"]


@settings(deadline=None, max_examples=10)
@given(st.lists(st.integers(0, 10**12), max_size=5), st.sampled_from([None, ".", ","]))
def test_a_price_in_any_style_reads_back_to_the_same_number(connection, prices, sign):
    written = [(cents, style, currency) for cents in prices for style in STYLES for currency in CURRENCIES]
    texts = [currency.format(style(cents)) for cents, style, currency in written]
    expected = [float(Decimal(cents) / 100) * (-1 if currency == "-{}" else 1) for cents, _, currency in written]
    assert read(connection, MACROS.default__to_price("text", sign), texts) == expected


# --- availability ---

AVAILABLE = (
    """
    InStock|in_stock|in stock|IN-STOCK|https://schema.org/InStock|http://schema.org/PreOrder|schema:BackOrder|preorder
    pre-order|backorder|onbackorder|LimitedAvailability|OnlineOnly|InStoreOnly|MadeToOrder|PreSale|active|publish
    Enabled|continue|available|available for order|true|TRUE|yes|Y|t|on|1|25|0.5|3.0| true |ja|J|WAHR|Auf Lager
    lieferbar
""".replace("\n    ", "|")
    .strip("|\n ")
    .split("|")
)
UNAVAILABLE = (
    """
    OutOfStock|out_of_stock|out of stock|Out-Of-Stock|https://schema.org/OutOfStock|https://www.schema.org/SoldOut
    sold out
    SoldOut|Discontinued|Reserved|outofstock|draft|archived|private|pending|trash|Disabled|inactive|unlisted|unavailable
    not available|false|FALSE|F|no|No| n |off|0|0.0|-1|-3.5|00|nein|Nein|FALSCH|ausverkauft|Nicht lieferbar
    nicht verfügbar
""".replace("\n    ", "|")
    .strip("|\n ")
    .split("|")
)
UNKNOWN = ["", "deny", "on request", "maybe", "inf", "nan", "schema.org", "in stock soon", "NA", "2 weeks"]


def test_words_for_availability_are_known_in_every_spelling(connection):
    expected = dict.fromkeys(AVAILABLE, True) | dict.fromkeys(UNAVAILABLE, False) | dict.fromkeys(UNKNOWN)
    check(connection, MACROS.default__to_availability("text", {}), expected)


def test_own_words_win(connection):
    own = {"on request": False, "Coming_Soon": True, "2": False, "draft": True, "it's gone": False, "NA": False}
    check(
        connection,
        MACROS.default__to_availability("text", own),
        {"On Request": False, "coming soon": True, "2": False, "3": True, "Draft": True, "it's gone": False,
         "na": False, "archived": False, "other": None},
    )  # fmt: skip
    with pytest.raises(UsageError, match="availability_words: 'gone' is true or false, not 'no'"):
        MACROS.default__to_availability("text", {"gone": "no"})
