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
{{ no_rows() }}
{% for rule in placement_rules('k') %}
{% set placement, name = rule['placement'], text_list([rule['placement']]) %}
{% set boost, is_diverse = rules_of(placement, 'boost'), rules_of(placement, 'diversity') != [] %}
{% set slots = ranks_of(placement, 'slot') %}
union all (
with judged as (
    {% if boost %}
    select
        item_id, judged_visitor_id as visitor_id, judged_rank as rank, judged_score as score, judged_source as source,
        case when isfinite(({{ boost[0] }}
        )::double) then greatest(({{ boost[0] }}
        )::double, 0) else 1 end as boost
    from ({{ judged_rows(placement) }}) as item
    {% else %}
    select item_id, visitor_id, rank, score, source, 1 as boost
    from {{ ref('placement_recommendations') }}
    where placement = {{ name }}
    {% endif %}
),

looked_at as (
    select judged.*, judged.rank in ({{ (slots or ['null']) | join(', ') }}) as may_fill_slot
    from judged
    {% if is_diverse %}
    semi join ({{ some_lists(placement, true, 100) }}) as lists on judged.visitor_id = lists.visitor_id
    {% elif slots %}
    -- in a list that is short, what fills a slot may stand elsewhere
    semi join {{ ref('placement_lists') }} as lists
        on lists.placement = {{ name }} and judged.visitor_id = lists.visitor_id and lists.missing = 0
    {% endif %}
    anti join (
        select lists.visitor_id
        from {{ ref('placement_lists') }} as lists
        inner join {{ source('ml', 'models') }} as models on lists.model_version = models.model_version
        where lists.placement = {{ name }} and models.model = 'popularity'
    ) as of_popularity on judged.visitor_id = of_popularity.visitor_id
),

neighbours as (
    select
        *,
        lag(item_id) over by_rank as better_item_id,
        lag(rank) over by_rank as better_rank,
        lag(score) over by_rank as better_score,
        lag(boost) over by_rank as better_boost
    from looked_at
    where source <> 'pin' and may_fill_slot is not true
    window by_rank as (partition by visitor_id, source order by rank)
),

in_question as (
    select * from neighbours
    where better_score < score and better_boost <= boost
)
{% if is_diverse %},

vectors as (
    select item_id, embedding from {{ ref('item_embeddings') }}
),

-- how near each of the two is to the nearest item that was listed before the first of them was chosen. Whether the item
-- at the rank of a slot behind them was listed before is not known: it counts for the second one alone
nearness as (
    select
        in_question.visitor_id, in_question.item_id, in_question.rank,
        max(case when not coalesce(listed.may_fill_slot and listed.rank > in_question.better_rank, false)
            then {{ cosine('better.embedding', 'others.embedding') }} end) as better_cosine,
        max({{ cosine('own.embedding', 'others.embedding') }}) as cosine
    from in_question
    inner join looked_at as listed
        on
            in_question.visitor_id = listed.visitor_id
            and (listed.rank < in_question.better_rank or listed.source = 'pin' or listed.may_fill_slot)
    left join vectors as better on in_question.better_item_id = better.item_id
    left join vectors as own on in_question.item_id = own.item_id
    left join vectors as others on listed.item_id = others.item_id
    group by all
)
{% endif %}

select {{ name }}, in_question.visitor_id, in_question.item_id
from in_question
{% if is_diverse %}
left join nearness on in_question.visitor_id = nearness.visitor_id and in_question.rank = nearness.rank
where
    coalesce(nearness.better_cosine, 0) > coalesce(nearness.cosine, 0) + 0.00001
    or (coalesce(nearness.better_cosine, 0) = 0 and coalesce(nearness.cosine, 0) = 0)
{% endif %}
)
{% endfor %}
