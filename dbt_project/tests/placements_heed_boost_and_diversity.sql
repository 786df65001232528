-- The test only warns, because a list in another order harms nobody.
{{ config(severity='warn') }}
-- Rows of one source stand in the order of their scores, apart from boost and diversity. An item stands before the next
-- one with a higher score only if its boost is larger or, in a placement with diversity, if it is less similar to the
-- items listed before; with diversity, only 100 full lists are tested.
-- Lists made by the family popularity are left out: their rows have the source popularity whether the model recommends
-- the item or it fills the list, but the two kinds of scores can't be compared.
-- The test can't tell whether boost and diversity have lifted an item far enough, nor whether an item is missing,
-- because this needs the model's scores of all items. tests/placements/test_lists.py compares whole lists with such
-- scores.
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

rows_to_check as (
    select rows_with_boosts.*, rows_with_boosts.rank in ({{ (slots or ['null']) | join(', ') }}) as is_at_slot_rank
    from rows_with_boosts
    {% if is_diverse %}
    semi join ({{ visitors_of_sampled_lists(placement, true, 100) }}) as lists
        on rows_with_boosts.visitor_id = lists.visitor_id
    {% elif slots %}
    -- only full lists: in a short list, the item of a slot may stand at another rank
    semi join {{ ref('placement_lists') }} as lists
        on lists.placement = {{ name }} and rows_with_boosts.visitor_id = lists.visitor_id and lists.missing = 0
    {% endif %}
    anti join (
        select lists.visitor_id
        from {{ ref('placement_lists') }} as lists
        inner join {{ source('ml', 'models') }} as models on lists.model_version = models.model_version
        where lists.placement = {{ name }} and models.model = 'popularity'
    ) as visitors_with_popularity_lists on rows_with_boosts.visitor_id = visitors_with_popularity_lists.visitor_id
),

rows_with_previous_row as (
    select
        *,
        lag(item_id) over by_rank as previous_item_id,
        lag(rank) over by_rank as previous_rank,
        lag(score) over by_rank as previous_score,
        lag(boost) over by_rank as previous_boost
    from rows_to_check
    where source <> 'pin' and is_at_slot_rank is not true
    window by_rank as (partition by visitor_id, source order by rank)
),

suspect_rows as (
    select * from rows_with_previous_row
    where previous_score < score and previous_boost <= boost
)
{% if is_diverse %},

item_vectors as (
    select item_id, embedding from {{ ref('item_embeddings') }}
),

-- The similarity of each of the two neighbours to the most similar item that was listed before the first of them was
-- chosen. The rows don't tell whether an item at the rank of a slot behind the two was chosen before or after them. It
-- counts only for the second of the two, so that the test never warns wrongly
similarity_to_earlier_items as (
    select
        suspect_rows.visitor_id, suspect_rows.item_id, suspect_rows.rank,
        max(case when not coalesce(listed.is_at_slot_rank and listed.rank > suspect_rows.previous_rank, false)
            then {{ non_negative_cosine('previous_vectors.embedding', 'listed_vectors.embedding') }} end)
            as previous_cosine,
        max({{ non_negative_cosine('item_vectors_of_rows.embedding', 'listed_vectors.embedding') }}) as cosine
    from suspect_rows
    inner join rows_to_check as listed
        on
            suspect_rows.visitor_id = listed.visitor_id
            and (listed.rank < suspect_rows.previous_rank or listed.source = 'pin' or listed.is_at_slot_rank)
    left join item_vectors as previous_vectors on suspect_rows.previous_item_id = previous_vectors.item_id
    left join item_vectors as item_vectors_of_rows on suspect_rows.item_id = item_vectors_of_rows.item_id
    left join item_vectors as listed_vectors on listed.item_id = listed_vectors.item_id
    group by all
)
{% endif %}

select {{ name }}, suspect_rows.visitor_id, suspect_rows.item_id
from suspect_rows
{% if is_diverse %}
left join similarity_to_earlier_items as similarities
    on suspect_rows.visitor_id = similarities.visitor_id and suspect_rows.rank = similarities.rank
where
    coalesce(similarities.previous_cosine, 0) > coalesce(similarities.cosine, 0) + 0.00001
    or (coalesce(similarities.previous_cosine, 0) = 0 and coalesce(similarities.cosine, 0) = 0)
{% endif %}
)
{% endfor %}
