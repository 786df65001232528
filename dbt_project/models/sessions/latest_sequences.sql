{{ config(materialized='view') }}
-- depends_on: {{ ref('sessions') }}
-- depends_on: {{ ref('sequences') }}

-- the sequence that a visitor's recommendations are made from
{% if var('sequence_scope') == 'user' %}
with owners as (
    -- a device may be shared: its sequence is that of the user who acted last
    select visitor_id, arg_max({{ sequence_key() }}, (ended_at, session_id)) as sequence_id
    from {{ ref('sessions') }} as sessions
    where not is_bot
    group by visitor_id
)

select owners.visitor_id, sequences.sequence_id, sequences.items, sequences.ended_at
from owners
inner join {{ ref('sequences') }} as sequences on owners.sequence_id = sequences.sequence_id
{% else %}
select visitor_id, sequence_id, items, ended_at
from {{ ref('sequences') }}
qualify row_number() over (partition by visitor_id order by ended_at desc, sequence_id desc) = 1
{% endif %}
