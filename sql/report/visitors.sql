-- Twenty visitors, drawn by a hash, so that the same ones are drawn each night, with their newest ten items
with drawn as (
    select visitor_id
    from (select distinct visitor_id from recommendations.visitor_recommendations)
    order by md5('report' || visitor_id), visitor_id
    limit 20
),

history as (
    select
        sequences.visitor_id,
        unnest(sequences.items[-10:]) as item_id,
        generate_subscripts(sequences.items[-10:], 1) as place
    from sessions.latest_sequences as sequences
    inner join drawn on sequences.visitor_id = drawn.visitor_id
)

select history.visitor_id, history.place, history.item_id, items.title, items.attributes ->> 'image_url' as image_url
from history
left join recommendations.items as items on history.item_id = items.item_id
order by md5('report' || history.visitor_id), history.visitor_id, history.place;
