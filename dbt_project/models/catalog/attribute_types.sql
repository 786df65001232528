with attribute_values as (
    select 'item' as subject, unnest({{ attribute_members('attributes') }}) as member
    from {{ ref('stg_items') }}
    union all
    select 'visitor' as subject, unnest({{ attribute_members('attributes') }}) as member
    from {{ ref('stg_visitors') }}
),

attribute_values_with_kinds as (
    select *, {{ attribute_value_kind('member') }} as kind
    from attribute_values
)

select
    subject,
    member['name'] as name,
    {{ attribute_type('kind') }} as type,
    count(*) as value_count,
    min(member['text']) as example
from attribute_values_with_kinds
group by subject, member['name']
