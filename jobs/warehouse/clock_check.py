"""Finds out whether the clock of this machine has jumped, by the times of earlier runs of jobs."""

from datetime import datetime, timedelta

from jobs.warehouse.connection import Connection

CLOCK_TOLERANCE = timedelta(minutes=1)
"""Difference between the clocks of two machines up to which no clock counts as wrong."""
LONG_PAUSE = timedelta(days=7)

EARLIER_RUNS = """
    -- the newest time at which a job was at work, and the longest pause between two runs that followed each other
    with runs as (
        select
            greatest(started_at, finished_at) as at_work_at,
            started_at - lag(started_at) over (order by run_number) as pause
        from ml.job_runs
    )
    select max(at_work_at), max(pause), count(pause) from runs
"""


def clock_warning(connection: Connection, current_time: datetime) -> str | None:
    """Return a warning if the clock is behind the newest run of a job, or far ahead of it; None if it is neither.

    The clock is far ahead if more than a week has passed since the newest run, and more than twice the longest pause
    between earlier runs. The warning names the time of the clock and the time of that run.

    Parameters
    ----------
    current_time : datetime
        What the clock says.
    """
    at_work_at, longest_pause, pauses = connection.execute(EARLIER_RUNS).fetchone() or (None, None, 0)
    if at_work_at is None:
        return None
    says, was_at = (f"{moment:%Y-%m-%d %H:%M:%S} UTC" for moment in (current_time, at_work_at))
    times = f"the clock says {says}, and the newest run was at {was_at}"
    if at_work_at - current_time > CLOCK_TOLERANCE:
        return (
            f"WARN: {times}: one of the two is wrong. What is newest is told by numbers, not by the clock; models of "
            "the future are trained again."
        )
    if pauses >= 3 and current_time - at_work_at > max(LONG_PAUSE, 2 * longest_pause):
        return f"WARN: {times}, the longest pause so far: if jobs have run since, the clock is wrong."
    return None
