"""`nextmart init`: what it proposes for files, what it leaves to the user, and that its settings load the files."""

import io
import json
import shutil
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_load import Shell

from jobs.commands.init import make_init_proposal
from jobs.loading.feed_settings import read_feeds
from jobs.loading.mapping import TABLE_COLUMNS, column_value_sql
from jobs.loading.presets.all_presets import PRESETS
from jobs.loading.proposals.common_names import columns_with_names, snake_case_name
from jobs.loading.proposals.toml_text import toml_value
from jobs.settings import load_settings
from jobs.warehouse.connection import quoted_name

PRESET_FILES = Path(__file__).parents[1] / "loading" / "presets"
CLICKS = "client_id,sku,ts,event\n" + "".join(
    f"c{number % 7},s{number % 5},2026-01-{1 + number % 28:02} 10:00:00,{'view' if number % 3 else 'purchase'}\n"
    for number in range(60)
)
PRODUCTS = "sku,name,vendor,price\n" + "".join(f"s{number},Lamp {number},Acme,{number}.5\n" for number in range(5))


@pytest.fixture
def shell(tmp_path, monkeypatch, capsys) -> Shell:
    monkeypatch.chdir(tmp_path)
    return Shell(tmp_path, monkeypatch, capsys)


def proposed(shell, **files: str | bytes) -> tuple[dict, str]:
    """Return the feeds that are proposed for files, as tables of TOML, and the whole text."""
    for stem, content in files.items():
        shell.write(f"{stem}.csv", content)
    text = make_init_proposal([f"{stem}.csv" for stem in files]).toml_text
    shell.write("nextmart.toml", text)
    read_feeds(load_settings().feeds, 0.01)  # raises an error if the settings are wrong
    (shell.folder / "nextmart.toml").unlink()
    return tomllib.loads(text), text


# --- from files to loaded rows ---


def test_the_proposed_settings_load_the_files(shell):
    shell.write("clicks.csv", CLICKS)
    shell.write("products.csv", PRODUCTS)
    code, said = shell("init", "clicks.csv", "products.csv")
    assert code == 0
    assert "next: nextmart load --check" in said
    assert shell("load", "--check")[0] == 0
    assert shell("load")[0] == 0
    assert shell.rows("select visitor_id, item_id, event_at, event_type from raw.events order by all limit 1") == [
        ("c0", "s0", "2026-01-01 10:00:00", "purchase")
    ]
    assert shell.rows("select * exclude (loaded_at) from raw.items where item_id = 's1'")[0][:6] == (
        "s1", "Lamp 1", "Acme", None, None, "1.5",
    )  # fmt: skip
    before = Path("nextmart.toml").read_text()
    code, said = shell("init", "clicks.csv")
    assert (code, Path("nextmart.toml").read_text()) == (2, before)
    assert "nextmart.toml exists already" in said


def test_every_choice_has_its_evidence(shell):
    _, text = proposed(shell, clicks=CLICKS, products=PRODUCTS)
    for line in (
        "# clicks.csv: events: it has a visitor (client_id), an item (sku) and a time (ts). Looked at: all 60 rows.",
        "# 7 different in 60 rows, such as 'c0'",
        "# 60 of 60 are read as times, such as '2026-01-01 10:00:00' = 2026-01-01 10:00:00",
        "#   types     view 40, purchase 20",
        "#   items     5; 100 % of the events are on items of the catalogue",
        "#   prices    100 % read",
        '# target_event_types = ["purchase"]',
        '# sequence_event_types = ["purchase"]',
    ):
        assert line in text


def test_printed_settings_are_not_written(shell):
    shell.write("clicks.csv", CLICKS)
    code, _ = shell("init", "--print", "clicks.csv")
    assert code == 0
    assert set(tomllib.loads(shell.stdout)["feeds"]) == {"clicks", "clicks_items"}
    assert not Path("nextmart.toml").exists()
    code, _ = shell("init", "--print", "--json", "clicks.csv")
    summary = json.loads(shell.stdout)
    assert (code, summary["written"], summary["feeds"]["clicks"]["map"]["visitor_id"]) == (0, None, "client_id")


