"""Reading the embeddings for an experiment: those that the warehouse serves, or those of other models or texts."""

from dataclasses import dataclass

from jobs.core.arrays import Floats
from jobs.core.catalog import Catalog
from jobs.dbt_vars import EmbeddingModel
from jobs.embedding.backfill import EmbedOptions
from jobs.embedding.backlog import ITEM_TEXTS
from jobs.errors import NextmartError
from jobs.experiments.spec import ModelVariant
from jobs.orchestration.run_job import run_job
from jobs.settings import Settings
from jobs.warehouse.connection import Connection, execute_and_fetch_number
from jobs.warehouse.dbt_macros import dbt_macros
from jobs.warehouse.reading import read_embeddings

VARIANT_TEXTS_TABLE = "temp.experiment_texts"
"""The temporary table with the item texts that a model's ``item_text_template`` makes."""

COUNT_MISSING_VECTORS = """
    -- The number of texts that have no vector of an embedding model yet
    select count(distinct text_hash) from {texts}
    where regexp_matches(text, '\\S') and text_hash not in (
        select text_hash from ml.embeddings
        where embedding_model = $embedding_model and dimensions = $dimensions and status <> 'failed'
    )
"""

SELECT_ITEM_VECTORS = """
    -- The vector of each item whose text has a vector
    (
        select texts.item_id, vectors.embedding
        from {texts} as texts
        inner join ml.embeddings as vectors on texts.text_hash = vectors.text_hash
        where
            vectors.embedding_model = $embedding_model and vectors.dimensions = $dimensions
            and vectors.embedding is not null
    )
"""


@dataclass
class Allowance:
    """Money for the vectors of an experiment's item texts; all purchases of one experiment share it.

    Attributes
    ----------
    left_usd : float
        What may still be spent, in US dollars; each purchase lowers it.
    """

    left_usd: float


def read_variant_vectors(
    connection: Connection,
    settings: Settings,
    variants: list[ModelVariant],
    catalog: Catalog,
    allowance: Allowance,
) -> dict[str, tuple[str, Floats]]:
    """Read the embeddings of each model variant; buy those of item texts that the warehouse lacks.

    Texts of an ``item_text_template`` are rendered from ``catalog.items``. The embed job writes their vectors to
    ``ml.embeddings``, so each text is paid for once, even if the warehouse uses the same template later.

    Parameters
    ----------
    allowance : Allowance
        Money for vectors of item texts that the warehouse lacks; their cost is taken off.

    Returns
    -------
    label -> (str, float32 array (items, dimensions))
        The name of the variant's embeddings, and the vectors in the order of the catalogue.

    Raises
    ------
    NextmartError
        If the warehouse lacks vectors of another embedding model, or vectors of other texts could not be bought for
        what ``allowance`` has left.
    """
    embeddings_by_key: dict[tuple[str, tuple[str, ...] | None], tuple[str, Floats]] = {}
    served_model_name = settings.job_vars().embedding_model
    for variant in variants:
        name = variant.embedding_model or served_model_name
        key = name, variant.item_text_template
        if key in embeddings_by_key:
            continue
        if key == (served_model_name, None):
            embeddings_by_key[key] = served_model_name, catalog.embeddings
            continue
        settings_of_model = settings.with_embedding_model(name, None)
        embedding_model = settings_of_model.job_vars().chosen_embedding_model
        if variant.item_text_template:
            write_variant_texts(connection, variant.item_text_template)
            vectors = _buy_vectors(
                connection, settings_of_model, embedding_model, len(catalog), variant.label, allowance
            )
            embeddings_by_key[key] = f"{name} of {' '.join(variant.item_text_template)}", vectors
        else:
            if missing := _count_missing_vectors(connection, embedding_model, ITEM_TEXTS):
                raise NextmartError(
                    f"model '{variant.label}': {missing:,} texts have no vector of {name} yet: "
                    f"run `nextmart embed --model {name}`"
                )
            embeddings_by_key[key] = name, _read_item_vectors(connection, embedding_model, len(catalog), ITEM_TEXTS)
    return {
        variant.label: embeddings_by_key[variant.embedding_model or served_model_name, variant.item_text_template]
        for variant in variants
    }


def write_variant_texts(connection: Connection, item_text_template: tuple[str, ...]) -> None:
    """Write the item texts of a template, with the hashes that dbt gives to texts, to ``temp.experiment_texts``.

    Raises
    ------
    UsageError
        If a part of the template names no field of items, or one that does not exist.
    """
    # dbt's own macros make the SQL, so that the texts and hashes are exactly those of the warehouse
    macros = dbt_macros("item_text.sql", "dialect.sql")
    parts = [str(macros.item_text_part(part)) for part in item_text_template]
    text, text_hash = f"concat_ws('. ', {', '.join(parts)})", macros.default__length_prefixed_hash(parts)
    connection.execute(
        f"create or replace temp table experiment_texts as "  # noqa: S608 - the macros quote the user's values
        f"select item_id, {text} as text, {text_hash} as text_hash from catalog.items"
    )


def _buy_vectors(
    connection: Connection,
    settings: Settings,
    embedding_model: EmbeddingModel,
    catalogue_size: int,
    model_label: str,
    allowance: Allowance,
) -> Floats:
    """Embed the texts of ``temp.experiment_texts`` that have no vector yet, and return the vectors of all items.

    The cost is taken off ``allowance``.
    """
    if _count_missing_vectors(connection, embedding_model, VARIANT_TEXTS_TABLE):
        options = EmbedOptions(allowance.left_usd, texts_relation=VARIANT_TEXTS_TABLE)
        cost = run_job("embed", connection, settings, options=options)["cost"]
        allowance.left_usd = max(0.0, allowance.left_usd - cost)  # a service may charge more than it was expected to
    if missing := _count_missing_vectors(connection, embedding_model, VARIANT_TEXTS_TABLE):
        raise NextmartError(
            f"model '{model_label}': {missing:,} texts of its item_text_template have no vector of "
            f"{embedding_model.name}; ml.job_runs says why. "
            "Where they cost money, --max-cost says how much an experiment may spend: "
            f"${allowance.left_usd:g} of it are left."
        )
    return _read_item_vectors(connection, embedding_model, catalogue_size, VARIANT_TEXTS_TABLE)


def _count_missing_vectors(connection: Connection, embedding_model: EmbeddingModel, texts_table: str) -> int:
    """Return how many texts of a table have no vector of an embedding model yet."""
    return execute_and_fetch_number(
        connection, COUNT_MISSING_VECTORS.format(texts=texts_table), embedding_model.values_of_key_columns
    )


def _read_item_vectors(
    connection: Connection, embedding_model: EmbeddingModel, catalogue_size: int, texts_table: str
) -> Floats:
    """Return an embedding model's vectors of the texts in a table, float32 array (items, dimensions)."""
    return read_embeddings(
        connection,
        catalogue_size,
        embedding_model.dimensions,
        SELECT_ITEM_VECTORS.format(texts=texts_table),
        dict(embedding_model.values_of_key_columns),
    )
