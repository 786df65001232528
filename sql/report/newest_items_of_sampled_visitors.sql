-- The ten newest items of the sequences of twenty visitors, who are drawn by a hash, so that each night draws the same
with sampled_visitors as (
    select visitor_id
    from recommendations.visitor_recommendations
    group by visitor_id
    order by md5('report' || visitor_id), visitor_id
    limit 20
),

newest_sequence_items as (
    select
        sequences.visitor_id,
        unnest(sequences.items[-10:]) as item_id,
        generate_subscripts(sequences.items[-10:], 1) as place
    from sessions.latest_sequences as sequences
    inner join sampled_visitors on sequences.visitor_id = sampled_visitors.visitor_id
)

select
    newest_sequence_items.visitor_id, newest_sequence_items.place, newest_sequence_items.item_id, items.title,
    items.attributes ->> 'image_url' as image_url
from newest_sequence_items
left join recommendations.items as items on newest_sequence_items.item_id = items.item_id
order by
    md5('report' || newest_sequence_items.visitor_id), newest_sequence_items.visitor_id, newest_sequence_items.place;
