"""The top of the report: answers to a manager's questions, such as whether lists are fresh and every job worked."""

from datetime import datetime, timedelta
from typing import Any, Final

from jobs.reporting.page_parts import Section, Table, Tile, cell_text, percent_text, table_of_frame
from jobs.reporting.report_queries import Frames

STALE_AFTER: Final = timedelta(days=2)
"""Age from which events and publications count as old, because a night must have been missed."""

FAILED_STATUSES: Final = ("failed", "interrupted")


def make_tiles(warehouse_state: dict[str, Any], frames: Frames, now: datetime) -> list[Tile]:
    """Return the tiles at the top of the report, each with the answer to one question.

    Parameters
    ----------
    warehouse_state : dict
        State of the warehouse, which :func:`jobs.commands.status.read_status` returns.
    """
    return [
        _publication_tile(warehouse_state["published"], now),
        _newest_event_tile(warehouse_state["freshness"], now),
        _runs_tile(warehouse_state["last_runs"]),
        _publication_change_tile(frames),
        _visitors_with_lists_tile(frames),
        _model_tile(warehouse_state["live_model"]),
    ]


def _age_text(instant: datetime, now: datetime) -> str:
    hours = (now - instant) / timedelta(hours=1)
    if hours < 1:
        return "within the last hour"
    return f"{hours:.0f} hours ago" if hours < 48 else f"{hours / 24:,.0f} days ago"


def _publication_tile(publication: dict[str, Any] | None, now: datetime) -> Tile:
    question = "Are the lists fresh?"
    if publication is None:
        return Tile(question, "nothing published", "`nextmart run` builds and publishes", "bad")
    if publication["problem"]:
        return Tile(question, "not readable", publication["problem"], "bad")
    at = publication["published_at"]
    state = "good" if now - at < STALE_AFTER else "bad"
    return Tile(question, f"published {_age_text(at, now)}", f"{cell_text(at)} UTC", state)


def _newest_event_tile(freshness: list[dict[str, Any]], now: datetime) -> Tile:
    question = "Are the events fresh?"
    newest = next((row["newest_at"] for row in freshness if row["source_table"] == "raw.events"), None)
    if newest is None:
        return Tile(question, "no events yet", "`nextmart load` loads them", "unknown")
    state = "good" if now - newest < STALE_AFTER else "warning"
    return Tile(question, f"newest event {_age_text(newest, now)}", f"{cell_text(newest)} UTC", state)


def _runs_tile(last_runs: list[dict[str, Any]]) -> Tile:
    question = "Did every job work?"
    failed = [run["job"] for run in last_runs if run["status"] in FAILED_STATUSES]
    if not last_runs:
        return Tile(question, "nothing has run", "", "unknown")
    if failed:
        return Tile(question, f"{len(failed)} of {len(last_runs)} jobs failed", ", ".join(failed), "bad")
    return Tile(question, "every job worked", f"the last run of each of {len(last_runs)} jobs", "good")


def _publication_change_tile(frames: Frames) -> Tile:
    question = "What changed?"
    publications = frames["publications"]
    if publications.is_empty():
        return Tile(question, "no publication yet", "", "unknown")
    newest = publications.row(0, named=True)
    if newest["outcome"] == "held":
        return Tile(question, "publication held", newest["reason"] or "", "bad")
    if newest["changed_visitor_share"] is None:
        return Tile(
            question, "first publication", f"{newest['visitors']:,} visitors, {newest['items']:,} items", "good"
        )
    came = f"{cell_text(newest['new_visitors'])} visitors came, {cell_text(newest['gone_visitors'])} went"
    items = f"{cell_text(newest['new_items'])} items came, {cell_text(newest['gone_items'])} went"
    return Tile(question, f"{percent_text(newest['changed_visitor_share'])} of lists", f"{came}; {items}", "good")


def _visitors_with_lists_tile(frames: Frames) -> Tile:
    question = "Who gets a list?"
    if frames["event_to_list_funnel"].is_empty():
        return Tile(question, "no lists yet", "", "unknown")
    counts = frames["event_to_list_funnel"].row(0, named=True)
    missing = counts["visitors"] - counts["visitors_with_lists"]
    detail = f"{missing:,} visitors with a sequence have none" if missing > 0 else "each visitor with a sequence"
    answer = f"{counts['visitors_with_lists']:,} visitors"
    return Tile(question, answer, detail, "warning" if missing > 0 else "good")


def _model_tile(live_model: dict[str, Any] | None) -> Tile:
    question = "Which model serves?"
    if live_model is None:
        return Tile(question, "none yet", "popular items serve", "unknown")
    pinned = "pinned by hand; " if live_model["is_pinned"] else ""
    family = str(live_model["model_version"]).split("-")[0]
    return Tile(question, family, pinned + (live_model["reason"] or ""), "good")


def runs_section(warehouse_state: dict[str, Any], frames: Frames) -> Section:
    """Return the report's section on the last run of each job and on the newest publications."""
    runs = [
        [run["job"], run["status"], cell_text(run["started_at"]), cell_text(run["rows_out"]), run["error"] or ""]
        for run in warehouse_state["last_runs"]
    ]
    headings = ["job", "status", "started (UTC)", "rows", "error"]
    tables = [Table("The last run of each job", headings, runs, frozenset({3}), frozenset({2}))]
    if not frames["publications"].is_empty():
        tables.append(
            table_of_frame(
                frames["publications"].head(10),
                "The newest publications; overlap is the mean share of a list that stayed",
                {
                    "decided_at": "decided (UTC)",
                    "outcome": "outcome",
                    "visitors": "visitors",
                    "changed_visitor_share": "share of lists changed",
                    "mean_list_overlap": "overlap",
                    "new_items": "new items",
                    "gone_items": "gone items",
                    "reason": "reason",
                },
                digits=3,
            )
        )
    return Section("runs", "Runs and publications", [], tables=tables)
