"""Fitted models in ``ml.models``: safetensors bytes with their SHA-256, nothing pickled."""

import hashlib
import json
import struct
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from safetensors.numpy import load, save

from jobs.core.arrays import State
from jobs.core.catalog import Catalog
from jobs.errors import NextmartError, UsageError
from jobs.language_models.services import Services
from jobs.models.base import Model
from jobs.models.registry import make
from jobs.warehouse.connection import Connection

SCHEMA_VERSION = 4  # of the weights and the recipe; a change makes every stored model due for training

RENEW = "run `nextmart run`, or `nextmart train` and then `nextmart evaluate`"  # where a model can recommend no more

ROWS = """
    select model_version, model, parameters, fingerprint, data_cutoff_at, embedding_model, finished_at, status,
        weights is not null as has_weights, schema_version
    from ml.models
"""

PREVIOUS = """
    -- the model that was live before the one that is: what a rollback goes to
    select model_version from ml.champions
    where is_live and model_version not in (select model_version from ml.models where status = 'live')
    order by changed_at desc
    limit 1
"""


@dataclass(frozen=True)
class ModelRow:
    """A row of ``ml.models`` without its weights."""

    model_version: str
    model: str
    parameters: dict[str, Any]
    fingerprint: str
    data_cutoff_at: datetime | None
    embedding_model: str | None
    finished_at: datetime
    status: str
    has_weights: bool
    schema_version: int | None


def pack(model: Model, trained_on: Catalog) -> bytes:
    """Return a model's state and the item_ids that its indices stand for, as safetensors bytes."""
    encoded = [item_id.encode() for item_id in trained_on.item_ids]
    ids: State = {
        "item_ids.bytes": np.frombuffer(b"".join(encoded), np.uint8),
        "item_ids.lengths": np.array([len(item_id) for item_id in encoded], np.int32),
    }
    return save({name: np.ascontiguousarray(value) for name, value in {**model.state(), **ids}.items()})


def unpack(family: str, parameters: dict[str, Any], weights: bytes, services: Services | None = None) -> Model:
    """Return the fitted model that :func:`pack` made bytes of.

    Raises
    ------
    ValueError, KeyError, RuntimeError
        If the family, its parameters or its weights are none of this version's.
    """
    state = load(weights)
    text = state.pop("item_ids.bytes").tobytes()
    ends = state.pop("item_ids.lengths").cumsum()
    starts = [0, *ends[:-1]]
    item_ids = np.array([text[start:end].decode() for start, end in zip(starts, ends, strict=False)], np.object_)
    try:
        model = make(family, parameters, services)
    except UsageError as error:  # of no setting: these parameters were stored
        raise ValueError(str(error)) from error
    count = len(item_ids)
    model.restore(state, Catalog(item_ids, np.zeros((count, 1), np.float32), np.ones(count, np.bool_)))
    return model


def latest(connection: Connection) -> dict[str, ModelRow]:
    """Return each family's newest model."""
    rows = connection.execute(
        f"{ROWS} qualify row_number() over (partition by model order by finished_at desc, model_version desc) = 1"
    ).fetchall()
    return {row[1]: _row(row) for row in rows}


def stored(connection: Connection) -> list[ModelRow]:
    """Return every model, newest first."""
    rows = connection.execute(f"{ROWS} order by finished_at desc, model_version desc").fetchall()
    return [_row(row) for row in rows]


def live(connection: Connection) -> ModelRow | None:
    """Return the model that recommends now, if there is one."""
    rows = connection.execute(f"{ROWS} where status = 'live' order by finished_at desc limit 1").fetchall()
    return _row(rows[0]) if rows else None


def _row(values: tuple[Any, ...]) -> ModelRow:
    model_version, family, parameters, *others = values
    return ModelRow(model_version, family, json.loads(parameters), *others)


def load_model(services: Services, row: ModelRow) -> Model:
    """Load a model's weights.

    Raises
    ------
    NextmartError
        If the weights are gone, are not the ones that were saved, or are of another version of nextmart.
    """
    found = services.connection.execute(
        "select weights, weights_sha256 from ml.models where model_version = ?", [row.model_version]
    ).fetchone()
    if found is None or found[0] is None:
        raise NextmartError(f"the weights of model {row.model_version} are gone; run `nextmart train`")
    if hashlib.sha256(found[0]).hexdigest() != found[1]:
        raise NextmartError(f"the weights of model {row.model_version} are damaged; run `nextmart train`")
    try:
        return unpack(row.model, row.parameters, found[0], services)
    except (KeyError, ValueError, RuntimeError, struct.error) as error:
        raise NextmartError(
            f"model {row.model_version} was saved by another version of nextmart ({error}); {RENEW}"
        ) from error


def drop_old_weights(connection: Connection, kept: int) -> None:
    """Drop the weights (not the row) of all but each family's newest versions, the live model and the one before it.

    Of older versions that have learnt from deleted events, nothing is kept but the live one, pinned or not.
    """
    connection.execute(
        "update ml.models set weights = null where status <> 'live' and model_version in ("  # noqa: S608
        "select model_version from ml.models where weights is not null "
        "qualify row_number() over (partition by model order by finished_at desc, model_version desc) "
        "> case when model_version in (select model_version from ml.models_due) then 1 "
        f"when model_version in ({PREVIOUS}) then 1e9 else ? end)",
        [kept],
    )
