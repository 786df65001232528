{{ config(materialized='view') }}

with unreadable_rows as (
    -- rows that `nextmart load` could not read from files
    select null as impression_id, reason, file, line, raw_row, loaded_at
    from {{ source('raw', 'unreadable_rows') }}
    where table_name = 'impressions'
),

unusable_rows as (
    select impression_id, reject_reason as reason, null as file, null as line, raw_row, loaded_at
    from {{ ref('int_impressions_typed') }}
    where reject_reason is not null
),

rows_in_conflict as (
    -- rows that have the impression_id of an earlier row, but say something else
    select
        later_rows.impression_id,
        'duplicate_impression_id' as reason,
        null as file,
        null as line,
        later_rows.raw_row,
        later_rows.loaded_at
    from {{ ref('int_impressions_typed') }} as later_rows
    inner join {{ ref('stg_impressions') }} as kept_rows on later_rows.impression_id = kept_rows.impression_id
    where
        later_rows.reject_reason is null
        and (
            later_rows.visitor_id <> kept_rows.visitor_id
            or later_rows.placement <> kept_rows.placement
            or later_rows.item_id <> kept_rows.item_id
            or later_rows.rank is distinct from kept_rows.rank
            or later_rows.shown_at <> kept_rows.shown_at
            or later_rows.propensity is distinct from kept_rows.propensity
        )
)

select * from unreadable_rows
union all
select * from unusable_rows
union all
select * from rows_in_conflict
