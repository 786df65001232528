{# The percentage that `part` is of `whole` in the newest build, for `fail_calc`. The first build is left out, and so is
   a build with less than 100 of `whole`: it proves nothing. #}
{% test share_at_most(model, part, whole) %}
select batch_id, ceil(100.0 * {{ part }} / {{ whole }})::integer as percent
from {{ model }}
where batch_id = (select max(batch_id) from {{ model }}) and batch_id > 1 and {{ whole }} >= 100
{% endtest %}
