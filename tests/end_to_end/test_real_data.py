"""The examples on real data, as their README lines say to run them."""

import duckdb

from jobs.evaluation.splits import paper_split
from jobs.warehouse.connection import connect
from jobs.warehouse.reading import read_sequences


def test_amazon_beauty_gives_the_papers_sequences(example):
    call = example("amazon_beauty", "amazon_beauty", NEXTMART_MODELS='["popularity"]')
    assert "events: 198,502 loaded of 198,502 read (0 repeated, 0 known before)" in call.loaded
    assert "feed events: no new file; the newest is ${NEXTMART_DATA}/amazon_beauty/interactions.parquet" in call("load")
    with connect(call.folder / "warehouse.duckdb") as connection:
        connection.execute("delete from raw.loaded_files")
    assert "events: 0 loaded of 198,502 read (0 repeated, 198,502 known before)" in call("load")
    call.build("--exclude", "tag:job")
    with connect(call.folder / "warehouse.duckdb") as connection:
        sequences = read_sequences(connection)
        assert connection.execute("select count(*) from staging.rejected_events").fetchone() == (0,)
        assert connection.execute("select count(*) from catalog.item_texts where text = ''").fetchone() == (7,)
        named = "select count(brand), count(distinct brand), count(category), count(distinct category)"
        assert connection.execute(f"{named} from catalog.items").fetchone() == (7_476, 436, 12_101, 227)
    assert len(sequences) == 22_363
    assert sequences["items"].list.len().sum() == 198_502
    split = paper_split(sequences)
    assert (len(split.train), len(split.test)) == (17_890, 4_469)


def test_uci_online_retail_runs_to_published_tables(example):
    # no training by gradient here: the paths are the same, and a test should be quick
    call = example("uci_online_retail", "uci_online_retail", NEXTMART_MODELS='["popularity", "llmseqsim"]')
    assert "events: 531,230 loaded of 541,909 read (10,679 repeated, 0 known before)" in call.loaded
    call("run")
    with connect(call.folder / "warehouse.duckdb") as connection:
        reasons = dict(
            connection.execute("select reason, count(*) from staging.rejected_events group by all").fetchall()
        )
        # 135,080 lines, some of them twice; postage, manual entries, adjustments
        assert reasons == {"missing_visitor_id": 134_544, "unknown_item": 1_868}
        codes = connection.execute("select distinct raw_row ->> 'item_id' from staging.rejected_events").fetchall()
        assert {"POST", "M", "DOT"} <= {code for (code,) in codes}
        kinds = connection.execute("select event_type, count(*) from staging.stg_events group by all").fetchall()
        assert dict(kinds) == {"purchase": 386_359, "cancellation": 8_459}
        learnt_from = "select count(*) from (select unnest(items) from sessions.sequences)"
        assert connection.execute(learnt_from).fetchone()[0] <= 386_359
    with duckdb.connect(str(call.folder / "published.duckdb"), read_only=True) as copy:
        visitors, rows = copy.execute(
            "select count(distinct visitor_id), count(*) from recommendations.visitor_recommendations"
        ).fetchone()
        assert visitors > 4_300
        assert rows == 20 * visitors
        values = dict(
            copy.execute(
                "select model, value from recommendations.model_leaderboard where metric = 'ndcg' and k = 20 "
                "and split = 'cutoff/test' and segment = 'all'"
            ).fetchall()
        )
        beside = {
            item: [other for (other,) in copy.execute("select with_item_id from bought_with(?)", [item]).fetchall()]
            for item in ("22697", "22745", "22386", "23199")
        }
        # windows end with the data, in December 2011
        [(title,)] = copy.execute(
            "select title from recommendations.trending_items where window_days = 1 and segment = 'all' and rank = 1"
        ).fetchall()
    assert values["llmseqsim"] > values["popularity"] > 0
    # the green teacup with the roses' and the pink one, then the cake stand and the green plate of the tea set
    assert beside["22697"][:4] == ["22699", "22698", "22423", "23171"]
    # the bedroom of Poppy's playhouse with its kitchen, living room and bathroom
    assert beside["22745"][:3] == ["22748", "22746", "22747"]
    # the pink jumbo bag with the red, the strawberry, the Suki and the paisley one
    assert beside["22386"][:4] == ["85099B", "85099F", "21931", "21929"]
    assert beside["23199"][0] == "23200"  # the jumbo bag with apples, and the one with pears
    assert "CHRISTMAS" in title
