"""recommendations.changes says whose list differs from what is live, item by item, in every placement."""

LISTS = """
    insert into ml.job_runs (run_id, job, started_at, status) values ('r', 'recommend', now(), 'done');
    insert into ml.recommendations by name
    select 'r' as run_id, 'm-2' as model_version, visitor_id, 0 as sequence_hash, rank, item_id, 0.5 as score,
        'sasrec' as source, now() as generated_at, 'model' as arm
    from (values ('same', 1, 'a'), ('same', 2, 'b'), ('turned', 1, 'b'), ('turned', 2, 'a'), ('came', 1, 'a'))
        as lists (visitor_id, rank, item_id);
    insert into ml.placement_recommendations by name
    select 'home' as placement, 'same' as visitor_id, 1 as rank, 'a' as item_id, 0.5 as score, 'sasrec' as source;
    insert into ml.placement_lists by name
    select 'home' as placement, 'same' as visitor_id, 1 as k, 1 as length, 'no-model' as model_version, 0 as list_hash,
        'r' as run_id, now() as generated_at, 'control' as arm;
    insert into ml.published_lists
    select placement, visitor_id, rank, item_id, 'sasrec', 'm-1', 'sasrec', 'model', timestamptz '2026-01-01', until
    from (values
        ('default', 'same', 1, 'a', null), ('default', 'same', 2, 'b', null),
        ('default', 'turned', 1, 'a', null), ('default', 'turned', 2, 'b', null),
        ('default', 'went', 1, 'c', null), ('home', 'same', 1, 'b', timestamptz '2026-02-01')
    ) as lists (placement, visitor_id, rank, item_id, until);
"""


def test_changes_are_told_list_by_list(warehouse):
    with warehouse.open() as connection:
        connection.execute(LISTS)
    warehouse.run(
        select="stg_items stg_visitors attribute_types items placement_recommendations visitor_recommendations changes",
    )
    assert warehouse.rows("recommendations.changes", ["* exclude (placement, visitor_id)"]) == [
        ("default:came", "new", None, "[a]", "model", "m-2", None),
        ("default:turned", "changed", "[a, b]", "[b, a]", "model", "m-2", None),
        ("default:went", "gone", "[c]", None, None, None, None),
        ("home:same", "new", None, "[a]", "control", "no-model", None),
    ]
