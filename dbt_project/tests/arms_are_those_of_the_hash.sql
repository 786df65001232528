-- Every published list has the arm that the hash of its visitor gives.
{%- set arm_settings = arm_settings_of_newest_run() %}
with published_lists as (
    {{ arms_of_published_lists() }}
)

select placement, visitor_id, arm
from published_lists
where arm <> {{ visitor_arm('visitor_id', arm_settings['control_share'], arm_settings['salt']) }}
