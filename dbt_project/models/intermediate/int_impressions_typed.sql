{{ config(materialized='view') }}

with arrived_rows as (
    -- users may replace the table raw.impressions by a view of their own; if the view lacks an optional column, the
    -- column is null here
    select * from {{ source('raw', 'impressions') }}
    union all by name
    select
        null::varchar as impression_id,
        null::varchar as placement,
        null::varchar as rank,
        null::varchar as propensity
    where false
),

typed_rows as (
    select
        coalesce(
            {{ null_word_as_null('impression_id') }},
            {{ length_prefixed_hash(compared_impression_columns()) }}
        ) as impression_id,
        {{ null_word_as_null('visitor_id') }} as visitor_id,
        coalesce({{ null_word_as_null('placement') }}, 'default') as placement,
        {{ null_word_as_null('item_id') }} as item_id,
        {{ null_word_as_null('rank') }} as rank_text,
        {{ blank_as_null('shown_at') }} as shown_at_text,
        {{ null_word_as_null('propensity') }} as propensity_text,
        {{ to_timestamp_utc(blank_as_null('shown_at')) }} as shown_at,
        loaded_at,
        {{ row_as_json_text('arrived_rows') }} as raw_row
    from arrived_rows
),

rows_with_ranks_and_propensities as (
    select
        *,
        {{ to_rank('rank_text') }} as rank,
        {{ to_propensity('propensity_text') }} as propensity
    from typed_rows
)

select
    impression_id,
    visitor_id,
    placement,
    item_id,
    rank,
    shown_at,
    propensity,
    loaded_at,
    -- a row has the first reason that applies; tests for null come first, because a comparison with null never applies
    case
        when visitor_id is null then 'missing_visitor_id'
        when item_id is null then 'missing_item_id'
        when loaded_at is null then 'missing_loaded_at'
        when shown_at_text is null then 'missing_shown_at'
        when shown_at is null then 'unparsable_shown_at'
        when shown_at < cast('{{ var("earliest_event_at") }}' as timestamptz) then 'shown_at_too_early'
        when shown_at > loaded_at + {{ interval_of_minutes(var('clock_skew_minutes')) }} then 'shown_at_in_future'
        when rank_text is not null and rank is null then 'unreadable_rank'
        when propensity_text is not null and propensity is null then 'unreadable_propensity'
    end as reject_reason,
    raw_row
from rows_with_ranks_and_propensities
