"""A night whose catalogue is gone: the real commands hold it, say why, and publish it only if they are told to."""

from jobs.warehouse.connection import connect


def test_a_night_without_its_catalogue_is_held_until_it_is_allowed(shop):
    published = shop.published.read_bytes()
    [(visitors,)] = shop.read("select count(distinct visitor_id) from recommendations.visitor_recommendations")
    with connect(shop.warehouse) as connection:
        connection.execute("delete from raw.items")

    said = shop.call("run", exit_code=1)

    assert f"visitors with lists fell from {visitors} to 0, by 100%; nothing may fall to zero" in said
    assert "recommendable items fell from " in said
    assert "`nextmart publish --allow-shrink`" in said
    assert shop.published.read_bytes() == published
    assert [run["status"] for run in shop.job_runs("publish")] == ["done", "failed"]
    outcomes = "select outcome, live_visitors, visitors from recommendations.publication_changes order by 1 desc"
    assert shop.rows(outcomes) == [("published", None, visitors), ("held", visitors, 0)]
    assert shop.read("select outcome from recommendations.publication_changes") == [("published",)]

    shop.call("publish", "--allow-shrink")
    assert shop.read("select count(*) from recommendations.visitor_recommendations") == [(0,)]
    assert shop.read("select outcome from recommendations.publication_changes order by publication_number") == [
        ("published",), ("held",), ("forced",),
    ]  # fmt: skip
    comments = shop.read("select comment from duckdb_columns() where table_name = 'publication_changes'")
    assert all(comment for (comment,) in comments), "readers find the meaning of each column in the file"
