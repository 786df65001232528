"""Sections of the report about the data: steps from events to lists, late events, the catalogue, paid services."""

from typing import Any

import polars as pl

from jobs.reporting import charts
from jobs.reporting.page_parts import Chart, Section, Table, cell_text, percent_text, table_of_frame
from jobs.reporting.report_queries import Frames

STEPS = {
    "raw_events": "events loaded",
    "usable_events": "usable events",
    "sessions": "sessions",
    "sequences": "sequences",
    "visitors": "visitors with a sequence",
    "visitors_with_lists": "visitors with a list",
}


def funnel_section(frames: Frames) -> Section:
    """Return the report's section that counts rows at each step from events to lists, and rejected rows by reason."""
    title = "From events to lists"
    if frames["event_to_list_funnel"].is_empty():
        return Section("funnel", title, ["Nothing is built yet: `nextmart run` builds the tables."])
    counts = frames["event_to_list_funnel"].row(0, named=True)
    steps = pl.DataFrame({"step": list(STEPS.values()), "count": [counts[column] for column in STEPS]})
    tables = [table_of_frame(steps, "Steps", {"step": "step", "count": "count"})]
    drawings = [charts.draw_bars(steps, "From events to lists", "step", "count", "count", "~s")]
    rejected = f"{counts['rejected_events']:,} events ({_percent_of(counts['rejected_events'], counts['raw_events'])})"
    sentences = [
        f"{rejected} could not be used; {counts['bot_sessions']:,} sessions are of bots, which get no sequence."
    ]
    if not frames["reject_reason_counts"].is_empty():
        headings = {"feed": "rows of", "reason": "reason", "row_count": "rows"}
        tables.append(table_of_frame(frames["reject_reason_counts"], "Rejected rows by reason", headings))
    return Section("funnel", title, sentences, drawings, tables)


def late_events_section(frames: Frames) -> Section:
    """Return the report's section with the numbers of late and of rejected events in each build."""
    builds = frames["builds"]
    title = "Late events"
    if builds.is_empty():
        return Section("late", title, ["No build is recorded yet."])
    newest = builds.row(0, named=True)
    sentence = (
        f"In the newest build, {newest['late_count']:,} of {newest['event_count']:,} events came late, "
        f"{newest['very_late_count']:,} of them very late."
    )
    shares = builds.reverse().select(
        build=pl.col("batch_id"),
        late=pl.col("late_count") / pl.max_horizontal("event_count", 1),
        rejected=pl.col("rejected_count") / pl.max_horizontal("event_count", 1),
    )
    long = shares.unpivot(index="build", variable_name="events", value_name="share")
    headings = {
        "batch_id": "build",
        "event_count": "events",
        "rejected_count": "rejected",
        "late_count": "late",
        "very_late_count": "very late",
    }
    drawings = []
    if builds.height > 1:  # for a single build, the sentence already says what a drawing would show
        name = "Late and rejected events by build"
        drawings.append(charts.draw_grouped_bars(long, name, "build", "share", "events", ("build", "share")))
    return Section(
        "late", title, [sentence], drawings, [table_of_frame(builds.head(10), "The newest builds", headings)]
    )


def catalogue_section(warehouse_state: dict[str, Any], frames: Frames) -> Section:
    """Return the report's section on the items with embeddings, the items in lists, and the cost of paid services."""
    title = "Catalogue, embeddings and cost"
    if frames["item_counts"].is_empty():
        return Section("catalogue", title, ["No catalogue is built yet."])
    totals = frames["item_counts"].row(0, named=True)
    sentences = [
        f"{totals['items']:,} items, {totals['available']:,} of them available; "
        f"{_percent_of(totals['embedded'], totals['items'])} have an embedding, "
        f"{_percent_of(totals['recommended'], totals['items'])} stand in at least one list."
    ]
    backlog = [
        [row["status"], cell_text(row["items"]), cell_text(row["missing_since"]), row["error"] or ""]
        for row in warehouse_state["embedding_backlog"]
    ]
    drawings: list[Chart] = []
    tables: list[Table] = []
    coverage = frames["category_coverage"]
    if not coverage.is_empty():
        shares = coverage.head(10).select(
            "category",
            embedded=pl.col("embedded") / pl.col("items"),
            recommended=pl.col("recommended") / pl.col("items"),
        )
        shown = [("recommended", "in a list")]
        if totals["embedded"] < totals["items"]:
            shown.insert(0, ("embedded", "with an embedding"))
        for column, label in shown:
            drawings.append(
                charts.draw_bars(
                    shares, f"Share of items {label}, largest categories", "category", column, "share", "%"
                )
            )
        headings = {name: name for name in ("category", "items", "available", "embedded", "recommended")}
        tables.append(table_of_frame(coverage, "The 20 largest categories", headings))
    if backlog:
        headings_of_backlog = ["status", "items", "missing since (UTC)", "error"]
        tables.append(Table("Items without an embedding", headings_of_backlog, backlog, frozenset({1})))
    else:
        sentences.append("No item waits for an embedding.")
    costs = frames["costs"]
    if costs.is_empty():
        sentences.append("No paid service was used.")
    else:
        sentences.append(f"The days and jobs below cost {costs['cost'].sum():,.2f} US dollars.")
        headings = {"day": "day", "job": "job", "cost": "US dollars"}
        tables.append(table_of_frame(costs, "Cost by day and job", headings))
    return Section("catalogue", title, sentences, drawings, tables)


def _percent_of(part: int, whole: int) -> str:
    return percent_text(part / whole if whole else None)
