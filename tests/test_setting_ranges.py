"""Settings and vars that make no sense are refused at once, with the file, the key, the value and the range."""

import pytest

from jobs.dbt_vars import AllDbtVars, all_vars, default_vars
from jobs.errors import UsageError
from jobs.settings import Settings, load_settings

WRONG_KINDS = {"a text": "often", "a boolean": True, "a list": [[]], "a negative number": -5, "an infinite one": 1e999}


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Write ``nextmart.toml``, read the settings, and return the error's message."""

    def refused(text: str) -> str:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "nextmart.toml").write_text(text)
        with pytest.raises(UsageError) as error:
            load_settings()
        return str(error.value)

    return refused


def test_every_var_has_its_type_and_its_default_is_allowed():
    assert AllDbtVars.model_fields.keys() == default_vars().keys()
    all_vars({})


@pytest.mark.parametrize("name", list(default_vars()))
def test_every_var_refuses_values_of_other_kinds(name):
    of_the_right_kind = {"a text"} if name in ("bot_user_agents", "bot_rule", "trending_attribute") else set()
    of_the_right_kind |= {"a boolean"} if isinstance(default_vars()[name], bool) else set()
    for kind in WRONG_KINDS.keys() - of_the_right_kind:
        with pytest.raises(UsageError, match=rf"'vars\.{name}|embedding_model"):
            load_settings(vars={name: WRONG_KINDS[kind]})


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("session_gap_minutes = -5", "(got -5); allowed: number, above 0, at most 5,260,320"),
        ('session_gap_minutes = "thirty"', "(got 'thirty'); allowed: number, above 0"),
        ("max_rejected_share = 7", "(got 7); allowed: number, at least 0, at most 1"),
        ("late_error_percent = 101", "allowed: number, at least 0, at most 100"),
        ("max_events_per_build = 0", "allowed: integer, at least 1, or null"),
        ("freshness_error_days = 0", "allowed: integer, at least 1"),
        ('price_decimal_sign = ";"', "allowed: `.` or `,`, or null"),
        ('sequence_scope = "week"', "allowed: `session` or `visitor` or `user`"),
        ('earliest_event_at = "soon"', "write a time such as 1995-01-01"),
        ('earliest_event_at = "1995-W01-1"', "write a time such as 1995-01-01"),
        ('bot_user_agents = "(bot"', "is no regular expression"),
        ('bot_user_agents = ""', "not empty"),
        ('bot_rule = "user_id = "', "is no SQL condition"),
        ('bot_rule = "true); drop table raw.events; select (1"', "is no SQL condition"),
        ("event_weights = {view = -1}", "'vars.event_weights.view'"),
        ('item_text_template = ["{colour}"]', "'{colour' in the part '{colour}' is no field"),
        ('item_text_template = ["on sale"]', "names no field"),
        ("together_items_per_session = 1", "(got 1); allowed: integer, at least 2, at most 1,000"),
        ('trending_attribute = "category"', "are those of the items' categories"),
        ('known_event_types = [""]', "'vars.known_event_types.0'"),
    ],
)
def test_a_var_is_refused_with_its_file_name_value_and_range(written, line, says):
    message = written(f"[vars]\n{line}\n")
    assert message.startswith(f"nextmart.toml: setting 'vars.{line.split(' = ')[0]}")
    assert says in message


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("retrain_after_days = inf", "nextmart.toml: setting 'retrain_after_days': Input should be a finite number"),
        ("training_minutes = 0", "(got 0); allowed: number, above 0, at most 10,080"),
        ("training_sequences = 99", "(got 99); allowed: integer, at least 100, at most 1,000,000,000"),
        ("seed = -1", "(got -1); allowed: integer, at least 0, below 4,294,967,296"),
        ('protocol = "coin"', "allowed: `cutoff` or `paper`"),
        ("embedding_timeout_seconds = 1e12", "allowed: number, above 0, at most 86,400"),
        ('warehouse = ""', "setting 'warehouse' names no file"),
        ('published = "warehouse.duckdb"', "name the same file"),
        ("session_gap_minutes = 5", "it is a dbt var: write it below [vars]"),
        ("runs_keep = 5", "did you mean 'runs_kept'?"),
        ("prompt_prices = {gpt = {training = -1, input = 1, output = 1}}", "allowed: number, at least 0"),
        ("prompt_prices = {gpt = {trainin = 1, training = 1, input = 1, output = 1}}", "did you mean 'training'?"),
        ("published_lists_days = 30", "Set published_lists_days = 90, or lower outcome_days under [vars] to 30"),
        ("[vars]\noutcome_days = 200", "outcome_days is 200, but the setting published_lists_days is 90"),
        ("[vars]\nsession_gap_minute = 5", "nextmart.toml: unknown dbt var 'session_gap_minute'"),
    ],
)
def test_a_setting_is_refused_with_its_file_name_value_and_range(written, line, says):
    assert says in written(line)


def test_every_number_among_the_settings_has_a_range():
    properties = Settings.model_json_schema()["properties"]
    numbers = {
        name: kind
        for name, field in properties.items()
        for kind in field.get("anyOf", [field])
        if kind.get("type") in ("number", "integer")
    }
    assert numbers
    assert [name for name, kind in numbers.items() if not {"minimum", "exclusiveMinimum"} & kind.keys()] == []


def test_where_a_wrong_value_stands_is_named(monkeypatch):
    monkeypatch.setenv("NEXTMART_SEED", "-1")
    with pytest.raises(UsageError, match=r"^NEXTMART_SEED: setting 'seed'"):
        load_settings()
    monkeypatch.delenv("NEXTMART_SEED")
    with pytest.raises(UsageError, match=r"^--runs-kept: setting 'runs_kept'"):
        load_settings(runs_kept=0)


def test_a_date_of_toml_is_its_text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nextmart.toml").write_text("[vars]\nearliest_event_at = 2001-02-03\n")
    assert load_settings().vars == {"earliest_event_at": "2001-02-03"}


@pytest.mark.parametrize("content", [b"warehouse = '\xff'", b"[vars"])
def test_a_file_that_cant_be_read_is_named(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nextmart.toml").write_bytes(content)
    with pytest.raises(UsageError, match=r"^nextmart\.toml "):
        load_settings()
