{# Rows of outcomes don't contradict themselves: there are no more followed places than places, and no more visitors
   than places; the interval of the rate holds the rate. It is one test, because each test costs a night as much time
   as a small model. #}
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
