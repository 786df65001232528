-- All recommendations of one arm come from one version of a model.
select arm, count(distinct model_version) as model_versions
from {{ ref('visitor_recommendations') }}
group by arm
having count(distinct model_version) > 1
