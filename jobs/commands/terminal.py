"""Prints results for people: the tables and lines that commands show on the terminal."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from jobs.commands.sizes import size_lines
from jobs.embedding.plan import EmbedPlan
from jobs.progress import on_one_line, print_result, without_control_characters
from jobs.warehouse.connection import connect

FILES_SHOWN = 3

EXAMPLE_VISITORS = """
    -- Visitors whose latest sequence is long enough to judge recommendations by, and short enough to read
    select visitor_id, items from sessions.latest_sequences
    where len(items) between 4 and 5
    order by visitor_id limit 3
"""

SELECT_ITEM_TITLES = "select item_id, title from catalog.items"

LEADERBOARD = """
    select
        model,
        max(value) filter (where metric = 'ndcg') as ndcg,
        max(value) filter (where metric = 'hit_rate') as hit_rate,
        max(value) filter (where metric = 'coverage') as coverage,
        bool_or(is_live) as is_live
    from recommendations.model_leaderboard
    where ends_with(split, '/test') and segment = 'all' and k = 10
    group by model
    order by ndcg desc
"""


def print_leaderboard_and_example_lists(published_file: Path, warehouse_file: Path) -> None:
    """Print the leaderboard of models, and for a few visitors the items they looked at and their recommendations."""
    with connect(warehouse_file, read_only=True) as connection:
        titles = dict(connection.execute(SELECT_ITEM_TITLES).fetchall())
        visitors = connection.execute(EXAMPLE_VISITORS).fetchall()
    with connect(published_file, read_only=True) as copy:
        print_leaderboard(copy.execute(LEADERBOARD).fetchall())
        for visitor, items in visitors:
            print_result(f"\n{on_one_line(visitor)} looked at")
            for item in items:
                print_result(f"    {on_one_line(titles[item])}")
            print_result("and gets")
            chosen = copy.execute("select rank, title, reason from recommendations_for(?)", [visitor]).fetchmany(5)
            for rank, title, reason in chosen:
                print_result(f"  {rank} {on_one_line(title)}  ({on_one_line(reason)})")
    print_result(f"\nQuery it: {published_file} (README, Three queries)")


def print_table(rich_table: Table) -> None:
    """Print a table on stdout. Square brackets in its texts are printed as they are, not read as markup."""
    Console(markup=False, emoji=False, highlight=False).print(rich_table)


def print_leaderboard(leaderboard_rows: list[tuple[Any, ...]]) -> None:
    """Print the leaderboard: each model's metrics on the hold-out, the best model first."""
    table = Table("model", "nDCG@10", "hit rate@10", "coverage@10", "live", title="Models on the hold-out")
    for model, ndcg, hit_rate, coverage, is_live in leaderboard_rows:
        table.add_row(model, f"{ndcg:.3f}", f"{hit_rate:.3f}", f"{coverage:.2f}", "yes" if is_live else "")
    print_table(table)


def print_embedding_plans(embedding_plans: list[EmbedPlan]) -> None:
    """Print what an embedding run would cost with each provider: items, texts, tokens, dollars and minutes."""
    table = Table("provider", "model", title="Nothing was spent: a run would embed", title_justify="left")
    for name in ("items", "texts", "tokens", "cost", "minutes"):
        table.add_column(name, justify="right")
    for plan in embedding_plans:
        cost = "unknown" if plan.cost is None else format_dollars(plan.cost)
        table.add_row(
            on_one_line(plan.provider),
            on_one_line(plan.embedding_model),
            f"{plan.items:,}",
            f"{plan.texts:,}",
            f"{plan.tokens:,}",
            cost,
            f"{plan.minutes:,.1f}",
        )
    print_table(table)


def format_dollars(dollars: float) -> str:
    """Return an amount of US dollars as text: two decimals from 100 dollars on, six below."""
    return f"${dollars:,.2f}" if dollars >= 100 or not dollars else f"${dollars:,.6f}"


def embed_summary_line(embed_summary: dict[str, Any]) -> str:
    """Return an embed run's summary as a line for people."""
    detail, rows_in, rows_out = (
        {"under_way": 0, **embed_summary["detail"]},
        embed_summary["rows_in"],
        embed_summary["rows_out"],
    )
    clauses = {
        f"{_embedded_words(rows_in, rows_out)} with {detail['embedding_model']}": True,
        f"{detail['failed']:,} failed (ml.embeddings says why)": detail["failed"],
        f"{detail['under_way']:,} under way in batches": detail["under_way"],
        f"{detail['tokens']:,} tokens, {format_dollars(embed_summary['cost'])}": detail["tokens"],
    }
    return f"embed: {embed_summary['status']}: {'; '.join(fact for fact, applies in clauses.items() if applies)}"


