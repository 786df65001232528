{# Percent of the newest build's rows, for `fail_calc`; a handful proves nothing, nor does the first build of all. #}
{% test share_at_most(model, part, whole) %}
select batch_id, ceil(100.0 * {{ part }} / {{ whole }})::integer as percent
from {{ model }}
where batch_id = (select max(batch_id) from {{ model }}) and batch_id > 1 and {{ whole }} >= 100
{% endtest %}
