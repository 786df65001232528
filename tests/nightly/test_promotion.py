"""Nights, pins, rollbacks and kills: which model is live after them, and which reason is recorded."""

import itertools
import json
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from tiny_warehouse import TinyWarehouse, items_of, let_minutes_pass, rings

from jobs.cli import main
from jobs.commands.status import read_status
from jobs.errors import NextmartError, UsageError
from jobs.evaluation.splits import cutoff_split
from jobs.files import project_folder
from jobs.nightly import promotion, train
from jobs.nightly.evaluate import evaluate
from jobs.nightly.model_store import newest_model_by_family
from jobs.settings import Settings
from jobs.training import loop as training
from jobs.warehouse.job_runs import JobRun
from jobs.warehouse.reading import read_sequences

POPULARITY, BOTH = ["popularity"], ["popularity", "vsknn"]
HISTORY = rings(300)


@pytest.fixture(scope="module")
def filled(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("tiny") / "warehouse.duckdb"
    warehouse = TinyWarehouse(path)
    warehouse.fill(HISTORY, items_of(HISTORY))
    warehouse.connection.close()
    return path.read_bytes()


@pytest.fixture
def tiny(filled, tmp_path, monkeypatch):
    """A shop where the next item is certain, but not by popularity. Its clock moves on by a minute at each reading."""
    let_minutes_pass(monkeypatch)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "warehouse.duckdb").write_bytes(filled)
    warehouse = TinyWarehouse(tmp_path / "warehouse.duckdb")
    yield warehouse
    warehouse.connection.close()


def setting(models=BOTH, **more) -> Settings:
    return Settings(models=models, **more)


def decisions(tiny) -> dict[str, str]:
    """Return the leaderboard's decision about each model, by family and in the order of training."""
    query = (project_folder("dbt_project") / "models/recommendations/model_leaderboard.sql").read_text()
    for table in ("champions", "model_metrics", "models"):
        query = query.replace(f"{{{{ source('ml', '{table}') }}}}", f"ml.{table}")
    rows = tiny.rows(
        f"select distinct model_version, decision from ({query.replace('{{', '').replace('}}', '')}) order by all"
    )
    return dict(rows)


def test_the_better_family_is_live_from_the_first_night_and_the_leaderboard_says_why(tiny):
    assert tiny.night(setting()) == "vsknn"
    said = {version.split("-")[0]: why for version, why in decisions(tiny).items()}
    assert said["vsknn"].startswith("live: best value, ")
    assert said["popularity"].startswith("not live: -")
    assert said["popularity"].endswith("against vsknn, which is better")
    [(difference, low, high)] = tiny.rows("select difference, ci_low, ci_high from ml.champions where not is_live")
    assert low <= difference <= high < 0


def test_ranks_are_kept_of_both_parts_and_of_the_same_cases(tiny):
    tiny.night(setting())
    found = tiny.rows("select split, count(distinct cases_hash), min(len(target_ranks)) from ml.model_ranks group by 1")
    assert [row[:2] for row in sorted(found)] == [("cutoff/test", 1), ("cutoff/validation", 1)]
    [(mean, value)] = tiny.rows("""
        select list_avg(list_transform(target_ranks, lambda rank: if(rank > 0, 1 / log2(rank + 1), 0))), value
        from ml.model_ranks join ml.model_metrics using (model_version, split)
        where split = 'cutoff/test' and metric = 'ndcg' and k = 20 and segment = 'all' and model_version like 'vsknn%'
    """)
    assert mean == pytest.approx(value)


def test_targets_that_the_catalogue_lacks_are_cold(tiny):
    left = items_of(HISTORY)[1::2]
    tiny.fill(HISTORY, left)
    tiny.night(setting(POPULARITY))
    [(cutoff_at,)] = tiny.rows("select data_cutoff_at from ml.models")
    targets = cutoff_split(read_sequences(tiny.connection), cutoff_at).test["target"].to_list()
    cold = tiny.rows("select n from ml.model_metrics where segment = 'cold_target' and metric = 'hit_rate' and k = 20")
    assert cold == [(sum(target not in left for target in targets),)]


