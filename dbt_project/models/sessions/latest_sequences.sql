{{ config(materialized='view') }}
-- depends_on: {{ ref('sessions') }}
-- depends_on: {{ ref('sequences') }}

-- for each visitor, the sequence from which the recommendations are made
{% if var('sequence_scope') == 'user' %}
with sequences_of_last_users as (
    -- several users may share a device, which is one visitor: it gets the sequence of the user who acted on it last
    select visitor_id, arg_max({{ sequence_key() }}, (ended_at, session_id)) as sequence_id
    from {{ ref('sessions') }} as sessions
    where not is_bot
    group by visitor_id
)

select sequences_of_last_users.visitor_id, sequences.sequence_id, sequences.items, sequences.ended_at, sequences.is_target
from sequences_of_last_users
inner join {{ ref('sequences') }} as sequences on sequences_of_last_users.sequence_id = sequences.sequence_id
{% else %}
select visitor_id, sequence_id, items, ended_at, is_target
from {{ ref('sequences') }}
qualify row_number() over (partition by visitor_id order by ended_at desc, sequence_id desc) = 1
{% endif %}
