-- What do we show one visitor, and why? Put another visitor_id in place of the one chosen here; a visitor without
-- recommendations gets the popular items.
set variable visitor = (select min(visitor_id) from recommendations.visitor_recommendations);

select
    rank,
    title,
    reason,
    source,
    round(score, 3) as score
from recommendations_for(getvariable('visitor'))
order by rank;
