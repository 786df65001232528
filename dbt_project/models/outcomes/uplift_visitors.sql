with newest_event_time as (
    select max(event_at) as event_at from {{ ref('session_items') }}
),

times_of_control_lists as (
    select distinct placement, live_from, coalesce(live_until, 'infinity'::timestamptz) as live_until
    from {{ ref('live_lists') }}
    where arm = 'control'
),

times_of_control_lists_with_pauses as (
    -- is_after_pause: just before these lists became live, the placement had no live list of the control
    select
        *,
        live_from > max(live_until) over (
            partition by placement order by live_from, live_until rows between unbounded preceding and 1 preceding
        ) as is_after_pause
    from times_of_control_lists
),

experiments as (
    -- The experiment of a placement lasts as long as visitors have lists of the control, because only then the arms can
    -- be compared. After a pause another experiment begins, and only the newest one counts: a visitor who came in the
    -- pause can't be in the control
    select
        placement,
        coalesce(max(live_from) filter (where is_after_pause), min(live_from)) as starts_at,
        nullif(max(live_until), 'infinity'::timestamptz) as ends_at
    from times_of_control_lists_with_pauses
    group by placement
),

exposures as (
    -- What makes a visitor enter an experiment: an impression of an item in the visitor's list. In a placement without
    -- such impressions, it is a live list, which the visitor could see
    select placement, visitor_id, arm, shown_at as exposed_from, shown_at as exposed_until
    from {{ ref('shown_places') }}
    union all
    select distinct placement, visitor_id, arm, live_from as exposed_from, live_until as exposed_until
    from {{ ref('live_lists') }}
    where placement not in (select placement from {{ ref('shown_places') }})
),

experiment_entries as (
    select
        exposures.placement,
        exposures.visitor_id,
        min(greatest(exposures.exposed_from, experiments.starts_at)) as entered_at,
        arg_min(exposures.arm, (exposures.exposed_from, exposures.arm)) as arm
    from exposures
    inner join experiments on exposures.placement = experiments.placement
    where
        exposures.exposed_from >= experiments.starts_at
        or exposures.exposed_until is null
        or exposures.exposed_until > experiments.starts_at
    group by exposures.placement, exposures.visitor_id
),

outcome_windows as (
    select
        experiment_entries.*,
        experiment_entries.entered_at - {{ outcome_window() }} as window_before_starts_at,
        experiment_entries.entered_at + {{ outcome_window() }} as window_after_ends_at
    from experiment_entries
),

visitors_with_passed_windows as (
    -- visitors whose window after the entry ended while the experiment lasted, on a day that is over; day is the last
    -- day of that window
    select outcome_windows.*, {{ day_of("outcome_windows.window_after_ends_at - interval '1 microsecond'") }} as day
    from outcome_windows
    inner join experiments on outcome_windows.placement = experiments.placement
    cross join newest_event_time
    -- visitors who had lists of both arms within that window are left out, because they say nothing of either arm
    anti join {{ ref('live_lists') }} as lists
        on
            outcome_windows.placement = lists.placement
            and outcome_windows.visitor_id = lists.visitor_id
            and outcome_windows.arm <> lists.arm
            and outcome_windows.window_after_ends_at > lists.live_from
            and (lists.live_until is null or outcome_windows.entered_at < lists.live_until)
    where
        (experiments.ends_at is null or outcome_windows.window_after_ends_at <= experiments.ends_at)
        and {{ day_of("outcome_windows.window_after_ends_at - interval '1 microsecond'") }}
        < {{ day_of('newest_event_time.event_at') }}
),

measured_events as (
    select visitor_id, event_at, event_type as measure, 1 as amount
    from {{ ref('outcome_events') }}
    union all
    select visitor_id, event_at, 'revenue' as measure, revenue as amount
    from {{ ref('outcome_events') }}
    where revenue is not null
),

measures as (
    select distinct measure from measured_events
),

outcome_amounts as (
    select
        visitors.placement,
        visitors.visitor_id,
        events.measure,
        sum(events.amount) filter (where events.event_at >= visitors.entered_at) as outcome,
        sum(events.amount) filter (where events.event_at < visitors.entered_at) as outcome_before
    from visitors_with_passed_windows as visitors
    inner join measured_events as events
        on
            visitors.visitor_id = events.visitor_id
            and visitors.window_before_starts_at <= events.event_at
            and visitors.window_after_ends_at > events.event_at
    group by visitors.placement, visitors.visitor_id, events.measure
)

select
    visitors.placement,
    measures.measure,
    visitors.visitor_id,
    visitors.arm,
    visitors.entered_at,
    visitors.day,
    coalesce(outcome_amounts.outcome, 0)::double as outcome,
    coalesce(outcome_amounts.outcome_before, 0)::double as outcome_before
from visitors_with_passed_windows as visitors
cross join measures
left join outcome_amounts
    on
        visitors.placement = outcome_amounts.placement and visitors.visitor_id = outcome_amounts.visitor_id
        and measures.measure = outcome_amounts.measure
