-- Every published list is of the arm that the hash of its visitor decides.
{%- set arms = arms_of_newest_run() %}
with published_lists as (
    {{ published_arms() }}
)

select placement, visitor_id, arm
from published_lists
where arm <> {{ visitor_arm('visitor_id', arms['control'], arms['salt']) }}
