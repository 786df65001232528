{{ config(severity='warn') }}
-- Words in the column `available` that nextmart doesn't know, each with the number of items that have it. Such items
-- count as available until the dbt var `availability_words` says what the word means.
select unread_available, count(*) as items
from {{ ref('stg_items') }}
where unread_available is not null
group by unread_available
order by items desc, unread_available
