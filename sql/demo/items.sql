-- The demo shop's catalogue: one row per item, every column as text, as a raw layer would hold it.
-- Run vocabulary.sql first. Parameters: $items, $seed, $until.

with numbered as (
    -- an item's number divided by the number of cells: the remainder is its cell of theme, step and style, the quotient
    -- its variant within the cell; events.sql calculates the number from these
    select
        numbers.item,
        shape.warm,
        numbers.item // shape.cells as variant,
        numbers.item % shape.themes as theme,
        (numbers.item // shape.themes) % 8 as step,
        (numbers.item % shape.cells) // (8 * shape.themes) as style
    from range($items) as numbers (item)
    cross join demo_shape($items) as shape
),

worded as (
    -- the digits of the variant's number choose the words, so no two titles are equal; the shift by theme and step
    -- only keeps a small shop from using the first word of every list
    select
        numbered.*,
        themes.theme_name || ' > ' || steps.step_name as category,
        themes.uses[1 + (numbered.variant // 3 + numbered.step + numbered.style // 3) % 3] as purpose,
        styles.promise,
        styles.brands[1 + numbered.theme % 4] as brand,
        styles.words[1 + (numbered.variant // 3 + 3 * numbered.theme + numbered.step) % 4] as word,
        steps.nouns[1 + (numbered.variant + numbered.theme + numbered.step) % 3] as noun,
        details.options[1 + (numbered.variant // 12 + numbered.theme + 3 * numbered.step + 2 * numbered.style) % 8]
            as detail,
        numbered.variant // 96 as edition,
        steps.base_price * styles.price_factor as usual_price
    from numbered
    inner join demo_themes as themes using (theme)
    inner join demo_styles as styles using (style)
    inner join demo_steps as steps using (theme, step)
    inner join demo_details as details using (detail)
),

dated as (
    -- cold items arrived in the last week, so that a fallback for new items has work to do
    select
        *,
        epoch($until::timestamptz) - 3600
        - floor(86400 * case
            when item >= warm then 7 * demo_draw($seed, item, 'updated')
            else 60 + 300 * demo_draw($seed, item, 'updated')
        end) as updated_second
    from worded
)

select
    demo_item_id(item) as item_id,
    brand || ' ' || word || ' ' || noun || ' ' || purpose
    -- only a large catalogue needs a detail and an edition to tell its titles apart
    || case when variant >= 12 then ', ' || detail else '' end
    || case when edition > 0 then ', edition ' || (edition + 1) else '' end as title,
    brand,
    category,
    upper(noun[1]) || noun[2:] || ' (' || detail || ') ' || purpose || ', from the ' || word || ' range. ' || promise
        as description,
    -- prices end in .95, as in a shop
    (greatest(1, round(usual_price * (0.85 + 0.3 * demo_draw($seed, item, 'price')))) - 0.05)::decimal(10, 2)::varchar
        as price,
    -- one in every fifty is out of stock
    case when item % 50 = floor(50 * demo_draw($seed, item // 50, 'stock')) then 'false' else 'true' end as available,
    demo_time(updated_second) as updated_at
from dated
