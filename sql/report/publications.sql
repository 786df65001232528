-- The newest publications, done or held, each with its differences from the publication before
select
    publication_number, decided_at, outcome, reason, visitors, new_visitors, gone_visitors, changed_visitor_share,
    mean_list_overlap, items, new_items, gone_items, model_version, live_model_version
from ml.publication_changes
order by publication_number desc
limit 30;
