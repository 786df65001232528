"""Drawings of frames as SVG, made by Vega-Altair and vl-convert, without a network.

The drawings have no colours of their own: series have the page's CSS variables, and text has the colour of the text
around it, so one drawing serves light and dark pages. All drawings are narrow enough for a phone.
"""

from typing import Any, Final

import altair as alt
import polars as pl
import vl_convert

from jobs.reporting.parts import Chart

WIDTH: Final = 340
"""Width of a whole drawing in CSS pixels, axes and labels included."""

SERIES: Final = ["var(--series-1)", "var(--series-2)", "var(--series-3)", "var(--series-4)", "var(--series-5)"]

_TEXT: Final = {"labelColor": "currentColor", "titleColor": "currentColor", "titleFontWeight": "normal"}
_CONFIG: Final[dict[str, Any]] = {
    "background": "transparent",
    "font": "Arial, Liberation Sans, sans-serif",  # of known widths, so that labels fit
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


def bars(frame: pl.DataFrame, title: str, label: str, value: str, value_title: str, value_format: str = ",") -> Chart:
    """Draw one horizontal bar a row, in the order of the rows.

    Parameters
    ----------
    label, value : str
        Columns of ``frame``: the text beside a bar, and its length.
    """
    chart = (
        alt.Chart(frame)
        .mark_bar(color=SERIES[0])
        .encode(
            y=alt.Y(label, type="nominal", sort=None, title=None),
            x=alt.X(value, type="quantitative", title=value_title, axis=alt.Axis(format=value_format, tickCount=4)),
        )
    )
    return _drawn(chart, title, height=max(60, 22 * frame.height))


def grouped_bars(
    frame: pl.DataFrame, title: str, group: str, value: str, series: str, titles: tuple[str, str]
) -> Chart:
    """Draw bars of shares side by side, one for each value of ``series`` in each group.

    Parameters
    ----------
    titles : (str, str)
        Titles of the axis of groups and of the axis of shares.
    """
    chart = (
        alt.Chart(frame)
        .mark_bar()
        .encode(
            x=alt.X(group, type="ordinal", title=titles[0], axis=alt.Axis(labelAngle=0, labelOverlap=True)),
            xOffset=alt.XOffset(series, type="nominal"),
            y=alt.Y(value, type="quantitative", title=titles[1], axis=alt.Axis(format="%", tickCount=5)),
            color=alt.Color(series, type="nominal"),
        )
    )
    return _drawn(chart, title)


def intervals(frame: pl.DataFrame, title: str, label: str, value: str, value_title: str) -> Chart:
    """Draw a point a row with its interval, from the columns ``value``, ``value_low`` and ``value_high``."""
    base = alt.Chart(frame).encode(y=alt.Y(label, type="nominal", sort=None, title=None))
    lines = base.mark_rule(color=SERIES[0], strokeWidth=2).encode(
        x=alt.X(f"{value}_low", type="quantitative", title=value_title, axis=alt.Axis(tickCount=4)),
        x2=alt.X2(f"{value}_high"),
    )
    points = base.mark_point(color=SERIES[0], filled=True, size=70, opacity=1).encode(
        x=alt.X(value, type="quantitative")
    )
    return _drawn(lines + points, title, height=max(60, 28 * frame.height))


def lorenz(frame: pl.DataFrame, title: str) -> Chart:
    """Draw Lorenz curves from the columns ``measure``, ``item_share``, ``amount_share``, and equality."""
    ends = pl.DataFrame({"item_share": [0.0, 1.0], "amount_share": [0.0, 1.0]})
    x = alt.X("item_share", type="quantitative", title="share of items, least first", axis=_percent_axis())
    y = alt.Y("amount_share", type="quantitative", title="share of all", axis=_percent_axis())
    curves = alt.Chart(frame).mark_line().encode(x=x, y=y, color=alt.Color("measure", type="nominal"))
    equality = alt.Chart(ends).mark_line(color="var(--line)", strokeDash=[4, 4]).encode(x=x, y=y)
    return _drawn(equality + curves, title)


def days(
    frame: pl.DataFrame,
    title: str,
    value: str,
    series: str,
    value_title: str,
    value_format: str,
    zero_line: bool = False,
) -> Chart:
    """Draw lines over the column ``day``, with bands from ``value_low`` to ``value_high``.

    Parameters
    ----------
    zero_line : bool
        Whether the value 0 gets a line of its own.
    """
    base = alt.Chart(frame).encode(
        x=alt.X("day", type="temporal", title=None, axis=alt.Axis(format="%d %b", tickCount=4)),
        color=alt.Color(series, type="nominal"),
    )
    axis = alt.Axis(format=value_format, tickCount=5)
    lines = base.mark_line(point=True).encode(y=alt.Y(value, type="quantitative", title=value_title, axis=axis))
    bands = base.mark_area(opacity=0.2).encode(y=alt.Y(f"{value}_low", type="quantitative"), y2=alt.Y2(f"{value}_high"))
    layers = bands + lines
    if zero_line:
        zero = alt.Chart(pl.DataFrame({"zero": [0.0]})).mark_rule(color="currentColor", strokeDash=[4, 4])
        layers = layers + zero.encode(y=alt.Y("zero", type="quantitative"))
    return _drawn(layers, title)


def _percent_axis() -> alt.Axis:
    return alt.Axis(format="%", tickCount=5)


def _drawn(chart: alt.Chart | alt.LayerChart, title: str, height: int = 200) -> Chart:
    sized = chart.properties(
        width=WIDTH, height=height, autosize=alt.AutoSizeParams(type="fit-x", contains="padding"), description=title
    )
    specification = {**sized.to_dict(), "config": _CONFIG}
    return Chart(title, vl_convert.vegalite_to_svg(specification, allowed_base_urls=[]))
