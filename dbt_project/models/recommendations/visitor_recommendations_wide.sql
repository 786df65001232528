-- This table always has twenty item columns, whatever `recommendations_per_visitor` is, because tools that read it need
-- fixed columns.
select
    visitor_id,
    {% for rank in range(1, 21) -%}
    max(item_id) filter (where rank = {{ rank }}) as item_{{ rank }},
    {% endfor -%}
    max(model_version) as model_version,
    max(generated_at) as generated_at
from {{ ref('visitor_recommendations') }}
group by visitor_id
order by visitor_id
