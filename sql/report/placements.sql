-- The placements, each with the number of visitors whose lists are shorter than wanted
select
    placement,
    max(k) as k,
    count(*) as visitors,
    count(*) filter (where length < k) as short_visitors,
    coalesce(sum(length), 0)::bigint as places,
    coalesce(sum(greatest(k - length, 0)), 0)::bigint as missing_places
from ml.placement_lists
group by placement
order by placement
limit 100;
