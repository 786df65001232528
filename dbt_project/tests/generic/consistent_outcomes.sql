{# Outcomes that can be: no more places are followed than there are, and no more visitors than places; a place is
   followed only by an event; the interval of the rate holds the rate. One test, because each test costs a night as much
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
