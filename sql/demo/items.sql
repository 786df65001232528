-- The demo shop's catalogue: one row per item, every column as text, as in raw.items.
-- Run vocabulary.sql first. Parameters: $items (number of items), $seed, and $until (time of the newest events).

with numbered_items as (
    -- An item's number gives its cell (a combination of theme, step and style) and its variant within the cell:
    -- item_number % cell_count is the cell, and item_number // cell_count is the variant. events.sql computes the
    -- item_number from cell and variant
    select
        item_numbers.item_number,
        catalog_sizes.warm_count,
        item_numbers.item_number // catalog_sizes.cell_count as variant,
        item_numbers.item_number % catalog_sizes.theme_count as theme,
        (item_numbers.item_number // catalog_sizes.theme_count) % 8 as step,
        (item_numbers.item_number % catalog_sizes.cell_count) // (8 * catalog_sizes.theme_count) as style
    from range($items) as item_numbers (item_number)
    cross join demo_catalog_sizes($items) as catalog_sizes
),

items_with_texts as (
    -- each digit of the variant's number chooses one word from a list, so that no two titles are equal; theme, step and
    -- style shift the choice, so that a small shop doesn't use only the first word of every list
    select
        numbered_items.*,
        themes.theme_name || ' > ' || steps.step_name as category,
        themes.uses[1 + (numbered_items.variant // 3 + numbered_items.step + numbered_items.style // 3) % 3] as purpose,
        styles.promise,
        styles.brands[1 + numbered_items.theme % 4] as brand,
        styles.words[1 + (numbered_items.variant // 3 + 3 * numbered_items.theme + numbered_items.step) % 4] as word,
        steps.nouns[1 + (numbered_items.variant + numbered_items.theme + numbered_items.step) % 3] as noun,
        details.options[
            1 + (
                numbered_items.variant // 12 + numbered_items.theme + 3 * numbered_items.step + 2 * numbered_items.style
            ) % 8
        ] as detail,
        numbered_items.variant // 96 as edition,
        steps.base_price * styles.price_factor as usual_price
    from numbered_items
    inner join demo_themes as themes using (theme)
    inner join demo_styles as styles using (style)
    inner join demo_steps as steps using (theme, step)
    inner join demo_details as details using (detail)
),

dated_items as (
    -- cold items, which have no events, are from the last week, so that the demo shows how new items are recommended
    select
        *,
        epoch($until::timestamptz) - 3600
        - floor(86400 * case
            when item_number >= warm_count then 7 * demo_draw($seed, item_number, 'updated')
            else 60 + 300 * demo_draw($seed, item_number, 'updated')
        end) as updated_second
    from items_with_texts
)

select
    demo_item_id(item_number) as item_id,
    brand || ' ' || word || ' ' || noun || ' ' || purpose
    -- only a large catalogue needs a detail and an edition to tell its titles apart
    || case when variant >= 12 then ', ' || detail else '' end
    || case when edition > 0 then ', edition ' || (edition + 1) else '' end as title,
    brand,
    category,
    upper(noun[1]) || noun[2:] || ' (' || detail || ') ' || purpose || ', from the ' || word || ' range. ' || promise
        as description,
    -- prices end in .95, as in a shop
    (greatest(1, round(usual_price * (0.85 + 0.3 * demo_draw($seed, item_number, 'price')))) - 0.05)
        ::decimal(10, 2)::varchar as price,
    -- one item in every fifty is out of stock
    case when item_number % 50 = floor(50 * demo_draw($seed, item_number // 50, 'stock')) then 'false' else 'true' end
        as available,
    demo_time(updated_second) as updated_at,
    json_object(
        'country', ['DE', 'ES', 'FR', 'IT', 'PT'][1 + floor(5 * demo_draw($seed, item_number, 'country'))::int],
        'margin', round(0.05 + 0.5 * demo_draw($seed, item_number, 'margin'), 2)
    )::varchar as attributes
from dated_items
