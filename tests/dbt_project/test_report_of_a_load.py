"""The report of `nextmart load` and the build agree: what the report calls usable, staging accepts."""

from jobs.commands.load import load
from jobs.dbt_vars import default_vars
from jobs.loading.sources import LoadRules, LoadSource
from jobs.warehouse.job_runs import job_run

EVENTS = """event_id,visitor_id,item_id,event_at,event_type
1,v,a,2026-01-01 10:00:00,view
2,v,a,1767261600000,view
3,w,b,2026-01-03T10:00:00+05:30,cart
4,w, ,2026-01-03,view
5,w,a,soon,view
6, ,c,2026-01-03,view
7,x,c,,view
8,x,c,100000,view
9,x,c,2099-01-31,view
10,x,c,infinity,view
11,x,c,2026-01-31,
,x,c,2026-01-31,view
"""

ITEMS = """item_id,title,price,available,updated_at
a,Lamp,12.5,yes,2026-01-01
b,Mug,soon,perhaps,never
c,Cup,,0,2026-02-01
 ,Nameless,7,no,
"""


def test_the_build_accepts_what_the_report_calls_usable(warehouse, tmp_path):
    sources = []
    for table, text in (("items", ITEMS), ("events", EVENTS)):
        (tmp_path / f"{table}.csv").write_text(text, encoding="utf-8")
        sources.append(LoadSource(table, str(tmp_path / f"{table}.csv")))
    with warehouse.open() as connection, job_run(connection, "load") as run_record:
        items, events = load(connection, sources, run_record, LoadRules(default_vars()))
    warehouse.run(select="stg_items int_events_typed int_events_checked")

    with warehouse.open() as connection:
        accepted = connection.execute(
            "select count(*), min(event_at), max(event_at) from staging.checked_events where reject_reason is null"
        ).fetchone()
        found = connection.execute(
            "select count(*), count(price), count(*) filter (where not available) from staging.stg_items"
        ).fetchone()
    assert accepted[0] == events.usable_row_count == 3
    assert [f"{time:%Y-%m-%d %H:%M:%S}" for time in accepted[1:]] == [events.earliest_time, "2026-01-03 04:30:00"]
    # the row without an id has a price, and is not available
    assert found == (
        items.usable_row_count,
        items.column_reports["price"].readable_count - 1,
        items.unavailable_item_count - 1,
    )
