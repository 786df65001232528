-- The events of the demo shop's visitors: one row per event, every column as text, as in raw.events.
-- Run vocabulary.sql first. Parameters: $items (number of items), $visitors (number of visitors), $seed, and $until
-- (time of the newest events).
-- The query has no window, no sort and no join of large tables. So it never holds all rows in memory, and can make many
-- millions of events.

with visitor_numbers as materialized (
    -- materialised, because range() runs on one thread, while all threads can read a materialised CTE
    select visitor_number from range($visitors) as visitor_numbers (visitor_number)
),

visitors as (
    -- a visitor's lasting habits: a hobby (some hobbies are more common), a preferred style, and a rival style, whose
    -- items the visitor compares with those of the preferred style; rival_style_offset is added to the number of the
    -- preferred style to get that of the rival style
    select
        visitor_numbers.visitor_number,
        catalog_sizes.*,
        least(12, catalog_sizes.warm_count // 4) as bestseller_count,
        floor(catalog_sizes.theme_count * pow(demo_draw($seed, visitor_number, 'hobby'), 1.4))::bigint as hobby,
        floor(catalog_sizes.style_count * pow(demo_draw($seed, visitor_number, 'style'), 1.3))::bigint
            as preferred_style,
        1 + floor((catalog_sizes.style_count - 1) * demo_draw($seed, visitor_number, 'rival'))::bigint
            as rival_style_offset,
        -- most visitors come once or twice, a few come up to 16 times
        least(16, 1 + floor(-1.9 * ln(1 - demo_draw($seed, visitor_number, 'visits'))))::bigint as visit_count,
        demo_draw($seed, visitor_number, 'arrival') as arrival_draw,
        -- 35 % of the visitors have an account: from one of their first three visits on, they are logged in
        case
            when demo_draw($seed, visitor_number, 'account') < 0.35
                then floor(3 * demo_draw($seed, visitor_number, 'login'))::bigint
        end as first_login_visit
    from visitor_numbers
    cross join demo_catalog_sizes($items) as catalog_sizes
),

visits as (
    -- one row a visit; visits come in pairs: the second visit of a pair continues where the first one stopped
    select
        *,
        unnest(range(visit_count)) as visit_number
    from visitors
),

planned_visits as (
    -- what all views of a visit have in common, drawn once for the visit, for its pair of visits or for the visitor
    select
        *,
        visitor_number * 16 + visit_number as visit_key,
        visit_key - visit_number % 2 as visit_pair_key,
        demo_draw($seed, visitor_number, 'pace') as pace_draw,
        -- a pair of visits has one theme: mostly the visitor's hobby at first, and the next theme of the vocabulary
        -- with each later pair
        case
            when demo_draw($seed, visit_pair_key, 'stay') < 0.8 then (hobby + visit_number // 2) % theme_count
            else floor(theme_count * demo_draw($seed, visit_pair_key, 'theme'))::bigint
        end as theme,
        floor(6 * pow(demo_draw($seed, visit_pair_key, 'start'), 1.5))::bigint as first_step,
        -- views_per_step: the number of views in which the visitor compares items of one step, before going on to the
        -- next; only models that know the order of views can learn this number
        case
            when pace_draw < 0.25 then 1
            when pace_draw < 0.70 then 2
            else 3
        end as views_per_step,
        case when visit_number % 2 = 1 then demo_visit_length(demo_draw($seed, visit_pair_key, 'length')) else 0 end
            as views_before_visit,
        demo_visit_length(demo_draw($seed, visit_key, 'length')) as view_count,
        -- each visit has a time slot of at least ten hours within the sixty days before $until, so that visits don't
        -- overlap and are in order
        epoch($until::timestamptz) - (5184000 - (5184000 - 36000 * visit_count) * arrival_draw)
        * (1 - (visit_number + 0.6 * demo_draw($seed, visit_key, 'hour')) / visit_count) as visit_second,
        60 + 300 * demo_draw($seed, visit_key, 'haste') as seconds_per_view
    from visits
),

views as (
    select
        *,
        unnest(range(view_count)) as view_number
    from planned_visits
),

views_with_reasons as (
    -- one row a view, with the reason why it happens: most views are steps of a journey; about a quarter are noise (a
    -- bestseller, a stray look elsewhere, a skipped step), so that no method of recommending can always be right
    select
        *,
        visit_key * 16 + view_number as view_key,
        (views_before_visit + view_number) // views_per_step as steps_taken,
        (views_before_visit + view_number) % views_per_step as alternative_number,
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
        visit_second + seconds_per_view * (view_number + 0.4 * demo_draw($seed, view_key, 'pause')) as view_second
    from views
),

views_with_wanted_item_kinds as (
    -- the cell (theme, step and style) whose items the visitor looks for in a view: the step that the journey has
    -- reached, in the preferred style, or in the rival style if the view compares alternatives; within a step, most
    -- views go to the same variant, because people compare like with like
    select
        *,
        case
            when style_draw < 0.8 then (preferred_style + alternative_number * rival_style_offset) % style_count
            else floor(style_count * (style_draw - 0.8) / 0.2)::bigint
        end as style,
        (first_step + steps_taken + (reason = 'skip')::bigint) % 8 as step,
        theme_count * (8 * style + step) + theme as cell,
        case
            when item_draw < 0.7 then demo_draw($seed, visit_pair_key * 8 + step, 'kind')
            else (item_draw - 0.7) / 0.3
        end as variant_draw
    from views_with_reasons
),

views_with_items as (
    -- item_number is the number of the viewed item; it is always below warm_count, so that cold items get no events; of
    -- the items of a cell, those with the lowest numbers are the most popular ones
    select
        *,
        case reason
            when 'bestseller' then (37 * floor(bestseller_count * pow(item_draw, 1.6))::bigint) % cell_count
            when 'stray' then floor(warm_count * item_draw)::bigint
            else cell + cell_count * floor(((warm_count - 1 - cell) // cell_count + 1) * pow(variant_draw, 2.5))::bigint
        end as item_number,
        -- about one row in a thousand has one of four flaws, which the load or the build must reject; the visitor's
        -- number decides which, so that even a tiny shop has a row with each flaw
        case
            when visit_number = 0 and view_number = view_count - 1 then
                case visitor_number % 267
                    when 3 then 'no visitor'
                    when 7 then 'no time'
                    when 11 then 'no such item'
                    when 15 then 'same id'
                end
        end as flaw
    from views_with_wanted_item_kinds
),

events_of_views as (
    -- one row an event: a view, and in some views also a cart event and a purchase of the viewed item
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
    from views_with_items
)

select
    'e' || lpad(view_key::varchar, 11, '0') || case action when 'cart' then 'c' when 'purchase' then 'p' else 'v' end
        as event_id,
    case when flaw = 'no visitor' then null else 'v' || lpad(visitor_number::varchar, 8, '0') end as visitor_id,
    case
        when visit_number > first_login_visit or (visit_number = first_login_visit and view_number > 0)
            then 'u' || lpad((visitor_number * 7 + 1)::varchar, 9, '0')
    end as user_id,
    case when flaw = 'no such item' then 'sku-retired' else demo_item_id(item_number) end as item_id,
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
from events_of_views
