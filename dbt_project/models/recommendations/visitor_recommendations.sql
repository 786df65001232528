-- depends_on: {{ ref('recommend_items') }}

with newest_run as (
    -- the newest complete run of the recommend job: rows of a run that was killed are never shown
    select run_id
    from {{ source('ml', 'job_runs') }}
    where job = 'recommend' and status = 'done'
    order by run_number desc nulls last, started_at desc, run_id desc
    limit 1
)

select
    recommended.visitor_id,
    recommended.rank,
    recommended.item_id,
    items.title,
    recommended.score,
    recommended.source,
    recommended.reason_item_id,
    {{ reason_in_words('recommended', 'reason_items') }} as reason,
    coalesce(models.model, case when recommended.arm = 'control' then 'popularity' end) as model,
    recommended.model_version,
    recommended.generated_at,
    recommended.arm
from {{ source('ml', 'recommendations') }} as recommended
inner join newest_run on recommended.run_id = newest_run.run_id
left join {{ source('ml', 'models') }} as models on recommended.model_version = models.model_version
left join {{ ref('items') }} as items on recommended.item_id = items.item_id
left join {{ ref('items') }} as reason_items on recommended.reason_item_id = reason_items.item_id
order by recommended.visitor_id, recommended.rank
