"""What the command line shows people: tables on the terminal."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from jobs.warehouse import connect

EXAMPLES = """
    -- the longest histories read best
    select visitor_id from sessions.sequences
    qualify row_number() over (partition by visitor_id order by ended_at desc, sequence_id desc) = 1
    order by item_count desc, visitor_id limit 3
"""

HISTORY = """
    with latest as (
        select unnest(items[-5:]) as item_id, unnest(range(least(len(items), 5))) as place
        from sessions.sequences where visitor_id = ?
        qualify dense_rank() over (order by ended_at desc, sequence_id desc) = 1
    )
    select items.title from latest inner join catalog.items as items using (item_id) order by place
"""


def print_recommendations(published: Path, warehouse: Path) -> None:
    """Print the leaderboard and what a few visitors had and get."""
    console = Console(stderr=True)
    with connect(warehouse, read_only=True) as connection:
        visitors = [row[0] for row in connection.execute(EXAMPLES).fetchall()]
        histories = {visitor: connection.execute(HISTORY, [visitor]).fetchall() for visitor in visitors}
    with connect(published, read_only=True) as copy:
        board = copy.execute(
            "select model, max(value) filter (where metric = 'ndcg'), max(value) filter (where metric = 'hit_rate'), "
            "max(value) filter (where metric = 'coverage'), bool_or(is_live) from recommendations.model_leaderboard "
            "where ends_with(split, '/test') and segment = 'all' and k = 10 group by model order by 2 desc"
        ).fetchall()
        table = Table(title="Models on the hold-out", title_justify="left")
        for name in ("model", "nDCG@10", "hit rate@10", "coverage@10", "live"):
            table.add_column(name)
        for model, ndcg, hit_rate, coverage, is_live in board:
            table.add_row(model, f"{ndcg:.3f}", f"{hit_rate:.3f}", f"{coverage:.2f}", "yes" if is_live else "")
        console.print(table)
        for visitor in visitors:
            table = Table(title=f"Visitor {visitor}", title_justify="left")
            table.add_column("looked at last")
            table.add_column("recommended")
            table.add_column("reason")
            chosen = copy.execute("select title, reason from recommendations_for(?) limit 5", [visitor]).fetchall()
            history = [title for (title,) in histories[visitor]]
            for place in range(5):
                seen = history[place] if place < len(history) else ""
                table.add_row(seen, *(chosen[place] if place < len(chosen) else ("", "")))
            console.print(table)
    console.print(f"Query them: duckdb.connect('{published}', read_only=True), schema recommendations")


def print_status(found: dict[str, Any]) -> None:
    """Print what :func:`jobs.status.status` found."""
    console = Console(stderr=True)
    for name, count in found["counts"].items():
        console.print(f"{name:<32}{'not built yet' if count is None else f'{count:>12,}'}")
    table = Table(title="Last runs", title_justify="left")
    for name in ("job", "status", "started (UTC)", "rows out", "error"):
        table.add_column(name)
    for run in found["last_runs"]:
        rows = "" if run["rows_out"] is None else f"{run['rows_out']:,}"
        table.add_row(run["job"], run["status"], f"{run['started_at']:%Y-%m-%d %H:%M}", rows, run["error"] or "")
    console.print(table)
    live, published = found["live_model"], found["published"]
    console.print(
        f"live model: {live['model_version']} (history before {live['data_cutoff_at']:%Y-%m-%d}, "
        f"nDCG@20 {live['ndcg_at_20']:.4f})"
        if live and live["ndcg_at_20"] is not None
        else "live model: none yet"
    )
    console.print(
        f"published: {published['file']} at {published['published_at']:%Y-%m-%d %H:%M} UTC"
        if published
        else "published: nothing yet"
    )
