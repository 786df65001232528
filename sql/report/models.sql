-- The newest model of each family, with metrics that were measured on sequences which the model has not learnt from
with metrics_of_newest_versions as (
    select *
    from recommendations.model_leaderboard
    where ends_with(split, '/test') and segment = 'all' and k = 10 and metric in ('ndcg', 'hit_rate', 'coverage', 'intra_list_similarity')
    qualify dense_rank() over (partition by model order by is_live desc, measured_at desc, model_version desc) = 1
)

select
    model,
    model_version,
    bool_or(is_live) as is_live,
    any_value(decision) as decision,
    max(value) filter (where metric = 'ndcg') as ndcg,
    max(ci_low) filter (where metric = 'ndcg') as ndcg_low,
    max(ci_high) filter (where metric = 'ndcg') as ndcg_high,
    max(value) filter (where metric = 'hit_rate') as hit_rate,
    max(ci_low) filter (where metric = 'hit_rate') as hit_rate_low,
    max(ci_high) filter (where metric = 'hit_rate') as hit_rate_high,
    max(value) filter (where metric = 'coverage') as coverage,
    max(value) filter (where metric = 'intra_list_similarity') as similarity_in_list,
    max(n) as cases
from metrics_of_newest_versions
group by model, model_version
order by ndcg desc nulls last, model;
