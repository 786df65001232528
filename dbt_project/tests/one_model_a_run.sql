-- all recommendations that users of one arm see come from one model
select arm, count(distinct model_version) as model_versions
from {{ ref('visitor_recommendations') }}
group by arm
having count(distinct model_version) > 1
