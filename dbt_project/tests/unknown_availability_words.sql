{{ config(severity='warn') }}
-- words in `available` that nextmart doesn't know, with the number of items that have each; such items stay available
-- until the dbt var `availability_words` says what the word means
select unread_available, count(*) as items
from {{ ref('stg_items') }}
where unread_available is not null
group by unread_available
order by items desc, unread_available