def test_a_night_goes_by_where_the_history_can_not_be_split_yet(tiny):
    tiny.fill(HISTORY[:1], HISTORY[0][1])
    assert tiny.run("train", setting(protocol="paper"))["detail"]["reason"] == "too little history"
    assert tiny.run("evaluate", setting(protocol="paper"))["detail"] == {"live": None}


def test_events_before_items_are_no_history_to_train_on(tiny):
    four = setting(["popularity", "sknn", "llmseqsim", "sknnemb"])
    for items in ([], ["never seen"]):
        tiny.fill(HISTORY, items)
        assert tiny.run("train", four)["detail"]["reason"] == "too little history"
        assert tiny.run("recommend", four)["status"] == "done"
    tiny.fill(HISTORY, items_of(HISTORY))
    assert len(tiny.run("train", four)["detail"]["trained"]) == 4
    tiny.run("evaluate", four)
    assert tiny.run("recommend", four)["rows_out"]


def test_a_new_family_goes_live_only_if_it_wins(tiny):
    tiny.night(setting(POPULARITY))
    assert tiny.night(setting()) == "vsknn"
    assert " over popularity" in decisions(tiny)[tiny.live()]
    vsknn = tiny.live()
    assert tiny.night(setting([*BOTH, "sknn"])) == "vsknn", "sknn is as good"
    assert tiny.live() == vsknn


def test_the_evidence_of_earlier_nights_counts_with_each_case_once(tiny):
    """A family's models of other nights are earlier looks; of their cases those after all cases before are new."""
    week = setting(retrain_after_days=7)
    tiny.night(week)
    tiny.connection.execute("update ml.models set finished_at = '2025-01-01'")
    last_day = [walk for walk in HISTORY if walk[2][-1] == max(times[-1] for _, _, times in HISTORY)]
    next_day = [(f"next {name}", items, [at + timedelta(days=1) for at in times]) for name, items, times in last_day]
    tiny.fill(HISTORY + next_day, items_of(HISTORY))
    tiny.night(week)
    first, second = tiny.rows("""
        select any_value(new_cases), max(newest_target_at), count(distinct new_cases) from ml.model_ranks
        where split = 'cutoff/validation' group by cases_hash order by min(measured_at)
    """)
    assert all(first[0])
    assert 0 < sum(second[0]) < len(second[0])
    assert first[1] < second[1]
    assert (first[2], second[2]) == (1, 1), "both families are measured on the same cases"
    [tests] = tiny.rows("select count(*), count(new_cases) from ml.model_ranks where split = 'cutoff/test'")
    assert tests == (4, 0)
    models = {row.family: row for row in newest_model_by_family(tiny.connection).values()}
    entrant = promotion._read_entrant(tiny.connection, week, models["vsknn"])
    assert [len(look.case_values) for look in entrant.interim_looks] == [len(first[0]), len(second[0])]
    assert entrant.interim_looks[1].is_new_case.tolist() == second[0]
    changed = setting(retrain_after_days=7, parameters={"vsknn": {"neighbours": 7}})
    tiny.run("train", changed)
    renewed = promotion._read_entrant(tiny.connection, changed, newest_model_by_family(tiny.connection)["vsknn"])
    assert len(renewed.interim_looks) == 1, "other parameters start anew"


def test_a_night_with_nothing_new_writes_nothing(tiny):
    tiny.night(setting())
    before = tiny.rows("from ml.champions order by all"), decisions(tiny)
    tiny.night(setting())
    assert (tiny.rows("from ml.champions order by all"), decisions(tiny)) == before


def test_a_family_that_is_no_longer_set_makes_room(tiny):
    tiny.night(setting())
    assert tiny.night(setting(POPULARITY)) == "popularity"
    assert "not live: vsknn is none of the setting models" in decisions(tiny).values()


def test_lost_weights_are_trained_again_and_the_family_stays(tiny):
    tiny.night(setting())
    lost = tiny.live()
    tiny.connection.execute("update ml.models set weights = null where status = 'live'")
    tiny.run("evaluate", setting())
    assert tiny.live().startswith("popularity"), "what has weights serves until then"
    tiny.connection.execute("update ml.models set status = if(model = 'vsknn', 'live', 'retired')")
    assert tiny.night(setting()) == "vsknn"
    assert tiny.live() != lost
    assert decisions(tiny)[lost] == "not live: its weights are gone"


