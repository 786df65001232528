"""Drawings of the report: what they hold, read from their SVG."""

from datetime import date

import polars as pl
import pytest

from jobs.reporting.charts import draw_daily_values

INTERVAL = {"uplift": 1.0, "uplift_low": 0.5, "uplift_high": 1.5, "arm": "model"}


@pytest.mark.parametrize(("days", "has_bar"), [(1, True), (3, False)])
def test_the_interval_of_a_single_day_is_a_bar(days, has_bar):
    frame = pl.DataFrame([{"day": date(2026, 1, day + 1), **INTERVAL} for day in range(days)])
    drawing = draw_daily_values(frame, "uplift by day", "uplift", "arm", "uplift", "~g")
    rules = [group.split("</g>")[0] for group in drawing.svg.split('class="mark-rule role-mark')[1:]]
    assert any("<line" in rule for rule in rules) is has_bar
