-- The rules by which the lists of placements were last filled
select placement, rule, target, definition
from ml.placement_rules
where placement is not null
order by placement, rule, target, definition
limit 300;
