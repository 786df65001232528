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
    -- rows whose impression_id an earlier row has, with other values in the other columns
    select rows.impression_id, 'duplicate_impression_id' as reason, null as file, null as line, rows.raw_row, rows.loaded_at
    from {{ ref('int_impressions_typed') }} as rows
    inner join {{ ref('stg_impressions') }} as kept on rows.impression_id = kept.impression_id
    where
        rows.reject_reason is null
        and (
            rows.visitor_id <> kept.visitor_id
            or rows.placement <> kept.placement
            or rows.item_id <> kept.item_id
            or rows.rank is distinct from kept.rank
            or rows.shown_at <> kept.shown_at
            or rows.propensity is distinct from kept.propensity
        )
)

select * from unreadable_rows
union all
select * from unusable_rows
union all
select * from rows_in_conflict
