"""Time one epoch of nextmart's models in its own training loop."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import polars as pl
from clock import BatchClock, parse_arguments

from benchmarks.beauty import as_sequences_and_catalogue
from jobs.core.cases import Cases
from jobs.core.sequences import Sequences
from jobs.models.base import FitOptions
from jobs.models.sequential.bert4rec import BERT4Rec
from jobs.models.sequential.sasrec import SASRec

FAMILIES = {"sasrec": SASRec, "bert4rec": BERT4Rec}

options = parse_arguments()
clock = BatchClock()
epoch_counts = {}


class ClockedModel(FAMILIES[options.model]):  # type: ignore[misc]
    """A model of nextmart that tells the clock when a training batch has ended."""

    def _batches_of_one_pass(self, sequences: Sequences, generator: np.random.Generator) -> Iterator[Any]:
        batches = list(super()._batches_of_one_pass(sequences, generator))
        epoch_counts.update(batches=len(batches), rows=sum(len(items) for items, _ in batches))
        for batch in islice(super()._batches_of_one_pass(sequences, generator), options.batches or None):
            yield batch
            clock.note_batch_end()


parameters = {name: options.sizes[name] for name in ("width", "blocks", "heads", "window", "batch_size")}
if options.model == "sasrec":
    parameters["negatives"] = 0 if options.loss == "full" else options.sizes["negatives"]
    parameters["temperature"] = 0.0  # the peers score by inner products
else:
    parameters["mask_probability"] = options.sizes["mask_probability"]
events = pl.read_csv(options.events, schema_overrides={"item": pl.String})
lists = events.group_by("user", maintain_order=True).agg("item")["item"]
sequences, catalog = as_sequences_and_catalogue(lists)
no_cases = Cases(Sequences.from_lists([]), np.zeros(0, np.int64))
ClockedModel({**parameters, "epochs": 1}).fit(sequences, no_cases, catalog, FitOptions())
clock.print_epoch_seconds(epoch_counts["batches"], epoch_counts["rows"])
