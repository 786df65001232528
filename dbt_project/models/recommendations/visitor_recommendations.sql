-- depends_on: {{ ref('recommend_items') }}

with newest_run as (
    -- the newest complete run of the job recommend, so that rows of a run that was killed are never shown
    select run_id
    from {{ source('ml', 'job_runs') }}
    where job = 'recommend' and status = 'done'
    order by run_number desc nulls last, started_at desc, run_id desc
    limit 1
)

select
    list_rows.visitor_id,
    list_rows.rank,
    list_rows.item_id,
    items.title,
    list_rows.score,
    list_rows.source,
    list_rows.reason_item_id,
    {{ reason_in_words('list_rows', 'reason_items') }} as reason,
    coalesce(models.model, case when list_rows.arm = 'control' then 'popularity' end) as model,
    list_rows.model_version,
    list_rows.generated_at,
    list_rows.arm
from {{ source('ml', 'recommendations') }} as list_rows
inner join newest_run on list_rows.run_id = newest_run.run_id
left join {{ source('ml', 'models') }} as models on list_rows.model_version = models.model_version
left join {{ ref('items') }} as items on list_rows.item_id = items.item_id
left join {{ ref('items') }} as reason_items on list_rows.reason_item_id = reason_items.item_id
order by list_rows.visitor_id, list_rows.rank
