-- all recommendations that users see come from one model
select count(distinct model_version) as model_versions
from {{ ref('visitor_recommendations') }}
having count(distinct model_version) > 1