def test_without_files_a_terminal_is_asked(shell, monkeypatch):
    code, said = shell("init")
    assert (code, "nextmart init FILE" in said) == (2, True)
    shell.write("my clicks.csv", CLICKS)
    terminal = io.StringIO("'my clicks.csv'\n")
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stdin", terminal)
    assert shell("init")[0] == 0
    assert tomllib.loads(Path("nextmart.toml").read_text())["feeds"]["my_clicks"]["files"] == "my clicks.csv"


@pytest.mark.parametrize("path", ["nothing.csv", "nothing/*.csv", "notes.md"])
def test_paths_without_a_readable_file_are_refused(shell, path):
    shell.write("notes.md", "words")
    code, said = shell("init", path)
    assert (code, path in said, Path("nextmart.toml").exists()) == (1, True, False)


def test_files_that_cannot_be_read_are_named_and_the_others_proposed(shell):
    shell.write("clicks.csv", CLICKS)
    for name in ("broken.parquet", "broken.csv.gz", "broken.xlsx", "broken.json", "empty.csv"):
        shell.write(name, b"" if name.startswith("empty") else b"{broken")
    proposal = make_init_proposal(["."])
    assert {feed.sample.sampled_path for feed in proposal.feed_proposals.values()} == {"clicks.csv"}
    for name in ("broken.parquet", "broken.csv.gz"):
        assert any(name in left_out for left_out in proposal.problems_of_left_out_files)
    assert len(proposal.problems_of_left_out_files) == 5
    assert "# Left out: can't read broken.parquet" in proposal.toml_text


# --- presets ---


def test_files_of_presets_are_recognised(shell):
    shutil.copytree(PRESET_FILES, "exports")
    proposal = make_init_proposal(["exports"])
    by_file = {Path(feed.sample.sampled_path).name: feed for feed in proposal.feed_proposals.values()}
    found = {name: (feed.preset.name if feed.preset else None, feed.kind) for name, feed in by_file.items()}
    events = {
        "ga4.json": "ga4", "segment.jsonl": "segment", "segment_warehouse.csv": "segment",
        "segment_product_viewed.csv": "segment", "snowplow.tsv": "snowplow", "shopify_orders.csv": "shopify_orders",
        "woocommerce_orders.json": "woocommerce_orders", "woocommerce_orders_lines.csv": "woocommerce_orders",
        "woocommerce_orders_rows.csv": "woocommerce_orders", "woocommerce_orders_wide.csv": "woocommerce_orders",
        "ratings.csv": "movielens", "ratings.dat": "movielens",
        "u.data": "movielens", "ml.inter": "recbole",
    }  # fmt: skip
    items = {
        "shopify_products.csv": "shopify_orders", "shopify_products_renamed.csv": "shopify_orders",
        "woocommerce_products.csv": "woocommerce_orders",
        "woocommerce_products.json": "woocommerce_orders", "movies.csv": "movielens", "movies.dat": "movielens",
        "u.item": "movielens", "ml.item": "recbole",
    }  # fmt: skip
    assert found == {name: (preset, "events") for name, preset in events.items()} | {
        name: (preset, "items") for name, preset in items.items()
    }
    shell.write("nextmart.toml", proposal.toml_text)
    assert set(PRESETS) == {feed["preset"] for feed in load_settings().feeds.values()}


# --- what is decided by evidence ---


def times(*texts: str) -> str:
    return "client_id,sku,ts\n" + "".join(f"c{number},s,{text}\n" for number, text in enumerate(texts))


@pytest.mark.parametrize(
    ("texts", "time_format"),
    [
        (["2026-01-31 10:00", "2026-01-30"], None),
        (["1769853600", "1769853601"], None),
        (["31.12.2021 10:00", "01.02.2021 10:00"], "%d.%m.%Y %H:%M"),
        (["12/31/2021 1:45 PM", "01/02/2021 1:45 PM"], "%m/%d/%Y %I:%M %p"),
        (["17/May/2015:10:05:03 +0000"], "%d/%b/%Y:%H:%M:%S %z"),
    ],
)
def test_formats_of_times(shell, texts, time_format):
    settings_, _ = proposed(shell, clicks=times(*texts))
    assert settings_["feeds"]["clicks"].get("time_format") == time_format
    assert settings_["feeds"]["clicks"]["map"]["event_at"] == "ts"


