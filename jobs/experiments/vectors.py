"""The embeddings of an experiment's models: those that serve, another embedding model's, or those of other texts."""

from jobs.core.arrays import Floats
from jobs.core.catalog import Catalog
from jobs.embedding.backfill import EmbedOptions
from jobs.embedding.backlog import ITEM_TEXTS
from jobs.errors import NextmartError
from jobs.experiments.spec import Variant
from jobs.orchestration.run_job import run as run_job
from jobs.settings import EmbeddingModel, Settings
from jobs.warehouse.connection import Connection
from jobs.warehouse.dbt_macros import dbt_macros
from jobs.warehouse.reading import read_embeddings

VARIANT_TEXTS = "temp.experiment_texts"

MISSING = """
    select count(distinct text_hash) from {texts}
    where regexp_matches(text, '\\S') and text_hash not in (
        select text_hash from ml.embeddings
        where embedding_model = $embedding_model and dimensions = $dimensions and status <> 'failed'
    )
"""

VECTORS = """
    (
        select texts.item_id, vectors.embedding
        from {texts} as texts
        inner join ml.embeddings as vectors on texts.text_hash = vectors.text_hash
        where
            vectors.embedding_model = $embedding_model and vectors.dimensions = $dimensions
            and vectors.embedding is not null
    )
"""


def read_vectors(
    connection: Connection, settings: Settings, variants: list[Variant], catalog: Catalog, max_cost: float = 0.0
) -> dict[str, tuple[str, Floats]]:
    """Return each variant's embeddings, by label: what they are called, and float32 array (items, dimensions).

    Texts of an ``item_text_template`` are rendered from ``catalog.items`` and embedded by the embed job, into
    ``ml.embeddings``: each is paid for once, also if the template becomes the warehouse's.

    Raises
    ------
    NextmartError
        If another embedding model's vectors are not in the warehouse, or those of other texts could not be bought for
        ``max_cost`` US dollars.
    """
    read: dict[tuple[str, tuple[str, ...] | None], tuple[str, Floats]] = {}
    serving = settings.job_vars().embedding_model
    for variant in variants:
        name = variant.embedding_model or serving
        key = name, variant.item_text_template
        if key in read:
            continue
        if key == (serving, None):
            read[key] = serving, catalog.embeddings
            continue
        chosen = settings.with_embedding(name, None)
        model = chosen.job_vars().embedding
        if variant.item_text_template:
            render(connection, variant.item_text_template)
            read[key] = (
                f"{name} of {' '.join(variant.item_text_template)}",
                _bought(connection, chosen, model, len(catalog), variant.label, max_cost),
            )
        else:
            if missing := _missing(connection, model, ITEM_TEXTS):
                raise NextmartError(
                    f"model '{variant.label}': {missing:,} texts have no vector of {name} yet: "
                    f"run `nextmart embed --model {name}`"
                )
            read[key] = name, _read(connection, model, len(catalog), ITEM_TEXTS)
    return {variant.label: read[variant.embedding_model or serving, variant.item_text_template] for variant in variants}


def render(connection: Connection, template: tuple[str, ...]) -> None:
    """Write the items' texts by a template into a temporary table, with the hashes that dbt would give them.

    Raises
    ------
    UsageError
        If a part of the template names no field, or one that does not exist.
    """
    macros = dbt_macros("item_text.sql", "dialect.sql")  # the hashes depend on every character of the SQL
    parts = [str(macros.item_text_part(part)) for part in template]
    text, text_hash = f"concat_ws('. ', {', '.join(parts)})", macros.default__framed_hash(parts)
    connection.execute(
        f"create or replace temp table experiment_texts as "  # noqa: S608 - the macros quote what is the user's
        f"select item_id, {text} as text, {text_hash} as text_hash from catalog.items"
    )


def _bought(
    connection: Connection, settings: Settings, model: EmbeddingModel, items: int, label: str, max_cost: float
) -> Floats:
    if _missing(connection, model, VARIANT_TEXTS):
        run_job("embed", connection, settings, options=EmbedOptions(max_cost, texts=VARIANT_TEXTS))
    if missing := _missing(connection, model, VARIANT_TEXTS):
        raise NextmartError(
            f"model '{label}': {missing:,} texts of its item_text_template have no vector of {model.name}; "
            "ml.job_runs says why. Where they cost money, --max-cost says how much an experiment may spend."
        )
    return _read(connection, model, items, VARIANT_TEXTS)


def _missing(connection: Connection, model: EmbeddingModel, texts: str) -> int:
    found = connection.execute(MISSING.format(texts=texts), model.key).fetchone()
    return int(found[0]) if found else 0


def _read(connection: Connection, model: EmbeddingModel, items: int, texts: str) -> Floats:
    return read_embeddings(connection, items, model.dimensions, VECTORS.format(texts=texts), dict(model.key))