def job_summary_line(job_summary: dict[str, Any]) -> str:
    """Return the results of a job in a few words for people; the job was run by a dbt build."""
    detail, rows_in, rows_out = job_summary["detail"], job_summary["rows_in"], job_summary["rows_out"]
    match job_summary["job"]:
        case "embed":
            under_way = f"{detail['under_way']:,} texts under way in batches" if detail.get("under_way") else ""
            embedded = _embedded_words(rows_in, rows_out) if rows_in or rows_out else ""
            return ", ".join(filter(None, (embedded, under_way))) or "every text has a vector"
        case "train":
            left_out = f", {len(detail['left_out'])} left out" if "left_out" in detail else ""
            limit = _limit_words(detail)
            return f"{len(detail['trained'])} models trained, {len(detail['fresh'])} fresh{left_out}{limit}"
        case "evaluate":
            return f"{rows_out} models measured, live: {(detail['live'] or 'none').split('-')[0]}"
        case _:
            return "nothing changed" if job_summary["status"] == "unchanged" else f"lists for {rows_in:,} visitors"


def _embedded_words(texts_to_embed: int, embedded_texts: int) -> str:
    """Return how many texts got a vector: more than the run had to embed, if a batch of an earlier run has ended."""
    of_texts = f" of {texts_to_embed:,}" if embedded_texts <= texts_to_embed else ""
    return f"{embedded_texts:,}{of_texts} texts embedded"


def _limit_words(train_detail: dict[str, Any]) -> str:
    """Return how many of the training sequences were used, if the setting ``training_sequences`` limited them."""
    sequences = train_detail.get("training_sequences")
    if not sequences or sequences["used"] == sequences["available"]:
        return ""
    return f", on the newest {sequences['used']:,} of {sequences['available']:,} sequences"


def feed_state_lines(feed_state: dict[str, Any]) -> str:
    """Return what was loaded of a feed (:func:`jobs.loading.feed_states.feed_states`) as lines for people."""
    label = f"{'feed ' + feed_state['feed']:<32}"
    if feed_state["table"]:
        return without_control_characters(f"{label}table {feed_state['table']}")
    if not feed_state["files"]:
        return f"{label}nothing loaded yet"
    files = f"{feed_state['files']:,} file{'' if feed_state['files'] == 1 else 's'}"
    newest = f"newest {feed_state['newest_file']}, loaded {feed_state['newest_loaded_at']:%Y-%m-%d %H:%M} UTC"
    text = f"{label}{feed_state['rows_loaded']:>12,} rows of {files}, {newest}"
    if feed_state["missing"]:
        more = feed_state["missing"] - FILES_SHOWN
        names = ", ".join(feed_state["missing_files"][:FILES_SHOWN]) + (f" and {more:,} more" if more > 0 else "")
        text += f"\n{'':<32}{feed_state['missing']:>12,} of them can't be found: {names}"
    if feed_state["problem"]:
        text += f"\n{feed_state['problem']}"
    return without_control_characters(text)


