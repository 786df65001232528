{{ config(severity='warn') }}
-- Prices that can't be read, or that can be read in two ways, such as 1,299 (see `price_decimal_sign`), each with the
-- number of items that have it.
select unread_price, count(*) as items
from {{ ref('stg_items') }}
where unread_price is not null
group by unread_price
order by items desc, unread_price
