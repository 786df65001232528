"""Storing fitted models in ``ml.models``: weights are safetensors bytes with a SHA-256; nothing is pickled."""

import hashlib
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from jobs.core.arrays import State
from jobs.core.catalog import Catalog
from jobs.errors import NextmartError, UsageError
from jobs.families import Family
from jobs.language_models.paid_services import PaidServices
from jobs.models.base import Model
from jobs.models.registry import make_model
from jobs.warehouse.connection import Connection

MODEL_FORMAT_VERSION = 5
"""Version of the format of weights and fingerprints; when it changes, every stored model has to be trained again."""

RENEWAL_ADVICE = "run `nextmart run`, or `nextmart train` and then `nextmart evaluate`"
"""The advice in error messages when the live model can no longer recommend."""

MODEL_ROWS = """
    select model_version, model, parameters, fingerprint, data_cutoff_at, embedding_model, finished_at, status,
        weights is not null as has_weights, schema_version, training_sequences
    from ml.models
"""

NEWEST_FIRST = "model_number desc nulls last, finished_at desc, model_version desc"

PREVIOUS_LIVE = """
    -- The model that was live before the present live model; a rollback makes the earlier model live again
    select model_version from ml.champions
    where is_live and model_version not in (select model_version from ml.models where status = 'live')
    order by decision_number desc nulls last, changed_at desc
    limit 1
"""


@dataclass(frozen=True)
class ModelRow:
    """A row of ``ml.models`` without its weights.

    Attributes
    ----------
    family : str
        The model family.
    recipe_fingerprint : str
        The hash of all that determines the model except the data, as
        :func:`jobs.nightly.freshness.fingerprint_of_recipe` returns it.
    status : str
        ``live``, ``retired`` if it was live before, or ``candidate`` if it never was.
    format_version : int or None
        The ``MODEL_FORMAT_VERSION`` of the weights; None if they were stored before nextmart recorded that version.
    training_sequences : int or None
        The most sequences that the model could learn from, the newest ones; None if it has learnt from all.
    is_damaged : bool
        Whether the weights no longer have the hash that was saved with them. False if nobody has looked: hashing takes
        time, so only functions whose description says so look for damage.
    """

    model_version: str
    family: str
    hyperparameters: dict[str, Any]
    recipe_fingerprint: str
    data_cutoff_at: datetime | None
    embedding_model: str | None
    finished_at: datetime
    status: str
    has_weights: bool
    format_version: int | None
    training_sequences: int | None
    is_damaged: bool = False


def model_to_bytes(model: Model, catalog: Catalog) -> bytes:
    """Return a model's state as safetensors bytes, with the item_id of each catalogue index that the state uses.

    Parameters
    ----------
    catalog : Catalog
        The catalogue that the model was fitted with.
    """
    encoded = [item_id.encode() for item_id in catalog.item_ids]
    item_ids: State = {
        "item_ids.bytes": np.frombuffer(b"".join(encoded), np.uint8),
        "item_ids.lengths": np.array([len(item_id) for item_id in encoded], np.int32),
    }
    return save({name: np.ascontiguousarray(array) for name, array in {**model.state(), **item_ids}.items()})


def model_from_bytes(
    family: str, hyperparameters: dict[str, Any], weights: bytes, paid_services: PaidServices | None = None
) -> Model:
    """Return the fitted model whose state :func:`model_to_bytes` turned into ``weights``.

    Raises
    ------
    ValueError, KeyError, RuntimeError, SafetensorError
        If this version of nextmart does not know the family or its parameters, or can't read its weights.
    """
    state = load(weights)
    joined_ids = state.pop("item_ids.bytes").tobytes()
    id_ends = state.pop("item_ids.lengths").cumsum()
    id_starts = [0, *id_ends[:-1]]
    item_ids = np.array(
        [joined_ids[start:end].decode() for start, end in zip(id_starts, id_ends, strict=False)], np.object_
    )
    try:
        model = make_model(family, hyperparameters, paid_services)
    except UsageError as error:  # no error of the user: the hyper-parameters come from ml.models, not from settings
        raise ValueError(str(error)) from error
    count = len(item_ids)
    model.restore(state, Catalog(item_ids, np.zeros((count, 1), np.float32), np.ones(count, np.bool_)))
    return model


