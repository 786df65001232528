-- The demo shop's visitors: one row per event, every column as text, as a raw layer would hold it.
-- Run vocabulary.sql first. Parameters: $items, $visitors, $seed, $until.
-- Rows stream without a join on data, a window or a sort, so the query makes a thousand events or many millions.

with numbers as materialized (
    -- range() runs on one thread, but all threads read a materialised CTE
    select visitor from range($visitors) as numbers (visitor)
),

visitors as (
    -- lasting habits of a visitor: a hobby (some are more common), a style, and a rival style to compare it with
    select
        numbers.visitor,
        shape.*,
        least(12, shape.warm // 4) as bestsellers,
        floor(shape.themes * pow(demo_draw($seed, visitor, 'hobby'), 1.4))::bigint as hobby,
        floor(shape.styles * pow(demo_draw($seed, visitor, 'style'), 1.3))::bigint as own_style,
        1 + floor((shape.styles - 1) * demo_draw($seed, visitor, 'rival'))::bigint as rival_gap,
        -- most come once or twice, a few come all the time
        least(16, 1 + floor(-1.9 * ln(1 - demo_draw($seed, visitor, 'visits'))))::bigint as visit_count,
        demo_draw($seed, visitor, 'arrival') as arrival,
        -- 35 % have an account and log in at one of the first three visits, if they come that often
        case
            when demo_draw($seed, visitor, 'account') < 0.35
                then floor(3 * demo_draw($seed, visitor, 'login'))::bigint
        end as login_visit
    from numbers
    cross join demo_shape($items) as shape
),

visits as (
    -- visits come in pairs: the second continues where the first stopped
    select
        *,
        unnest(range(visit_count)) as visit
    from visitors
),

plans as (
    -- the course of a visit, drawn once for a visit or a pair of visits, so that all its views agree
    select
        *,
        visitor * 16 + visit as visit_key,
        visit_key - visit % 2 as pair_key,
        demo_draw($seed, visitor, 'pace') as pace,
        -- the next pair often turns to the neighbouring hobby
        case
            when demo_draw($seed, pair_key, 'stay') < 0.8 then (hobby + visit // 2) % themes
            else floor(themes * demo_draw($seed, pair_key, 'theme'))::bigint
        end as theme,
        floor(6 * pow(demo_draw($seed, pair_key, 'start'), 1.5))::bigint as first_step,
        -- the number of views that compare alternatives of one step before the next step: only the order of views
        -- shows it
        case
            when pace < 0.25 then 1
            when pace < 0.70 then 2
            else 3
        end as views_per_step,
        case when visit % 2 = 1 then demo_visit_length(demo_draw($seed, pair_key, 'length')) else 0 end as views_before,
        demo_visit_length(demo_draw($seed, visit_key, 'length')) as view_count,
        -- each visit has a slot of ten hours or more in the sixty days, which keeps visits apart and in order
        epoch($until::timestamptz) - (5184000 - (5184000 - 36000 * visit_count) * arrival)
        * (1 - (visit + 0.6 * demo_draw($seed, visit_key, 'hour')) / visit_count) as visit_second,
        60 + 300 * demo_draw($seed, visit_key, 'haste') as seconds_per_view
    from visits
),

views as (
    select
        *,
        unnest(range(view_count)) as position
    from plans
),

chosen as (
    -- what leads to a view; a quarter of it is noise (a bestseller, a stray look elsewhere, a skipped step), so that no
    -- method of recommending can always be right
    select
        *,
        visit_key * 16 + position as view_key,
        (views_before + position) // views_per_step as steps_taken,
        (views_before + position) % views_per_step as comparing,
        demo_draw($seed, view_key, 'whim') as whim,
        case
            when whim < 0.08 then 'bestseller'
            when whim < 0.16 then 'stray'
            when whim < 0.24 then 'skip'
            else 'journey'
        end as reason,
        demo_draw($seed, view_key, 'taste') as taste,
        demo_draw($seed, view_key, 'pick') as pick,
        demo_draw($seed, view_key, 'buy') as buy,
        visit_second + seconds_per_view * (position + 0.4 * demo_draw($seed, view_key, 'pause')) as view_second
    from views
),

aimed as (
    -- the cell that a view of the journey is aimed at: its step in the visitor's own style, or in the rival style when
    -- comparing; within a step most views go to the same variant, because people compare like with like
    select
        *,
        case
            when taste < 0.8 then (own_style + comparing * rival_gap) % styles
            else floor(styles * (taste - 0.8) / 0.2)::bigint
        end as style,
        (first_step + steps_taken + (reason = 'skip')::bigint) % 8 as step,
        themes * (8 * style + step) + theme as cell,
        case when pick < 0.7 then demo_draw($seed, pair_key * 8 + step, 'kind') else (pick - 0.7) / 0.3 end as kind
    from chosen
),

looked_at as (
    -- the item viewed; its number is always below `warm`, so cold items get no events; low variants are popular
    select
        *,
        case reason
            when 'bestseller' then (37 * floor(bestsellers * pow(pick, 1.6))::bigint) % cells
            when 'stray' then floor(warm * pick)::bigint
            else cell + cells * floor(((warm - 1 - cell) // cells + 1) * pow(kind, 2.5))::bigint
        end as item,
        -- about one row in a thousand is broken, in one of four ways; the visitor's number decides, so that even a tiny
        -- shop has one row of each
        case
            when visit = 0 and position = view_count - 1 then
                case visitor % 267
                    when 3 then 'no visitor'
                    when 7 then 'no time'
                    when 11 then 'no such item'
                    when 15 then 'same id'
                end
        end as flaw
    from aimed
),

deeds as (
    -- one row per event: an item that is bought was put in the cart before, and one put in the cart was viewed before
    select
        *,
        unnest(
            case
                when flaw = 'same id' then ['view', 'again']
                when buy < 0.07 then ['view', 'cart', 'purchase']
                when buy < 0.16 then ['view', 'cart']
                else ['view']
            end
        ) as deed
    from looked_at
)

select
    'e' || lpad(view_key::varchar, 11, '0') || case deed when 'cart' then 'c' when 'purchase' then 'p' else 'v' end
        as event_id,
    case when flaw = 'no visitor' then null else 'v' || lpad(visitor::varchar, 8, '0') end as visitor_id,
    case
        when visit > login_visit or (visit = login_visit and position > 0)
            then 'u' || lpad((visitor * 7 + 1)::varchar, 9, '0')
    end as user_id,
    case when flaw = 'no such item' then 'sku-retired' else demo_item_id(item) end as item_id,
    case deed when 'again' then 'purchase' else deed end as event_type,
    case
        when flaw = 'no time' then 'yesterday'
        -- cart and purchase come before the next view
        else demo_time(floor(view_second + seconds_per_view * case deed
            when 'cart' then 0.15 + 0.15 * demo_draw($seed, view_key, 'cart')
            when 'purchase' then 0.35 + 0.2 * demo_draw($seed, view_key, 'purchase')
            when 'again' then 0.3
            else 0
        end))
    end as event_at
from deeds
