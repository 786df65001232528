-- depends_on: {{ ref('evaluate_models') }}

with newest_decisions as (
    -- the newest decision about each model
    select * from {{ source('ml', 'champions') }}
    qualify row_number() over (partition by model_version order by decision_number desc nulls last, changed_at desc) = 1
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
    coalesce(newest_decisions.pinned, false) as is_pinned,
    newest_decisions.reason as decision,
    newest_decisions.difference,
    newest_decisions.ci_low as difference_low,
    newest_decisions.ci_high as difference_high,
    metrics.measured_at,
    models.training_rows,
    models.training_sequences
from {{ source('ml', 'model_metrics') }} as metrics
inner join {{ source('ml', 'models') }} as models on metrics.model_version = models.model_version
left join newest_decisions on metrics.model_version = newest_decisions.model_version
order by metrics.split, metrics.segment, metrics.metric, metrics.k, metrics.value desc, metrics.model_version
