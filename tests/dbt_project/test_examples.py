"""Examples on real events, loaded as they say: the SQL models hold what plain Python finds in the files."""

import json
import tomllib
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import polars as pl
from crawlers import is_crawler
from reference import GAP, READ_EVENTS, REFERENCE, Event, sessionize

STYLES_AND_IMAGES = {"css", "js", "png", "jpg", "jpeg", "gif", "ico", "svg", "ttf", "woff", "swf"}


def build(warehouse, call):
    vars_ = tomllib.loads((call.folder / "nextmart.toml").read_text()).get("vars", {})
    warehouse.run("--vars", json.dumps(vars_), command="build", select="staging intermediate sessions catalog")


def read(warehouse, query):
    with warehouse.open() as connection:
        return connection.execute(query).fetchall()


def at(milliseconds):
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)


def test_yoochoose_keeps_the_sessions_of_its_tracker(example, real_data, warehouse):
    call = example("yoochoose", "yoochoose_clicks")
    assert "items: 2,933 loaded of 83,846 read" in call.loaded
    assert "events: 83,845 loaded of 83,846 read (1 repeated, 0 known before)" in call.loaded
    build(warehouse, call)

    sessions = {}
    clicks = pl.read_parquet(real_data("yoochoose_clicks") / "clicks.parquet")
    for session, item, moment in set(clicks.select("session_id", "item_id", "ts_ms").rows()):
        sessions.setdefault(str(session), []).append((at(moment), str(item)))
    counts = "source_session_id, visitor_id, started_at, ended_at, event_count, item_count"
    assert sorted(read(warehouse, f"select {counts} from sessions.sessions")) == sorted(
        (session, session, min(events)[0], max(events)[0], len(events), len({item for _, item in events}))
        for session, events in sessions.items()
    )
    assert len(sessions) == 21_210
    moments = [sorted(moment for moment, _ in events) for events in sessions.values()]
    assert sum(any(b - a > GAP for a, b in pairwise(m)) for m in moments) == 551
    assert read(warehouse, "select text_status, count(*) from catalog.item_texts group by all") == [("empty", 2_933)]
    assert read(warehouse, "from staging.rejected_events") == read(warehouse, "from sessions.bot_visitors") == []


def test_otto_visitors_fall_into_sessions_by_the_gap_rule(example, real_data, warehouse):
    call = example("otto", "otto_sample")
    assert "events: 862 loaded of 862 read (0 repeated, 0 known before)" in call.loaded
    build(warehouse, call)

    raw = pl.read_parquet(real_data("otto_sample") / "events.parquet")
    usable = read(warehouse, READ_EVENTS)
    words = {"clicks": "click", "carts": "cart", "orders": "purchase"}
    assert sorted((visitor, moment, item, kind) for visitor, moment, _, item, kind, *_ in usable) == sorted(
        (str(row["visitor_id"]), at(row["ts_ms"]), str(row["item_id"]), words[row["event_type"]])
        for row in raw.to_dicts()
    )
    sessions = sessionize(Event(*row) for row in usable)
    assert len(sessions) == 20 + 124  # the visitors, and their silences of more than 30 minutes
    for query, rows in REFERENCE.items():
        assert sorted(read(warehouse, query)) == sorted(rows(sessions))
    assert read(warehouse, "select text_status, count(*) from catalog.item_texts group by all") == [("empty", 510)]


def page_views(hits):
    """Yield what a reader saw, and who asked for robots.txt: name, visitor, user agent, page, time."""
    for hit in hits.to_dicts():
        page, _, query = hit["path"].partition("#")[0].partition("?")
        ending = page.rpartition(".")[2].lower()
        is_page = ending not in STYLES_AND_IMAGES and not query.startswith("flav=")
        if is_page and hit["method"] == "GET" and hit["status"] in (200, 304):
            visitor = (hit["client_ip"], hit["user_agent"])
            yield f"{hit['line_no']:08}", visitor, page, hit["event_ts"].replace(tzinfo=UTC)


def test_web_log_becomes_page_views_of_people_and_robots(example, real_data, warehouse):
    call = example("weblog", "weblog")
    views = list(page_views(pl.read_parquet(real_data("weblog") / "hits.parquet")))
    assert f"items: {len({page for _, _, page, _ in views})} loaded of {len(views):,} read" in call.loaded
    assert f"events: {len(views):,} loaded of {len(views):,} read (0 repeated" in call.loaded
    build(warehouse, call)
    assert read(warehouse, "from staging.rejected_events") == []

    # visitor_id is a hash: an event's line tells who it was
    lines = dict(read(warehouse, "select event_id, visitor_id from staging.stg_events"))
    names = {visitor: lines[line] for line, visitor, _, _ in views}
    assert len(views) == len(lines) == 3_294
    assert len(names) == len(set(names.values())) == 1_286
    assert all(lines[line] == names[visitor] for line, visitor, _, _ in views)
    sessions = sessionize(Event(names[visitor], moment, line, page) for line, visitor, page, moment in views)
    assert len(sessions) == 1_971
    found = read(warehouse, "select session_id, position, event_id, item_id, event_at from sessions.session_items")
    assert sorted(found) == sorted(row for session in sessions for row in session.item_rows())

    asked = {names[visitor] for _, visitor, page, _ in views if page == "/robots.txt"}
    nameless = {name for (_, agent), name in names.items() if agent is None}
    judged = {name for (_, agent), name in names.items() if is_crawler(agent)}
    bots = {visitor for (visitor,) in read(warehouse, "select visitor_id from sessions.bot_visitors")}
    assert asked | nameless <= bots
    assert len(bots) == 323
    assert len(judged - bots) <= 0.05 * len(judged), "crawlers that go unnoticed"
    assert len(bots - judged - asked - nameless) <= 0.03 * len(bots), "people taken for bots"
    learnt_from = {visitor for (visitor,) in read(warehouse, "select visitor_id from sessions.sequences")}
    assert learnt_from == set(names.values()) - bots
    assert read(warehouse, "select item_id from catalog.items where not available") == [("/robots.txt",)]
    assert read(warehouse, "select item_id from catalog.item_texts where text_status = 'empty'") == [("/",)]
