{# The numbers in a row of outcomes agree with each other: neither the followed places nor the visitors are more than
   the places, and the rate lies in its interval. This is one test instead of several, because each test takes as much
   of the night as a small model. #}
{% test consistent_outcomes(model, column_name) %}
select *
from {{ model }}
where
    not {{ column_name }} between 0 and places
    or visitors not between 1 and places
    or events < 0
    or not (rate_low <= rate and rate <= rate_high)
    or not (rate_low >= 0 and rate_high <= 1)
{% endtest %}
