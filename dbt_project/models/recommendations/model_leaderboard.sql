-- depends_on: {{ ref('evaluate_models') }}

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
    metrics.measured_at
from {{ source('ml', 'model_metrics') }} as metrics
inner join {{ source('ml', 'models') }} as models on metrics.model_version = models.model_version
order by metrics.split, metrics.segment, metrics.metric, metrics.k, metrics.value desc, metrics.model_version
