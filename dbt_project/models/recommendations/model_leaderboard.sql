-- depends_on: {{ ref('evaluate_models') }}

with decisions as (
    -- the newest decision about each model
    select * from {{ source('ml', 'champions') }}
    qualify row_number() over (partition by model_version order by changed_at desc) = 1
)

select
    models.model,
    metrics.model_version,
    metrics.split,
    metrics.segment,
    metrics.metric,
    metrics.k,
    metrics.value,
    metrics.ci_low,
    metrics.ci_high,
    metrics.n,
    models.status = 'live' as is_live,
    coalesce(decisions.pinned, false) as is_pinned,
    decisions.reason as decision,
    decisions.difference,
    decisions.ci_low as difference_low,
    decisions.ci_high as difference_high,
    metrics.measured_at
from {{ source('ml', 'model_metrics') }} as metrics
inner join {{ source('ml', 'models') }} as models on metrics.model_version = models.model_version
left join decisions on metrics.model_version = decisions.model_version
order by metrics.split, metrics.segment, metrics.metric, metrics.k, metrics.value desc, metrics.model_version