def test_a_model_that_has_learnt_from_deleted_events_is_followed_by_its_family(tiny, capsys):
    tiny.night(setting())
    due = tiny.live()
    tiny.connection.execute(
        "insert into ml.deletions "
        "values ('d', '2026-03-01 12:00:00+00', 'visitor', 2, 1, 1, 1, 0, 0, '2026-01-01', null)"
    )
    tiny.run("evaluate", setting())
    assert tiny.live() == due, "until another is trained"
    cant_stay = f"{due} can't stay live: it has learnt from events that were deleted"
    assert cant_stay not in capsys.readouterr().err
    assert tiny.night(setting(seed=1)) == "vsknn"
    assert tiny.live() != due
    assert cant_stay in capsys.readouterr().err


def test_what_has_learnt_from_deleted_events_loses_its_weights_where_its_family_is_no_longer_trained(tiny):
    tiny.night(setting())
    [(left,)] = tiny.rows("select model_version from ml.models where model = 'vsknn'")
    tiny.night(setting(POPULARITY))
    with_weights = "select model_version from ml.models where weights is not null and model = 'vsknn'"
    assert tiny.rows(with_weights) == [(left,)], "a setting that is changed back finds the model again"
    tiny.connection.execute(
        "insert into ml.deletions "
        "values ('d', '2026-03-01 12:00:00+00', 'visitor', 2, 1, 1, 1, 0, 0, '2026-01-01', null)"
    )
    tiny.run("pin", setting(), model_version=left)
    tiny.night(setting(POPULARITY))
    assert tiny.rows(with_weights) == [(left,)], "the pinned model makes the lists"
    tiny.run("unpin", setting(POPULARITY))
    tiny.night(setting(POPULARITY))
    assert tiny.rows(with_weights) == []


def test_a_night_of_a_week_later_finds_models_younger_than_a_week(tiny):
    """So the settings' page advises half a day less than whole days."""
    tiny.night(setting(retrain_after_days=7))
    tiny.connection.execute("update ml.models set finished_at = finished_at - interval '7 days' + interval '1 hour'")
    assert tiny.run("train", setting(retrain_after_days=7))["detail"]["trained"] == []
    assert len(tiny.run("train", setting(retrain_after_days=6.5))["detail"]["trained"]) == 2


def test_families_are_trained_together_when_one_is_too_old_and_a_killed_night_goes_on(tiny, monkeypatch):
    tiny.night(setting())
    tiny.connection.execute("update ml.models set finished_at = '2025-01-01' where model = 'popularity'")
    more = rings(330)
    tiny.fill(more, items_of(more))
    assert len(tiny.run("train", setting(retrain_after_days=30))["detail"]["trained"]) == 2
    tiny.connection.execute("update ml.models set finished_at = '2025-01-01' where model = 'vsknn'")
    assert len(tiny.run("train", setting(retrain_after_days=30))["detail"]["trained"]) == 1, "the cases are the same"


@pytest.mark.parametrize("old", BOTH)
def test_a_family_that_a_killed_night_left_on_other_cases_is_trained_the_next(tiny, monkeypatch, old):
    week = setting(retrain_after_days=7)
    tiny.night(week)
    tiny.connection.execute("update ml.models set finished_at = '2026-02-01' where model = $old", {"old": old})

    def killed_at_the_second(connection, model, *others):
        if model.family == BOTH[1]:
            raise KeyboardInterrupt
        return fit(connection, model, *others)

    fit = train._fit_and_store
    for visits in (330, 360):
        history = rings(visits)
        tiny.fill(history, items_of(history))
        with monkeypatch.context() as patch:
            patch.setattr(train, "_fit_and_store", killed_at_the_second)
            with pytest.raises(KeyboardInterrupt):
                tiny.run("train", week)
    assert len(tiny.run("train", week)["detail"]["trained"]) == 1, "the cases are those of the killed night"
    history = rings(390)
    tiny.fill(history, items_of(history))
    assert tiny.run("train", week)["detail"]["trained"] == []
    tiny.run("evaluate", week)
    newest = "select cases_hash from ml.model_ranks where split = 'cutoff/validation' order by measured_at desc limit 2"
    assert len(set(tiny.rows(newest))) == 1
    assert tiny.rows("from ml.champions where contains(reason, 'not measured on the cases')") == []