@pytest.mark.parametrize("texts", [["01/02/2021 10:00", "03/04/2021 10:00"], ["1.2.2021", "3.4.2021"]])
def test_a_day_or_month_first_is_never_guessed(shell, texts):
    settings_, text = proposed(shell, clicks=times(*texts))
    assert "time_format" not in settings_["feeds"]["clicks"]
    assert "can be read in 2 ways. Choose one: nothing was guessed" in text
    commented = [line for line in text.splitlines() if line.startswith("# time_format = ")]
    assert [("2021-02-01" in line, "2021-01-02" in line) for line in commented] in (
        [(True, False), (False, True)], [(False, True), (True, False)],
    )  # fmt: skip


def test_orders_become_purchases_and_anonymous_rows_a_question(shell):
    rows = "".join(
        f"i{number // 3},s{number},Mug {number % 4},{-1 if number % 7 == 0 else 2},2026-01-{1 + number // 3:02},4.5,"
        f"{'' if number % 4 == 0 else number // 6}\n"
        for number in range(60)
    )
    settings_, text = proposed(
        shell, orders=f"InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID\n{rows}"
    )
    events, items = settings_["feeds"]["orders"], settings_["feeds"]["orders_items"]
    assert events["map"] == {
        "visitor_id": "CustomerID",
        "item_id": "StockCode",
        "event_at": "InvoiceDate",
        "event_type": "case when \"Quantity\"::double < 0 then 'return' else 'purchase' end",
        "source_session_id": "InvoiceNo",
    }
    assert items["map"] == {
        "item_id": "StockCode", "title": "Description", "description": "Description", "price": "UnitPrice",
        "updated_at": "InvoiceDate",
    }  # fmt: skip
    assert "#? 25.0 % of the rows name no visitor in CustomerID" in text
    assert settings_["vars"] == {"sequence_scope": "visitor", "sequence_event_types": ["purchase"]}
    assert "where" not in events


def test_rows_that_each_have_an_item_are_a_catalogue_unless_they_are_orders(shell):
    offers = "".join(f"o{number},Lamp {number},u{number % 3},2026-01-01\n" for number in range(20))
    settings_, text = proposed(shell, offers=f"sku,title,user_id,created_at\n{offers}")
    assert settings_["feeds"]["offers"]["kind"] == "items"
    assert "user_id is taken for a seller" in text
    settings_, _ = proposed(shell, orders=f"sku,title,user_id,created_at,qty\n{offers.replace('01-01', '01-01,1')}")
    assert {feed["kind"] for feed in settings_["feeds"].values()} == {"events", "items"}


def test_what_reviews_say_is_no_text_of_the_items(shell):
    rows = "".join(
        f"u{number},b{number % 5},2026-01-01,{number % 5 + 1},Words {number},Lamp {number % 5}\n"
        for number in range(40)
    )
    settings_, text = proposed(shell, reviews=f"user_id,asin,date,rating,title,product_name\n{rows}")
    assert settings_["feeds"]["reviews"]["map"]["event_type"] == "'rating'"
    assert settings_["feeds"]["reviews_items"]["map"]["title"] == "product_name"
    assert "an item has 8.0 different values of title on average" in text
    # without the map, a column of nextmart's own name would be taken all the same
    settings_, _ = proposed(shell, reviews=f"user_id,asin,date,rating,title,words\n{rows}")
    assert settings_["feeds"]["reviews_items"]["map"]["title"] == "null"


def test_events_name_items_by_the_column_that_the_catalogue_has(shell):
    reviews = "".join(f"u{number},b{number % 5},p{number % 5},2026-01-01\n" for number in range(40))
    settings_, text = proposed(
        shell,
        reviews=f"user_id,asin,parent_asin,date\n{reviews}",
        products="parent_asin,title\n" + "".join(f"p{number},Lamp\n" for number in range(5)),
    )
    assert settings_["feeds"]["reviews"]["map"]["item_id"] == "parent_asin"
    assert "items     5; 100 % of the events are on items of the catalogue" in text


