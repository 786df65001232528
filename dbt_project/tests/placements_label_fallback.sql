-- The source of each row is right: the model of the list, popularity for an item that fills the list (the fallback), or
-- pin for a pinned item. Rows of the fallback come behind those of the model. A placement without a fallback has none.
-- depends_on: {{ ref('placement_recommendations') }}
-- depends_on: {{ ref('placement_lists') }}
{{ empty_result() }}
{% for rule in placement_rules('fallback') %}
{% set name, slots = text_literals([rule['placement']]), ranks_with_rule(rule['placement'], 'slot') %}
union all
select placement, visitor_id, item_id
from (
    select
        list_rows.*,
        coalesce(models.model, 'popularity') as model,
        max(case when list_rows.source not in ('popularity', 'pin') then list_rows.rank end)
            over (partition by list_rows.visitor_id) as last_rank_of_model
    from {{ ref('placement_recommendations') }} as list_rows
    inner join {{ ref('placement_lists') }} as lists
        on list_rows.placement = lists.placement and list_rows.visitor_id = lists.visitor_id
    left join {{ source('ml', 'models') }} as models on list_rows.model_version = models.model_version
    where
        list_rows.placement = {{ name }}
        {% if slots %}
        -- the items of slots are left out, because they are chosen first and don't follow the order of sources; in a
        -- short list they may stand at any rank
        and (lists.missing = 0 or list_rows.source = 'pin')
        and list_rows.rank not in ({{ slots | join(', ') }})
        {% endif %}
)
where
    source not in (model, 'popularity', 'pin')
    {% if rule['definition'] == 'none' %}or (source = 'popularity' and model <> 'popularity'){% endif %}
    or (source = 'popularity' and model <> 'popularity' and rank < last_rank_of_model)
    or (
        source = 'pin'
        and item_id not in (select unnest([{{ text_literals(rule_definitions(rule['placement'], 'pin')) }}]::varchar[]))
    )
{% endfor %}
