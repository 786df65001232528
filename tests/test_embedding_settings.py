"""The embedding models: entries of the project's, changed and added to by the user's."""

import pytest

from jobs.dbt_vars import default_vars
from jobs.errors import UsageError
from jobs.settings import Settings, load_settings


def models(**entries):
    return Settings(vars={"embedding_models": entries})


def test_an_entry_of_the_users_is_added_to_the_known_ones():
    settings = models(mine={"provider": "openai", "dimensions": 8})
    assert settings.job_vars().chosen_embedding_model.name == "all-MiniLM-L6-v2"
    mine = settings.with_embedding_model("mine", None).job_vars().chosen_embedding_model
    assert (mine.name, mine.model, mine.provider, mine.dimensions, mine.price) == ("mine", "mine", "openai", 8, None)


def test_an_entry_may_change_a_part_of_a_known_one():
    settings = models(**{"text-embedding-3-small": {"price": 0.01}}).with_embedding_model(
        "text-embedding-3-small", None
    )
    model = settings.job_vars().chosen_embedding_model
    assert (model.price, model.dimensions, model.provider) == (0.01, 1536, "openai")


def test_a_name_may_stand_for_a_models_shorter_vectors():
    entry = {"model": "text-embedding-3-small", "provider": "openai", "dimensions": 256}
    model = models(short=entry).with_embedding_model("short", None).job_vars().chosen_embedding_model
    assert (model.name, model.model, model.dimensions) == ("short", "text-embedding-3-small", 256)


def test_another_provider_of_the_same_model_changes_nothing_else():
    before = Settings().with_embedding_model("text-embedding-3-small", None).job_vars().chosen_embedding_model
    after = Settings().with_embedding_model("text-embedding-3-small", "openai-batch").job_vars().chosen_embedding_model
    assert after == before.model_copy(update={"provider": "openai-batch"})


def test_what_dbt_is_given_holds_the_known_entries_too():
    settings = models(mine={"provider": "openai", "dimensions": 8})
    assert settings.vars["embedding_models"].keys() == {*default_vars()["embedding_models"], "mine"}


def test_the_file_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nextmart.toml").write_text(
        '[vars]\nembedding_model = "mine"\n[vars.embedding_models.mine]\nprovider = "local"\ndimensions = 8\n'
    )
    assert load_settings().job_vars().chosen_embedding_model.dimensions == 8


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"dimensions": 8}, "embedding_models.mine.provider': Field required"),
        ({"provider": "openai"}, "embedding_models.mine.dimensions': Field required"),
        ({"provider": "openai", "dimensions": 0}, "embedding_models.mine.dimensions': .*greater than 0"),
        ({"provider": "openai", "dimensions": 8, "price": -1}, "mine.price': .*greater than or equal to 0"),
        ({"provider": "openai", "dimension": 8}, "mine.dimension': did you mean 'dimensions'"),
    ],
)  # fmt: skip
def test_a_wrong_entry_is_refused_by_name(entry, says):
    with pytest.raises(UsageError, match=says):
        _ = models(mine=entry).with_embedding_model("mine", None).job_vars().chosen_embedding_model


def test_an_unknown_model_is_refused_with_the_nearest_and_what_to_write():
    for provider in (None, "openai-batch"):
        with pytest.raises(UsageError, match=r"'text-embedding-3-smal' .* did you mean 'text-embedding-3-small'"):
            _ = Settings().with_embedding_model("text-embedding-3-smal", provider).job_vars().chosen_embedding_model


def test_entries_that_are_no_tables_are_refused():
    with pytest.raises(UsageError, match="embedding_models holds tables"):
        load_settings(vars={"embedding_models": {"mine": "openai"}})
