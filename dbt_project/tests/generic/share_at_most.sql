{# Returns `percent`: the column `part` as a percentage of the column `whole`, in the row of the newest build. The
   `fail_calc` of the test compares it with a limit. The first build is never tested, and neither is a build whose
   `whole` is below 100, because so few rows prove nothing. #}
{% test share_at_most(model, part, whole) %}
select batch_id, ceil(100.0 * {{ part }} / {{ whole }})::integer as percent
from {{ model }}
where batch_id = (select max(batch_id) from {{ model }}) and batch_id > 1 and {{ whole }} >= 100
{% endtest %}