def test_checkpoints_of_killed_nights_go_once_the_data_are_others(tiny, tmp_path, monkeypatch):
    network = {"width": 8, "blocks": 1, "window": 6, "epochs": 2, "epoch_steps": 1, "batch_size": 64, "negatives": 0}
    small = setting(["sasrec"], parameters={"sasrec": network})

    def left() -> set[str]:
        return {path.name for path in (tmp_path / ".nextmart" / "checkpoints").iterdir()}

    found = []
    for visits in (300, 330):
        history = rings(visits)
        tiny.fill(history, items_of(history))
        with monkeypatch.context() as patch:
            patch.setattr(training, "_save_checkpoint", saved_and_killed(training._save_checkpoint))
            with pytest.raises(KeyboardInterrupt):
                tiny.run("train", small)
        found.append(left())
    assert [len(names) for names in found] == [1, 1]
    assert found[0] != found[1]
    tiny.run("train", small)
    assert left() == set()


def saved_and_killed(save):
    def call(*arguments):
        save(*arguments)
        raise KeyboardInterrupt

    return call


def test_a_pinned_model_stays_live_and_keeps_its_weights(tiny):
    tiny.night(setting())
    [(version,)] = tiny.rows("select model_version from ml.models where model = 'popularity'")
    tiny.run("pin", setting(), model_version=version)
    tiny.run("evaluate", setting())
    [why] = [why for model, why in decisions(tiny).items() if model.startswith("vsknn")]
    assert why.startswith("not live: +")
    assert why.endswith(" over popularity; popularity is pinned")
    for seed in (1, 2):
        assert tiny.night(setting(["vsknn"], seed=seed, models_kept=1)) == "popularity"
    assert tiny.live() == version
    assert tiny.rows("select weights is not null from ml.models where status = 'live'") == [(True,)]
    found = read_status(tiny.connection, setting())["live_model"]
    assert (found["model_version"], found["is_pinned"], found["reason"]) == (version, True, "live: pinned by hand")

    tiny.run("unpin", setting())
    assert tiny.live() == version
    assert tiny.night(setting(seed=2)) == "vsknn"
    with pytest.raises(NextmartError, match="no model is pinned"):
        tiny.run("unpin", setting())


def test_rollback_brings_back_the_model_before_and_a_night_leaves_it(tiny):
    tiny.night(setting())
    first = tiny.live()
    tiny.night(setting(seed=1))
    second = tiny.live()
    assert second != first
    tiny.run("rollback", setting())
    assert tiny.live() == first
    tiny.night(setting(seed=2))
    assert tiny.live() == first
    assert decisions(tiny)[first] == "live: rolled back to by hand, from vsknn"
    tiny.run("rollback", setting())
    assert tiny.live() == second, "a second time goes forward again"


def test_the_model_before_keeps_its_weights_for_a_rollback_however_few_are_kept(tiny):
    one = setting(POPULARITY, models_kept=1, retrain_after_days=0)
    tiny.night(one)
    first = tiny.live()
    tiny.run("pin", one, model_version=first)
    tiny.night(one)
    tiny.run("unpin", one)
    tiny.night(one)
    assert tiny.live() != first
    assert len(tiny.rows("from ml.models where weights is not null")) == 2, "what was never live keeps none"
    tiny.run("rollback", one)
    assert tiny.live() == first
    tiny.run("rollback", one)
    tiny.connection.execute(
        "insert into ml.deletions "
        "values ('d', '2026-03-01 12:00:00+00', 'visitor', 2, 1, 1, 1, 0, 0, '2026-01-01', null)"
    )
    tiny.run("evaluate", one)
    left = tiny.rows("select model_version from ml.models where weights is not null")
    assert left == [(tiny.live(),)], "nothing is kept of what has learnt from deleted events"


