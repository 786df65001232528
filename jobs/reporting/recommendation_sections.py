"""Sections of the report about models and lists: comparison, concentration, outcomes and placements."""

from datetime import date

import polars as pl

from jobs.reporting import charts
from jobs.reporting.page_parts import Chart, Section, percent_text, table_of_frame
from jobs.reporting.report_queries import Frames

MEASURES_DRAWN = 4
"""The most drawings of outcomes, and of uplift; a drawing shows one measure of a placement, and the tables show all."""


def models_section(frames: Frames) -> Section:
    """Return the report's section that compares models, with intervals, and says why the live model is live."""
    models = frames["models"]
    title = "Models against each other"
    if models.is_empty():
        return Section("models", title, ["No model is measured yet."])
    sentences = [
        "Measured on sequences that no model has seen, at 10 places, with 95 % intervals; the live model was chosen on "
        "other sequences. Similarity in a list is the mean cosine of its items' embeddings: near 1, the items are much "
        "the same."
    ]
    for row in models.filter("is_live").iter_rows(named=True):
        sentences.append(f"{row['model']} is {row['decision'] or 'live; no decision is recorded'}.")
    headings = {
        "model": "model",
        "is_live": "live",
        "ndcg": "nDCG@10",
        "ndcg_low": "low",
        "ndcg_high": "high",
        "hit_rate": "hit rate@10",
        "coverage": "coverage@10",
        "similarity_in_list": "similarity in a list@10",
        "cases": "cases",
        "decision": "decision",
    }
    drawings = [
        charts.draw_intervals(models, "nDCG@10 with 95 % interval", "model", "ndcg", "nDCG@10"),
        charts.draw_intervals(models, "Hit rate@10 with 95 % interval", "model", "hit_rate", "hit rate@10"),
    ]
    return Section(
        "models", title, sentences, drawings, [table_of_frame(models, "The newest version of each family", headings)]
    )


def concentration_section(frames: Frames) -> Section:
    """Return the report's section on how unevenly events and places in lists are spread over the catalogue's items."""
    groups, curves = frames["concentration"], frames["lorenz"]
    title = "Concentration"
    if groups.is_empty() or curves.is_empty():
        return Section("concentration", title, ["There are no lists yet."])
    top = groups.row(0, named=True)
    sentence = (
        f"The most popular tenth of the items has {percent_text(top['popularity_share'])} of all popularity and "
        f"{percent_text(top['place_share'])} of all places in lists."
    )
    long = groups.rename({"popularity_share": "popularity", "place_share": "places in lists"}).unpivot(
        ["popularity", "places in lists"], index="popularity_group", variable_name="share of", value_name="share"
    )
    titles = ("tenth of the items, most popular first", "share")
    drawings = [
        charts.draw_lorenz_curves(curves, "Lorenz curves: popularity and places in lists"),
        charts.draw_grouped_bars(
            long, "Popularity against places in lists", "popularity_group", "share", "share of", titles
        ),
    ]
    headings = {
        "popularity_group": "tenth",
        "items": "items",
        "popularity_share": "share of popularity",
        "place_share": "share of places",
    }
    return Section(
        "concentration", title, [sentence], drawings, [table_of_frame(groups, "Tenths of the items", headings)]
    )


def outcomes_section(frames: Frames) -> Section:
    """Return the report's section on the events that followed lists, by day, and on uplift against the control arm."""
    outcomes, uplift = frames["outcomes"], frames["uplift"]
    title = "Outcomes and uplift"
    sentences: list[str] = []
    drawings: list[Chart] = []
    tables = []
    if outcomes.is_empty():
        sentences.append(
            "No outcomes yet: they need lists that were published before later events came, so they appear after the "
            "next nights. With impressions (raw.impressions), they tell what was shown instead of what could be seen."
        )
    else:
        sentences.append(
            "The share of places of live or shown lists that were followed by the event. In the 95 % intervals, a "
            "visitor counts as one place, because places of one visitor are not independent. So these intervals are "
            "too wide rather than too narrow."
        )
        sentences.append(
            "The lists of two models went to different visitors, or on different days. So these rates don't tell which "
            "model is better; uplift does."
        )
        for (placement, event_type, evidence), part in _first_groups(outcomes, ["placement", "event_type", "evidence"]):
            name = f"{placement}: {event_type} by day ({evidence})"
            drawings.append(charts.draw_daily_values(part, name, "rate", "lists", "share followed", "%"))
        headings = {
            "day": "day",
            "placement": "placement",
            "lists": "lists of",
            "event_type": "event",
            "evidence": "evidence",
            "places": "places",
            "followed": "followed",
            "rate": "rate",
            "rate_low": "low",
            "rate_high": "high",
            "revenue": "revenue",
        }
        newest = outcomes.sort("day", descending=True, maintain_order=True).head(40)
        tables.append(table_of_frame(newest, "Outcomes of the newest days", headings, money_columns=["revenue"]))
    if uplift.is_empty():
        sentences.append("No uplift yet: it needs a control arm ([arms] in nextmart.toml) and outcomes of both arms.")
    else:
        sentences.append("Uplift is the mean for each visitor less that of the control; it may be looked at daily.")
        for (placement, measure), part in _first_groups(uplift, ["placement", "measure"]):
            name = f"{placement}: uplift of {measure} for each visitor"
            drawings.append(charts.draw_daily_values(part, name, "uplift", "arm", "uplift", "~g", has_zero_line=True))
        last_day: date = uplift["day"].max()  # type: ignore[assignment]
        headings = {
            "placement": "placement",
            "measure": "measure",
            "arm": "arm",
            "control_arm": "control",
            "visitors": "visitors",
            "control_visitors": "visitors of control",
            "mean": "mean",
            "control_mean": "mean of control",
            "uplift": "uplift",
            "uplift_low": "low",
            "uplift_high": "high",
            "relative_uplift": "relative",
        }
        tables.append(
            table_of_frame(uplift.filter(pl.col("day") == last_day), f"Uplift with data up to {last_day}", headings)
        )
    return Section("outcomes", title, sentences, drawings, tables)


def placements_section(frames: Frames) -> Section:
    """Return the report's section on placements: their rules, and how many visitors have too short a list."""
    placements = frames["placements"]
    title = "Placements"
    if placements.is_empty():
        return Section(
            "placements", title, ["No placement has lists: [placements.NAME] in nextmart.toml says rules of one."]
        )
    short = placements.with_columns(share=pl.col("short_visitors") / pl.col("visitors"))
    sentence = (
        f"{placements['short_visitors'].sum():,} of {placements['visitors'].sum():,} lists are shorter than their "
        "placement asks for, because too few items pass the rules."
    )
    headings = {
        "placement": "placement",
        "k": "places wanted",
        "visitors": "visitors",
        "short_visitors": "visitors left short",
        "missing_places": "missing places",
    }
    tables = [table_of_frame(placements, "Lists of placements", headings)]
    if not frames["placement_rules"].is_empty():
        headings = {"placement": "placement", "rule": "rule", "target": "of", "definition": "definition"}
        tables.append(table_of_frame(frames["placement_rules"], "Rules of the last fill", headings))
    drawing = charts.draw_bars(short, "Share of visitors left short", "placement", "share", "share of visitors", ".1%")
    return Section("placements", title, [sentence], [drawing], tables)


def _first_groups(frame: pl.DataFrame, group_columns: list[str]) -> list[tuple[tuple[object, ...], pl.DataFrame]]:
    return list(frame.group_by(group_columns, maintain_order=True))[:MEASURES_DRAWN]