def test_a_session_that_is_none_is_not_taken(shell):
    header, *rows = CLICKS.splitlines()
    shared = "\n".join([f"{header},session_id", *(f"{row},0" for row in rows)])
    settings_, text = proposed(shell, clicks=shared)
    assert "source_session_id" not in settings_["feeds"]["clicks"]["map"]
    assert "session_id is not taken as source_session_id" in text
    # a column of nextmart's own name would be taken all the same
    settings_, _ = proposed(shell, clicks=shared.replace("session_id", "source_session_id", 1))
    assert settings_["feeds"]["clicks"]["map"]["source_session_id"] == "null"


def test_sessions_of_which_one_is_odd_are_taken(shell):
    header, *rows = CLICKS.splitlines()
    rows = [f"{row},{'shared' if number < 2 else number}" for number, row in enumerate(rows)]
    settings_, text = proposed(shell, clicks="\n".join([f"{header},session_id", *rows]))
    assert settings_["feeds"]["clicks"]["map"]["source_session_id"] == "session_id"
    assert "WARN: " in text
    assert "'shared'" in text


def test_rows_without_a_visitor_make_no_session_odd(shell):
    # the build counts no visitor NULL either
    others = {0: "someone else", **dict.fromkeys(range(1, 11), "NULL")}
    rows = [
        f"{visitor},s{number % 5},2026-01-{1 + number % 28:02} 10:0{minute}:00,view,session {number}"
        for number in range(30)
        for minute, visitor in enumerate((f"c{number}", others.get(number, f"c{number}")))
    ]
    settings_, text = proposed(shell, clicks="\n".join(["client_id,sku,ts,event,session_id", *rows]))
    assert settings_["feeds"]["clicks"]["map"]["source_session_id"] == "session_id"
    assert "WARN: 1 of the source_session_ids" in text.replace("warning", "WARN")


def test_ids_of_events_are_those_that_are_unique(shell):
    header, *rows = CLICKS.splitlines()
    unique = "\n".join([f"{header},message_id", *(f"{row},m{number}" for number, row in enumerate(rows))])
    lines = "\n".join([f"{header},event_id", *(f"{row},m{number // 2}" for number, row in enumerate(rows))])
    settings_, _ = proposed(shell, clicks=unique, lines=lines)
    assert settings_["feeds"]["clicks"]["map"]["event_id"] == "message_id"
    assert settings_["feeds"]["lines"]["map"]["event_id"] == '"event_id" || \'-\' || "sku"'


def test_a_shop_without_texts_gets_models_that_read_none(shell):
    settings_, _ = proposed(shell, clicks=CLICKS)
    assert settings_["models"] == ["popularity", "bert4rec"]
    assert settings_["feeds"]["clicks_items"]["map"] == {"item_id": "sku"}
    assert "models" not in proposed(shell, clicks=CLICKS, products=PRODUCTS)[0]


def test_prices_and_words_that_are_not_understood_are_questions(shell):
    products = "sku,name,price,availability\n" + "".join(f's{n},Lamp,"1,{200 + n}",on request\n' for n in range(9))
    settings_, text = proposed(shell, products=products)
    assert "vars" not in settings_ or not settings_["vars"]
    for line in (
        '# price_decimal_sign = ","',
        '# price_decimal_sign = "."',
        '# availability_words = {"on request" = false}',
    ):
        assert line in text


def test_a_file_in_another_encoding_and_one_without_a_header(shell):
    settings_, text = proposed(
        shell,
        products="sku,name\na,Café\nb,Mug\n".encode("cp1252"),
        raw="1,17,5,978300760\n2,18,4,978300761\n",
    )
    assert settings_["feeds"]["products"]["encoding"] == "cp1252"
    assert "Read as cp1252, it says 'a,Café'" in text
    assert set(settings_["feeds"]) == {"products"}
    assert "column4 holds times, such as '978300760' = 2000-12-31 22:12:40" in text.replace("\n#", "")
    assert '# columns = ["column1", "column2", "column3", "column4"]' in text