def print_status(warehouse_state: dict[str, Any]) -> None:
    """Print the state of the warehouse (:func:`jobs.commands.status.read_status`)."""
    for name, count in warehouse_state["counts"].items():
        print_result(f"{name:<32}{'not built yet' if count is None else f'{count:>12,}'}")
    for source in warehouse_state["freshness"]:
        newest, name = source["newest_loaded_at"], f"newest row of {source['source_table']}"
        print_result(f"{name:<32}{f'{newest:%Y-%m-%d %H:%M} UTC' if newest else 'none'}")
    for feed in warehouse_state["feeds"]:
        print_result(feed_state_lines(feed))
    if build := warehouse_state["newest_build"]:
        late, rejected = (100 * build[part] / build["event_count"] for part in ("late_count", "rejected_count"))
        shares = f"{late:.1f} % late, {rejected:.1f} % rejected"
        print_result(f"{'events of the newest build':<32}{build['event_count']:>12,}: {shares}")
    for waiting in warehouse_state["embedding_backlog"]:
        label = f"embeddings: items {'to come' if waiting['status'] == 'missing' else waiting['status']}"
        since = f"since {waiting['missing_since']:%Y-%m-%d %H:%M} UTC"
        why = f"({on_one_line(waiting['error'])})" if waiting["error"] else since
        print_result(f"{label:<32}{waiting['items']:>12,} {why}")
    for batch in warehouse_state["embedding_batches"]:
        label = on_one_line(f"{batch['texts']:,} texts of {batch['embedding_model']}, {batch['status']}")
        print_result(f"under way: {label}, handed in {batch['created_at']:%Y-%m-%d %H:%M} UTC")
    table = Table(title="Last runs", title_justify="left")
    for name in ("job", "status", "started (UTC)", "rows out", "error"):
        table.add_column(name)
    for run in warehouse_state["last_runs"]:
        rows = "" if run["rows_out"] is None else f"{run['rows_out']:,}"
        error = on_one_line(run["error"] or "")
        table.add_row(run["job"], run["status"], f"{run['started_at']:%Y-%m-%d %H:%M}", rows, error)
    print_table(table)
    _print_models(warehouse_state)
    for placement in warehouse_state["placements"]:
        print_result(placement_line(placement))
    print_result(publication_line(warehouse_state["published"]))
    for line in size_lines(warehouse_state["sizes"]):
        print_result(line)


def _print_models(warehouse_state: dict[str, Any]) -> None:
    """Print the live model, and which models are damaged, due for retraining or left out of the last training."""
    live = warehouse_state["live_model"]
    if live:
        pinned = ", pinned" if live["is_pinned"] else ""
        reason = f"; {on_one_line(live['reason'])}" if live["reason"] else ""
        history = f"newest {live['training_rows']:,} sequences" if live["training_sequences"] else "history"
        facts = [f"{history} before {live['data_cutoff_at']:%Y-%m-%d}"] if live["data_cutoff_at"] else []
        ndcg = live["ndcg_at_20"]
        facts.append("not measured on the hold-out" if ndcg is None else f"nDCG@20 {ndcg:.4f}")
        print_result(f"live model: {live['model_version']} ({', '.join(facts)}){pinned}{reason}")
    else:
        print_result("live model: none yet")
    for model in warehouse_state["damaged_models"]:
        print_result(
            f"damaged weights: {model['model_version']}, not live since {model['changed_at']:%Y-%m-%d %H:%M} UTC; "
            "the next `nextmart run` trains a new one if none is fresh"
        )
    for model in warehouse_state["due_for_retraining"]:
        print_result(
            f"due for retraining: {model['model_version']} (learnt from events deleted "
            f"{model['deleted_at']:%Y-%m-%d %H:%M} UTC)"
        )
    for family in warehouse_state["left_out_of_training"]:
        runs = "" if family["runs_in_a_row"] == 1 else f", {family['runs_in_a_row']} times in a row"
        print_result(
            f"left out of the last training: {on_one_line(family['family'])} (it needed "
            f"{family['needed_minutes']:.1f} minutes, and {family['minutes_left']:.1f} were left){runs}"
        )


def placement_line(placement_state: dict[str, Any]) -> str:
    """Return a line for people on the lists of a placement.

    Parameters
    ----------
    placement_state : dict
        An entry of ``placements`` in what :func:`jobs.commands.status.read_status` returns.
    """
    label = f"{'placement ' + on_one_line(placement_state['placement']):<32}"
    if not placement_state["visitors"]:
        return f"{label}{'no lists':>12}  (nextmart place fills it)"
    short = f", {placement_state['short_visitors']:,} of them short" if placement_state["short_visitors"] else ""
    rows = f"{placement_state['rows']:,} rows, newest {placement_state['newest_at']:%Y-%m-%d %H:%M} UTC"
    return f"{label}{placement_state['visitors']:>12,} visitors{short}, {rows}"


def publication_line(publication: dict[str, Any] | None) -> str:
    """Return what is published (``published`` of :func:`jobs.commands.status.read_status`) as a line for people."""
    if publication is None:
        return "published: nothing yet"
    if publication["problem"]:
        return f"published: {publication['file']} can't be read, and `nextmart publish` writes it anew: " + on_one_line(
            publication["problem"]
        )
    return f"published: {publication['file']} at {publication['published_at']:%Y-%m-%d %H:%M} UTC"
