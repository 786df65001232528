"""Time one epoch of RecTools' models in its own trainer."""

import warnings

import pandas as pd
from clock import Clock, arguments
from pytorch_lightning import Callback, Trainer
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import BERT4RecModel, SASRecModel

warnings.filterwarnings("ignore")
asked = arguments()
clock = Clock()


class Watching(Callback):
    """A callback that tells the clock when a batch has ended."""

    def on_train_batch_end(self, *_: object) -> None:
        """Record that a batch has ended."""
        clock.tick()


def trainer() -> Trainer:
    """Return RecTools' default trainer for one epoch, with the callback that tells the clock."""
    return Trainer(
        max_epochs=1,
        limit_train_batches=asked.batches or 1.0,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        logger=False,
        devices=1,
        accelerator="cpu",
        callbacks=[Watching()],
    )


sizes = asked.sizes
events = pd.read_csv(asked.events, dtype={"item": str})
events["time"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(events["time"], unit="s")
events["weight"] = 1.0
events = events.rename(
    columns={"user": Columns.User, "item": Columns.Item, "time": Columns.Datetime, "weight": Columns.Weight}
)
common = {
    "n_blocks": sizes["blocks"], "n_heads": sizes["heads"], "n_factors": sizes["width"],
    "session_max_len": sizes["window"], "batch_size": sizes["batch_size"], "get_trainer_func": trainer,
    "loss": "softmax" if asked.loss == "full" else "sampled_softmax", "n_negatives": sizes["negatives"],
}  # fmt: skip
if asked.model == "sasrec":
    model = SASRecModel(**common)
else:
    model = BERT4RecModel(**common, mask_prob=sizes["mask_probability"])
model.fit(Dataset.construct(events))
rows = len(model.data_preparator.get_dataloader_train().dataset)
clock.report(-(-rows // sizes["batch_size"]), rows)
