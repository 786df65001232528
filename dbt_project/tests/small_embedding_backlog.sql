{{ config(
    fail_calc="coalesce(max(percent), 0)",
    severity="warn" if var("backlog_error_percent") is none else "error",
    warn_if="> " ~ var("backlog_warn_percent"),
    error_if="> " ~ (var("backlog_error_percent") or 0)
) }}
-- The percentage of items whose present text has no vector. `nextmart status` says why the vectors are missing.
select ceil(100.0 * (select count(*) from {{ ref('embedding_backlog') }}) / count(*))::integer as percent
from {{ ref('item_texts') }}
having count(*) > 0