def test_weights_of_another_version_make_room_even_where_they_are_pinned(tiny):
    tiny.night(setting())
    old = tiny.live()
    tiny.run("pin", setting(), model_version=old)
    tiny.connection.execute("update ml.models set schema_version = null, fingerprint = 'of another version'")
    with pytest.raises(UsageError, match="can't be pinned: its weights are of another version of nextmart"):
        tiny.run("pin", setting(), model_version=old)
    assert tiny.night(setting()) == "vsknn"
    assert tiny.live() != old
    assert decisions(tiny)[old] == "not live: its weights are of another version of nextmart"


def test_what_can_not_be_pinned_or_rolled_back_to_is_refused_with_what_can(tiny):
    with pytest.raises(UsageError, match=r"no model 'nope'.*none; run `nextmart train`"):
        tiny.run("pin", setting(), model_version="nope")
    tiny.night(setting())
    first = tiny.live()
    with pytest.raises(UsageError, match=f"no model 'nope'.*{first}"):
        tiny.run("pin", setting(), model_version="nope")
    with pytest.raises(NextmartError, match="no other model was live"):
        tiny.run("rollback", setting())
    tiny.night(setting(seed=1))
    tiny.connection.execute("update ml.models set weights = null where model_version = ?", [first])
    before = tiny.rows("from ml.champions order by all")
    for job, wishes in {"rollback": {}, "pin": {"model_version": first}}.items():
        with pytest.raises(NextmartError, match=f"{first}.*: its weights are gone.*{tiny.live()}"):
            tiny.run(job, setting(), **wishes)
    assert tiny.rows("from ml.champions order by all") == before


def test_the_commands(tiny, monkeypatch, capsys):
    tiny.night(setting())
    live = tiny.live()
    tiny.connection.close()

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["nextmart", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *capsys.readouterr()

    code, out, _ = call("pin", live, "--json")
    assert (code, json.loads(out)["detail"]["live"]) == (0, live)
    code, said, _ = call("status")
    assert "pinned" in said.split("live model")[1]
    code, _, said = call("pin", "nope")
    assert code == 2
    assert live in said
    assert call("rollback")[0] == 1
    code, said, _ = call("unpin")
    assert (code, f"{live} is live until" in said) == (0, True)


class Dying:
    """A connection of a process that is killed at its nth statement: neither that nor a later statement is executed."""

    def __init__(self, connection, statements: int) -> None:
        self.connection, self.left = connection, statements

    def __getattr__(self, name):
        return getattr(self.connection, name)

    def execute(self, *arguments):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return self.connection.execute(*arguments)


def dies(tiny, statements: int) -> bool:
    """Evaluate in a process that is killed at its nth statement; tell whether there was an nth statement."""
    dying = Dying(tiny.connection, statements)
    with suppress(KeyboardInterrupt):
        evaluate(dying, setting(), JobRun("run", "evaluate", datetime.now(UTC)))
    if dying.left < 0:
        with suppress(Exception):
            tiny.connection.execute("rollback")  # as DuckDB does when the process dies
    return dying.left < 0


def test_an_evaluation_killed_at_any_statement_leaves_figures_with_their_ranks(tiny):
    tiny.run("train", setting())
    for statements in itertools.count():
        for table in ("model_metrics", "model_ranks"):
            tiny.connection.execute(f"delete from ml.{table} where ends_with(split, '/test')")
        died = dies(tiny, statements)
        measured, ranked = (
            tiny.rows(f"select distinct model_version from ml.{table} where ends_with(split, '/test') order by all")
            for table in ("model_metrics", "model_ranks")
        )
        assert measured == ranked, f"killed at statement {statements}"
        if not died:
            break
    assert len(ranked) == len(BOTH)


def test_an_evaluation_killed_at_any_statement_leaves_one_live_model(tiny):
    tiny.night(setting(POPULARITY))
    tiny.run("train", setting())
    trained = {table: tiny.rows(f"from ml.{table}") for table in ("models", "champions")}
    for statements in itertools.count():
        for table, rows in trained.items():
            tiny.connection.execute(f"truncate ml.{table}")
            tiny.connection.executemany(f"insert into ml.{table} values ({', '.join('?' * len(rows[0]))})", rows)
        if not dies(tiny, statements):
            break
        [(said,)] = tiny.rows("select model_version from ml.champions where is_live order by changed_at desc limit 1")
        assert tiny.live() == said, f"killed at statement {statements}"
    assert statements > 10
    assert tiny.live().startswith("vsknn")
