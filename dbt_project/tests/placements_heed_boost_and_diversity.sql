-- A warning, since a list in another order harms nobody
{{ config(severity='warn') }}
-- best first: of two neighbours in a list, of one source, the item with the lower score stands first only because its
-- boost is larger or, with diversity, because it is less like what was listed before (looked at are 100 full lists).
-- Lists by the family popularity are left out: the source of the model's rows and of those that fill up is one there,
-- and their scores are not. Published rows can't tell whether boost and diversity have lifted an item far enough, nor
-- whether an item is missing: that needs the model's scores of all items. tests/placements/test_lists.py holds whole
-- lists against those.
-- depends_on: {{ ref('placement_recommendations') }}
-- depends_on: {{ ref('placement_lists') }}
-- depends_on: {{ ref('item_embeddings') }}
{{ empty_result() }}
{% for rule in placement_rules('k') %}
{% set placement, name = rule['placement'], text_literals([rule['placement']]) %}
{% set boost, is_diverse = rule_definitions(placement, 'boost'), rule_definitions(placement, 'diversity') != [] %}
{% set slots = ranks_with_rule(placement, 'slot') %}
union all (
with rows_with_boosts as (
    {% if boost %}
    select
        item_id, judged_visitor_id as visitor_id, judged_rank as rank, judged_score as score, judged_source as source,
        case when isfinite(({{ boost[0] }}
        )::double) then greatest(({{ boost[0] }}
        )::double, 0) else 1 end as boost
    from ({{ list_rows_with_rule_columns(placement) }}) as item
    {% else %}
    select item_id, visitor_id, rank, score, source, 1 as boost
    from {{ ref('placement_recommendations') }}
    where placement = {{ name }}
    {% endif %}
),

checked_rows as (
    select rows_with_boosts.*, rows_with_boosts.rank in ({{ (slots or ['null']) | join(', ') }}) as may_fill_slot
    from rows_with_boosts
    {% if is_diverse %}
    semi join ({{ visitors_of_sampled_lists(placement, true, 100) }}) as lists
        on rows_with_boosts.visitor_id = lists.visitor_id
    {% elif slots %}
    -- in a list that is short, what fills a slot may stand elsewhere
    semi join {{ ref('placement_lists') }} as lists
        on lists.placement = {{ name }} and rows_with_boosts.visitor_id = lists.visitor_id and lists.missing = 0
    {% endif %}
    anti join (
        select lists.visitor_id
        from {{ ref('placement_lists') }} as lists
        inner join {{ source('ml', 'models') }} as models on lists.model_version = models.model_version
        where lists.placement = {{ name }} and models.model = 'popularity'
    ) as of_popularity on rows_with_boosts.visitor_id = of_popularity.visitor_id
),

rows_with_better_neighbour as (
    select
        *,
        lag(item_id) over by_rank as better_item_id,
        lag(rank) over by_rank as better_rank,
        lag(score) over by_rank as better_score,
        lag(boost) over by_rank as better_boost
    from checked_rows
    where source <> 'pin' and may_fill_slot is not true
    window by_rank as (partition by visitor_id, source order by rank)
),

suspect_rows as (
    select * from rows_with_better_neighbour
    where better_score < score and better_boost <= boost
)
{% if is_diverse %},

item_vectors as (
    select item_id, embedding from {{ ref('item_embeddings') }}
),

-- how near each of the two is to the nearest item that was listed before the first of them was chosen. Whether the item
-- at the rank of a slot behind them was listed before is not known: it counts for the second one alone
similarity_to_earlier_items as (
    select
        suspect_rows.visitor_id, suspect_rows.item_id, suspect_rows.rank,
        max(case when not coalesce(listed.may_fill_slot and listed.rank > suspect_rows.better_rank, false)
            then {{ cosine('better.embedding', 'others.embedding') }} end) as better_cosine,
        max({{ cosine('own.embedding', 'others.embedding') }}) as cosine
    from suspect_rows
    inner join checked_rows as listed
        on
            suspect_rows.visitor_id = listed.visitor_id
            and (listed.rank < suspect_rows.better_rank or listed.source = 'pin' or listed.may_fill_slot)
    left join item_vectors as better on suspect_rows.better_item_id = better.item_id
    left join item_vectors as own on suspect_rows.item_id = own.item_id
    left join item_vectors as others on listed.item_id = others.item_id
    group by all
)
{% endif %}

select {{ name }}, suspect_rows.visitor_id, suspect_rows.item_id
from suspect_rows
{% if is_diverse %}
left join similarity_to_earlier_items as similarities
    on suspect_rows.visitor_id = similarities.visitor_id and suspect_rows.rank = similarities.rank
where
    coalesce(similarities.better_cosine, 0) > coalesce(similarities.cosine, 0) + 0.00001
    or (coalesce(similarities.better_cosine, 0) = 0 and coalesce(similarities.cosine, 0) = 0)
{% endif %}
)
{% endfor %}
