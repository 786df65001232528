-- depends_on: {{ ref('recommend_items') }}

with live_run as (
    -- the newest complete run: rows of a run that was killed are never shown
    select run_id
    from {{ source('ml', 'job_runs') }}
    where job = 'recommend' and status = 'done'
    order by started_at desc, run_id desc
    limit 1
)

select
    chosen.visitor_id,
    chosen.rank,
    chosen.item_id,
    items.title,
    chosen.score,
    chosen.source,
    chosen.reason_item_id,
    case
        when chosen.reason_item_id is not null
            then 'because of ' || coalesce(reasons.title, chosen.reason_item_id)
        when chosen.source = 'popularity' then 'popular with other visitors'
    end as reason,
    models.model,
    chosen.model_version,
    chosen.generated_at
from {{ source('ml', 'recommendations') }} as chosen
inner join live_run on chosen.run_id = live_run.run_id
left join {{ source('ml', 'models') }} as models on chosen.model_version = models.model_version
left join {{ ref('items') }} as items on chosen.item_id = items.item_id
left join {{ ref('items') }} as reasons on chosen.reason_item_id = reasons.item_id
order by chosen.visitor_id, chosen.rank
