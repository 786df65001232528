"""Draws data frames as SVG for the report, with Vega-Altair and vl-convert, which need no network.

The drawings take their colours from the page: CSS variables for series, and the colour of the surrounding text for
text. So one drawing serves light and dark pages. All drawings are narrow enough for a phone.
"""

from typing import Any, Final

import altair as alt
import polars as pl
import vl_convert

from jobs.reporting.page_parts import Chart

WIDTH: Final = 340
"""Width of a drawing with its axes and labels, in CSS pixels."""

SERIES: Final = ["var(--series-1)", "var(--series-2)", "var(--series-3)", "var(--series-4)", "var(--series-5)"]

_TEXT: Final = {"labelColor": "currentColor", "titleColor": "currentColor", "titleFontWeight": "normal"}
_CONFIG: Final[dict[str, Any]] = {
    "background": "transparent",
    "font": "Arial, Liberation Sans, sans-serif",  # vl-convert knows the widths of these fonts, so labels fit
    "view": {"stroke": None},
    "axis": {
        **_TEXT,
        "gridColor": "var(--line)",
        "domainColor": "var(--line)",
        "tickColor": "var(--line)",
        "labelLimit": 150,
        "labelFontSize": 11,
        "titleFontSize": 11,
    },
    "legend": {**_TEXT, "orient": "top", "title": None, "labelFontSize": 11, "columns": 3, "labelLimit": 150},
    "range": {"category": SERIES},
}


def draw_bars(
    frame: pl.DataFrame,
    title: str,
    label_column: str,
    value_column: str,
    value_axis_title: str,
    value_format: str = ",",
) -> Chart:
    """Draw a horizontal bar for each row of a frame, in the order of rows.

    Parameters
    ----------
    label_column, value_column : str
        Names of the columns with the text beside a bar and with the length of the bar.
    """
    chart = (
        alt.Chart(frame)
        .mark_bar(color=SERIES[0])
        .encode(
            y=alt.Y(label_column, type="nominal", sort=None, title=None),
            x=alt.X(
                value_column,
                type="quantitative",
                title=value_axis_title,
                axis=alt.Axis(format=value_format, tickCount=4),
            ),
        )
    )
    return _as_svg(chart, title, height=max(60, 22 * frame.height))


def draw_grouped_bars(
    frame: pl.DataFrame,
    title: str,
    group_column: str,
    value_column: str,
    series_column: str,
    axis_titles: tuple[str, str],
) -> Chart:
    """Draw shares as vertical bars in groups, one bar in each group for each series.

    Parameters
    ----------
    group_column, value_column, series_column : str
        Names of the columns with the bar's group, its share and its series.
    axis_titles : (str, str)
        Titles of the axis of groups and of the axis of shares.
    """
    chart = (
        alt.Chart(frame)
        .mark_bar()
        .encode(
            x=alt.X(group_column, type="ordinal", title=axis_titles[0], axis=alt.Axis(labelAngle=0, labelOverlap=True)),
            xOffset=alt.XOffset(series_column, type="nominal"),
            y=alt.Y(value_column, type="quantitative", title=axis_titles[1], axis=alt.Axis(format="%", tickCount=5)),
            color=alt.Color(series_column, type="nominal"),
        )
    )
    return _as_svg(chart, title)


def draw_intervals(
    frame: pl.DataFrame, title: str, label_column: str, value_column: str, value_axis_title: str
) -> Chart:
    """Draw a point with its interval for each row of a frame.

    Parameters
    ----------
    label_column, value_column : str
        Names of the columns with the text beside a point and with its value; the ends of the interval are in the
        columns of that name with ``_low`` and ``_high`` added.
    """
    base = alt.Chart(frame).encode(y=alt.Y(label_column, type="nominal", sort=None, title=None))
    lines = base.mark_rule(color=SERIES[0], strokeWidth=2).encode(
        x=alt.X(f"{value_column}_low", type="quantitative", title=value_axis_title, axis=alt.Axis(tickCount=4)),
        x2=alt.X2(f"{value_column}_high"),
    )
    points = base.mark_point(color=SERIES[0], filled=True, size=70, opacity=1).encode(
        x=alt.X(value_column, type="quantitative")
    )
    return _as_svg(lines + points, title, height=max(60, 28 * frame.height))


def draw_lorenz_curves(frame: pl.DataFrame, title: str) -> Chart:
    """Draw a Lorenz curve for each ``measure`` of the frame, and the line of equality.

    The column ``item_share`` gives the horizontal axis, and ``amount_share`` the vertical axis.
    """
    ends = pl.DataFrame({"item_share": [0.0, 1.0], "amount_share": [0.0, 1.0]})
    x = alt.X("item_share", type="quantitative", title="share of items, least first", axis=_percent_axis())
    y = alt.Y("amount_share", type="quantitative", title="share of all", axis=_percent_axis())
    curves = alt.Chart(frame).mark_line().encode(x=x, y=y, color=alt.Color("measure", type="nominal"))
    equality = alt.Chart(ends).mark_line(color="var(--line)", strokeDash=[4, 4]).encode(x=x, y=y)
    return _as_svg(equality + curves, title)


def draw_daily_values(
    frame: pl.DataFrame,
    title: str,
    value_column: str,
    series_column: str,
    value_axis_title: str,
    value_format: str,
    has_zero_line: bool = False,
) -> Chart:
    """Draw daily values as a line for each series, with a band for the intervals.

    A series of a single day has a vertical bar for the interval, because a band over one day has no width.

    Parameters
    ----------
    value_column, series_column : str
        Names of the columns with a day's value and its series; the ends of the interval are in the columns of the
        value's name with ``_low`` and ``_high`` added. The day is in the column ``day``.
    has_zero_line : bool
        Whether a dashed line marks the value 0.
    """
    x = alt.X("day", type="temporal", title=None, axis=alt.Axis(format="%d %b", tickCount=4))
    color = alt.Color(series_column, type="nominal")
    axis = alt.Axis(format=value_format, tickCount=5)
    y = alt.Y(value_column, type="quantitative", title=value_axis_title, axis=axis)
    ends = {"y": alt.Y(f"{value_column}_low", type="quantitative"), "y2": alt.Y2(f"{value_column}_high")}
    single_days = frame.filter(pl.len().over(series_column) == 1)
    lines = alt.Chart(frame).mark_line(point=True).encode(x=x, y=y, color=color)
    bands = alt.Chart(frame).mark_area(opacity=0.2).encode(x=x, color=color, **ends)
    bars = alt.Chart(single_days).mark_rule(strokeWidth=2).encode(x=x, color=color, **ends)
    layers = bands + bars + lines
    if has_zero_line:
        zero = alt.Chart(pl.DataFrame({"zero": [0.0]})).mark_rule(color="currentColor", strokeDash=[4, 4])
        layers = layers + zero.encode(y=alt.Y("zero", type="quantitative"))
    return _as_svg(layers, title)


def _percent_axis() -> alt.Axis:
    return alt.Axis(format="%", tickCount=5)


def _as_svg(chart: alt.Chart | alt.LayerChart, chart_title: str, height: int = 200) -> Chart:
    sized = chart.properties(
        width=WIDTH,
        height=height,
        autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
        description=chart_title,
    )
    specification = {**sized.to_dict(), "config": _CONFIG}
    return Chart(chart_title, vl_convert.vegalite_to_svg(specification, allowed_base_urls=[]))
