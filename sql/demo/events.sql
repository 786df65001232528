-- The events of the demo shop's visitors: one row per event, every column as text, as in raw.events.
-- Run vocabulary.sql first. Parameters: $items, $visitors, $seed, $until.
-- The query has no window, no sort and no join of large tables, so its rows stream: it makes a thousand events or many
-- millions.

with visitor_numbers as materialized (
    -- range() runs on one thread, but all threads read a materialised CTE
    select visitor from range($visitors) as visitor_numbers (visitor)
),

visitors as (
    -- a visitor's lasting habits: a hobby (some hobbies are more common), a preferred style (own_style), and a rival
    -- style whose items the visitor compares with those of the preferred style
    select
        visitor_numbers.visitor,
        shape.*,
        least(12, shape.warm_count // 4) as bestseller_count,
        floor(shape.theme_count * pow(demo_draw($seed, visitor, 'hobby'), 1.4))::bigint as hobby,
        floor(shape.style_count * pow(demo_draw($seed, visitor, 'style'), 1.3))::bigint as own_style,
        1 + floor((shape.style_count - 1) * demo_draw($seed, visitor, 'rival'))::bigint as rival_gap,
        -- most visitors come once or twice, a few come up to 16 times
        least(16, 1 + floor(-1.9 * ln(1 - demo_draw($seed, visitor, 'visits'))))::bigint as visit_count,
        demo_draw($seed, visitor, 'arrival') as arrival_draw,
        -- 35 % of the visitors have an account and log in at one of their first three visits, if they come that often
        case
            when demo_draw($seed, visitor, 'account') < 0.35
                then floor(3 * demo_draw($seed, visitor, 'login'))::bigint
        end as login_visit
    from visitor_numbers
    cross join demo_shape($items) as shape
),

visits as (
    -- visits come in pairs: the second visit continues where the first stopped
    select
        *,
        unnest(range(visit_count)) as visit
    from visitors
),

planned_visits as (
    -- the course of each visit, drawn once for the visit or for its pair of visits, so that all views of a visit agree
    select
        *,
        visitor * 16 + visit as visit_key,
        visit_key - visit % 2 as pair_key,
        demo_draw($seed, visitor, 'pace') as pace_draw,
        -- after every second visit, a visitor's interest mostly moves on to a neighbouring hobby of the vocabulary
        case
            when demo_draw($seed, pair_key, 'stay') < 0.8 then (hobby + visit // 2) % theme_count
            else floor(theme_count * demo_draw($seed, pair_key, 'theme'))::bigint
        end as theme,
        floor(6 * pow(demo_draw($seed, pair_key, 'start'), 1.5))::bigint as first_step,
        -- views_per_step: number of views in which the visitor compares items of one step before going on to the next
        -- step; only models that know the order of views can learn this number
        case
            when pace_draw < 0.25 then 1
            when pace_draw < 0.70 then 2
            else 3
        end as views_per_step,
        case when visit % 2 = 1 then demo_visit_length(demo_draw($seed, pair_key, 'length')) else 0 end as views_before,
        demo_visit_length(demo_draw($seed, visit_key, 'length')) as view_count,
        -- each visit has a slot of ten hours or more in the sixty days, which keeps visits apart and in order
        epoch($until::timestamptz) - (5184000 - (5184000 - 36000 * visit_count) * arrival_draw)
        * (1 - (visit + 0.6 * demo_draw($seed, visit_key, 'hour')) / visit_count) as visit_second,
        60 + 300 * demo_draw($seed, visit_key, 'haste') as seconds_per_view
    from visits
),

views as (
    select
        *,
        unnest(range(view_count)) as position
    from planned_visits
),

drawn_views as (
    -- why each view happens; about a quarter of the views are noise (a bestseller, a stray look elsewhere, a skipped
    -- step), so that no method of recommending can always be right
    select
        *,
        visit_key * 16 + position as view_key,
        (views_before + position) // views_per_step as steps_taken,
        (views_before + position) % views_per_step as alternative,
        demo_draw($seed, view_key, 'whim') as reason_draw,
        case
            when reason_draw < 0.08 then 'bestseller'
            when reason_draw < 0.16 then 'stray'
            when reason_draw < 0.24 then 'skip'
            else 'journey'
        end as reason,
        demo_draw($seed, view_key, 'taste') as style_draw,
        demo_draw($seed, view_key, 'pick') as item_draw,
        demo_draw($seed, view_key, 'buy') as purchase_draw,
        visit_second + seconds_per_view * (position + 0.4 * demo_draw($seed, view_key, 'pause')) as view_second
    from views
),

aimed_views as (
    -- the cell (theme, step and style) at which a view is aimed: the journey's step in the visitor's own style, or in
    -- the rival style when the view compares alternatives; within a step most views go to the same variant, because
    -- people compare like with like
    select
        *,
        case
            when style_draw < 0.8 then (own_style + alternative * rival_gap) % style_count
            else floor(style_count * (style_draw - 0.8) / 0.2)::bigint
        end as style,
        (first_step + steps_taken + (reason = 'skip')::bigint) % 8 as step,
        theme_count * (8 * style + step) + theme as cell,
        case
            when item_draw < 0.7 then demo_draw($seed, pair_key * 8 + step, 'kind')
            else (item_draw - 0.7) / 0.3
        end as variant_draw
    from drawn_views
),

viewed_items as (
    -- `item` is the number of the viewed item; this number is always below `warm_count`, so cold items get no events;
    -- the variants with the lowest numbers in a cell are the most popular ones
    select
        *,
        case reason
            when 'bestseller' then (37 * floor(bestseller_count * pow(item_draw, 1.6))::bigint) % cell_count
            when 'stray' then floor(warm_count * item_draw)::bigint
            else cell + cell_count * floor(((warm_count - 1 - cell) // cell_count + 1) * pow(variant_draw, 2.5))::bigint
        end as item,
        -- about one row in a thousand has a flaw, one of four; the visitor's number decides which, so that even a tiny
        -- shop has a row with each flaw
        case
            when visit = 0 and position = view_count - 1 then
                case visitor % 267
                    when 3 then 'no visitor'
                    when 7 then 'no time'
                    when 11 then 'no such item'
                    when 15 then 'same id'
                end
        end as flaw
    from aimed_views
),

actions as (
    -- one row per event: each purchase of an item follows its cart event, each cart event a view of the item
    select
        *,
        unnest(
            case
                when flaw = 'same id' then ['view', 'again']
                when purchase_draw < 0.07 then ['view', 'cart', 'purchase']
                when purchase_draw < 0.16 then ['view', 'cart']
                else ['view']
            end
        ) as action
    from viewed_items
)

select
    'e' || lpad(view_key::varchar, 11, '0') || case action when 'cart' then 'c' when 'purchase' then 'p' else 'v' end
        as event_id,
    case when flaw = 'no visitor' then null else 'v' || lpad(visitor::varchar, 8, '0') end as visitor_id,
    case
        when visit > login_visit or (visit = login_visit and position > 0)
            then 'u' || lpad((visitor * 7 + 1)::varchar, 9, '0')
    end as user_id,
    case when flaw = 'no such item' then 'sku-retired' else demo_item_id(item) end as item_id,
    case action when 'again' then 'purchase' else action end as event_type,
    case
        when flaw = 'no time' then 'yesterday'
        -- an item is put in the cart and bought before the visitor's next view
        else demo_time(floor(view_second + seconds_per_view * case action
            when 'cart' then 0.15 + 0.15 * demo_draw($seed, view_key, 'cart')
            when 'purchase' then 0.35 + 0.2 * demo_draw($seed, view_key, 'purchase')
            when 'again' then 0.3
            else 0
        end))
    end as event_at
from actions
