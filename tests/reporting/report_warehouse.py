"""A warehouse with what the report reads, made by hand in a moment: hostile texts, outcomes, a placement, a control."""

from pathlib import Path

from jobs.warehouse.connection import connect, prepare_warehouse

HOSTILE_TITLE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
"""The title of the item i0, the name of its category and of a placement."""

TABLES = """
    create schema staging; create schema sessions; create schema catalog; create schema recommendations;
    create table staging.stg_events as select range as event_id from range(90);
    create table staging.rejected_events as select unnest(['missing_item_id', 'duplicate_event_id']) as reason;
    create table staging.rejected_items as select 'missing_item_id' as reason;
    create table staging.event_batches as
    select unnest([1, 2]) as batch_id, 50 as event_count, 1 as rejected_count, 5 as late_count, 1 as very_late_count,
        0 as waiting_count, 50 as settled_count, now() as settled_until;
    create table staging.source_freshness as
    select 'raw.events' as source_table, now() as newest_loaded_at, now() as newest_at;
    create table sessions.sessions as select range as session_id, range = 0 as is_bot from range(30);
    create table sessions.sequences as select range as sequence_id from range(29);
    create table sessions.latest_sequences as
    select 'v' || range as visitor_id, ['i0', 'i1', 'i' || range] as items from range(25);
    create table recommendations.items as
    select 'i' || range as item_id, if(range = 0, $title, 'item ' || range) as title, 'brand' as brand,
        if(range = 0, $title, 'category ' || range % 3) as category, 9.5::decimal(18, 2) as price, true as available,
        (40 - range)::double as popularity,
        case when range = 0 then '{"image_url": "https://pictures.example/0.png"}'
            when range = 1 then '{"image_url": "javascript:alert(3)"}' end::json as attributes
    from range(40);
    create table catalog.items as from recommendations.items;
    create table catalog.item_embeddings as select 'i' || range as item_id from range(30);
    create table catalog.embedding_backlog as
    select 'i' || range as item_id, 'missing' as status, null::varchar as error, now() as missing_since
    from range(30, 40);
    create table recommendations.visitor_recommendations as
    select 'v' || v.range as visitor_id, r.range as rank, 'i' || (r.range + v.range) % 40 as item_id,
        if((r.range + v.range) % 40 = 0, $title, 'item') as title, 'sasrec' as source, 'because of ' || $title as reason
    from range(25) as v, range(1, 11) as r;
    create table recommendations.similar_items as
    select 'i' || range as item_id, 1 as rank, 'i0' as similar_item_id, $title as similar_title from range(1, 40);
    create table recommendations.model_leaderboard as
    select unnest(['sasrec', 'popularity']) as model, model || '-1' as model_version, 'cutoff/test' as split,
        'all' as segment, unnest(['ndcg', 'hit_rate', 'coverage', 'intra_list_similarity']) as metric, 10 as k,
        0.2 as value, 0.1 as ci_low, 0.3 as ci_high, 100 as n, model = 'sasrec' as is_live,
        'live: best value' as decision, now() as measured_at;
    insert into ml.placement_lists
    select $title, 'v' || range, 10, if(range < 3, 4, 10), 'sasrec-1', 1, null, 'r', now(), 'model' from range(25);
    insert into ml.placement_rules values ($title, 'items', null, 'price < 50');
    insert into ml.job_runs (run_id, job, started_at, status, cost, run_number) values
        ('r', 'embed', now(), 'done', 1.25, 1), ('p', 'publish', now(), 'failed', 0, 2);
    create table recommendations.outcomes as
    select date '2026-06-01' + d.range::integer as day, 'default' as placement, 'sasrec' as model,
        a.arm, 1 as rank, 'purchase' as event_type, 'could have seen' as evidence, 1000::bigint as places,
        100::bigint as visitors, (20 + d.range)::bigint as followed, 30::bigint as events, 0.02 as rate,
        0.01 as rate_low, 0.03 as rate_high, 1234.5::double as revenue
    from range(3) as d, (values ('model'), ('control')) as a (arm);
    create table recommendations.uplift as
    select 'default' as placement, 'purchase' as measure, date '2026-06-01' + range::integer as day, 'model' as arm,
        'control' as control_arm, 900::bigint as visitors, 100::bigint as control_visitors, 0.5 as mean,
        0.4 as control_mean, 0.1 as uplift, -0.1 as uplift_low, 0.3 as uplift_high, 0.25 as relative_uplift
    from range(3);
"""


def make_warehouse(path: Path) -> Path:
    """Make the warehouse at a path, and return the path."""
    with connect(path) as connection:
        prepare_warehouse(connection)
        for statement in TABLES.split(";\n"):
            if statement.strip():
                parameters = {"title": HOSTILE_TITLE} if "$title" in statement else {}
                connection.execute(statement, parameters)
    return path