def newest_model_by_family(connection: Connection) -> dict[str, ModelRow]:
    """Look for damaged weights, and return the newest model of each family, damaged or not, by family."""
    rows = connection.execute(
        f"{MODEL_ROWS} qualify row_number() over (partition by model order by {NEWEST_FIRST}) = 1"
    ).fetchall()
    return {model.family: with_weights_checked(connection, model) for model in map(_model_row, rows)}


def newest_intact_models(connection: Connection) -> tuple[dict[str, ModelRow], list[str]]:
    """Look for damaged weights, and return the newest model of each family whose weights are undamaged.

    Returns
    -------
    dict of family -> ModelRow
        A family whose models are all damaged is left out.
    list of str
        The model_versions of the damaged models that are newer than the returned ones.
    """
    intact: dict[str, ModelRow] = {}
    damaged = []
    for model_row in all_models(connection):
        if model_row.family not in intact:
            checked = with_weights_checked(connection, model_row)
            if checked.is_damaged:
                damaged.append(checked.model_version)
            else:
                intact[checked.family] = checked
    return intact, damaged


def with_weights_checked(connection: Connection, model_row: ModelRow) -> ModelRow:
    """Return the row with ``is_damaged`` set: hash the stored weights, and compare with the hash saved with them."""
    found = connection.execute(
        "select true from ml.models where model_version = ? and sha256(weights) is distinct from weights_sha256 "
        "and weights is not null",
        [model_row.model_version],
    ).fetchone()
    return replace(model_row, is_damaged=found is not None)


def all_models(connection: Connection) -> list[ModelRow]:
    """Return every model of ``ml.models``, newest first."""
    rows = connection.execute(f"{MODEL_ROWS} order by {NEWEST_FIRST}").fetchall()
    return [_model_row(row) for row in rows]


def live_model(connection: Connection) -> ModelRow | None:
    """Look for damaged weights, and return the live model, which makes the recommendations; None if there is none."""
    rows = connection.execute(f"{MODEL_ROWS} where status = 'live' order by {NEWEST_FIRST} limit 1").fetchall()
    return with_weights_checked(connection, _model_row(rows[0])) if rows else None


def _model_row(column_values: tuple[Any, ...]) -> ModelRow:
    model_version, family, parameters, *other_values = column_values
    return ModelRow(model_version, family, json.loads(parameters), *other_values)


def load_model(paid_services: PaidServices, model_row: ModelRow) -> Model:
    """Load the weights of a model of ``ml.models`` and return the fitted model.

    Raises
    ------
    NextmartError
        If the weights are gone, differ from those that were saved, or were saved by another version of nextmart.
    """
    weights, weights_sha256 = paid_services.connection.execute(
        "select weights, weights_sha256 from ml.models where model_version = ?", [model_row.model_version]
    ).fetchone() or (None, None)
    if weights is None:
        raise NextmartError(f"the weights of model {model_row.model_version} are gone; run `nextmart train`")
    if hashlib.sha256(weights).hexdigest() != weights_sha256:
        raise NextmartError(f"the weights of model {model_row.model_version} are damaged; {RENEWAL_ADVICE}")
    try:
        return model_from_bytes(model_row.family, model_row.hyperparameters, weights, paid_services)
    except (KeyError, ValueError, RuntimeError, struct.error, SafetensorError) as error:
        raise NextmartError(
            f"model {model_row.model_version} was saved by another version of nextmart ({error}); {RENEWAL_ADVICE}"
        ) from error


def drop_old_weights(connection: Connection, kept_model_count: int, trained_families: Sequence[Family]) -> None:
    """Drop the weights of old models; their rows stay in ``ml.models``.

    The ``kept_model_count`` newest models of each family keep their weights, and so do the live model and the model
    that was live before it. Of the models that have learnt from deleted events, only the live model and the newest of
    each family in ``trained_families``, which will be trained anew, keep theirs.
    """
    connection.execute(
        "update ml.models set weights = null where status <> 'live' and model_version in ("  # noqa: S608
        "select model_version from ml.models where weights is not null "
        f"qualify row_number() over (partition by model order by {NEWEST_FIRST}) "
        "> case when model_version in (select model_version from ml.models_due) "
        "then if(list_contains($families, model), 1, 0) "
        f"when model_version in ({PREVIOUS_LIVE}) then 1e9 else $kept end)",
        {"families": list(trained_families), "kept": kept_model_count},
    )
