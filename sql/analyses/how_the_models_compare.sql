-- How do the models compare on history that they have not seen? One row a family, for its newest version, with the
-- 95 % interval of nDCG. The live model was chosen by other sequences, those of the validation part. The column
-- `decision` says why a model is live or not.
with metrics_of_newest_versions as (
    select *
    from recommendations.model_leaderboard
    where ends_with(split, '/test') and segment = 'all' and k = 10
    qualify dense_rank() over (partition by model order by measured_at desc, model_version desc) = 1
)

select
    model,
    bool_or(is_live) as is_live,
    round(max(value) filter (where metric = 'ndcg'), 4) as ndcg_at_10,
    round(max(ci_low) filter (where metric = 'ndcg'), 4) as ndcg_low,
    round(max(ci_high) filter (where metric = 'ndcg'), 4) as ndcg_high,
    round(max(value) filter (where metric = 'hit_rate'), 4) as hit_rate_at_10,
    round(max(value) filter (where metric = 'coverage'), 4) as coverage_at_10,
    max(n) as cases,
    any_value(decision) as decision
from metrics_of_newest_versions
group by model
order by ndcg_at_10 desc, model;
