with typed_values as (
    select 'item' as subject, unnest({{ attribute_members('attributes') }}) as member
    from {{ ref('stg_items') }}
    union all
    select 'visitor' as subject, unnest({{ attribute_members('attributes') }}) as member
    from {{ ref('stg_visitors') }}
),

kinds_of_values as (
    select *, {{ attribute_value_kind('member') }} as kind
    from typed_values
)

select
    subject,
    member['name'] as name,
    {{ attribute_type('kind') }} as type,
    count(*) as value_count,
    min(member['text']) as example
from kinds_of_values
group by subject, member['name']