def test_files_of_one_form_are_one_feed(shell):
    for name in ("clicks_2026-01-01", "clicks_2026-01-02", "clicks_2026-02-10"):
        shell.write(f"in/{name}.csv", CLICKS)
    shell.write("in/products.csv", PRODUCTS)
    shell.write("in/products.jsonl", [{"sku": "s9", "name": "Lamp 9"}])
    shell.write("in/.hidden.csv", PRODUCTS)
    feeds = tomllib.loads(make_init_proposal(["in"]).toml_text)["feeds"]
    assert {name: feed["files"] for name, feed in feeds.items()} == {
        "clicks": "in/clicks_*.csv", "products": "in/products.csv", "products_2": "in/products.jsonl",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("CustomerID", "customer_id"), ("customerId", "customer_id"), ("Customer ID", "customer_id"),
        ("user_id:token", "user_id"), ("SKU", "sku"), ("Lineitem sku", "lineitem_sku"), ("verfügbar?", "verfügbar"),
    ],
)  # fmt: skip
def test_names_are_compared_by_their_words(name, plain):
    assert snake_case_name(name) == plain
    assert columns_with_names([name, "other"], [plain]) == [name]


# --- names and values of strangers ---


@settings(max_examples=60, deadline=None)
@given(
    st.recursive(
        st.text() | st.booleans() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_values_come_back_from_toml(value):
    assert tomllib.loads(f"value = {toml_value(value)}")["value"] == value


HOSTILE = st.text(
    st.sampled_from("\"'\\\n\r\t=[]#{},;-. äß€\u202e\x1b\x7f\u2028")
    | st.characters(codec="utf-8", exclude_characters="\0"),
    max_size=12,
)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(others=st.lists(st.tuples(HOSTILE, HOSTILE), min_size=1, max_size=4), name=HOSTILE)
def test_hostile_names_and_values_stay_texts(shell, others, name):
    rows = [
        {"client_id": f"{name}{number % 3}", "sku": f"s{number}", "ts": "2026-01-01 10:00:00"}
        | {f"{theirs} {number}": value for number, (theirs, value) in enumerate(others)}
        for number in range(3)
    ]
    shell.write("clicks.jsonl", rows)
    text = make_init_proposal(["clicks.jsonl"]).toml_text
    settings_ = tomllib.loads(text)
    assert set(settings_) <= {"feeds", "models", "vars"}
    assert set(settings_["feeds"]) == {"clicks", "clicks_items"}
    assert settings_["feeds"]["clicks"]["map"] == {"visitor_id": "client_id", "item_id": "sku", "event_at": "ts"}
    assert all(character.isprintable() for line in text.split("\n") for character in line)


# a column with a name of nextmart's own, such as EVENT_ID, is loaded without a map
@settings(max_examples=50, deadline=None)
@given(
    names=st.lists(
        HOSTILE.filter(lambda name: name.lower() not in TABLE_COLUMNS["events"]),
        min_size=3, max_size=3, unique_by=str.lower,
    )
)  # fmt: skip
def test_any_header_is_mapped_to_exactly_its_columns(names):
    from jobs.loading.proposals.proposal_classes import FeedKeyProposal, FeedProposal
    from jobs.loading.proposals.samples import FileSample
    from jobs.loading.proposals.toml_text import settings_file_text
    from jobs.loading.sources import LoadSource, ReadOptions

    ours = ("visitor_id", "item_id", "event_at")
    sample = FileSample(("a.csv",), "a.csv", "sample", 1, True, dict.fromkeys(names, "VARCHAR"), ReadOptions())
    columns = tuple(FeedKeyProposal(key, name, f"such as {name}") for key, name in zip(ours, names, strict=True))
    text = settings_file_text(
        {"a": FeedProposal(sample, "events", f"because of {names}", column_proposals=columns)}, []
    )
    [feed] = read_feeds(tomllib.loads(text)["feeds"], 0.01)
    assert column_value_sql(LoadSource("events", "a.csv", column_map=feed.settings.map), names) == {
        key: quoted_name(name) if name == name.strip() != "" else f"({quoted_name(name)}\n)"
        for key, name in zip(ours, names, strict=True)
    }
