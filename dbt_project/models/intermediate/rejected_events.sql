{{ config(materialized='view') }}

with rows_rejected_by_builds as (
    select
        event_id,
        reject_reason as reason,
        raw_row,
        loaded_at,
        batch_id
    from {{ ref('int_events_checked') }}
    where reject_reason is not null
),

unreadable_rows as (
    -- rows of files that `nextmart load` could not read, so that no build has judged them
    select
        null as event_id,
        'unreadable_row' as reason,
        {{ json_object_of({'file': 'file', 'line': 'line', 'row': 'raw_row', 'fault': 'reason'}) }} as raw_row,
        loaded_at,
        null as batch_id
    from {{ source('raw', 'unreadable_rows') }}
    where table_name = 'events'
)

select * from rows_rejected_by_builds
union all
select * from unreadable_rows
