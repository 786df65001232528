"""Time one epoch of RecTools' models in its own trainer."""

import warnings

import pandas as pd
from clock import BatchClock, parse_arguments
from pytorch_lightning import Callback, Trainer
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import BERT4RecModel, SASRecModel

warnings.filterwarnings("ignore")
options = parse_arguments()
clock = BatchClock()


class ClockCallback(Callback):
    """A callback that tells the clock when a batch has ended."""

    def on_train_batch_end(self, *_: object) -> None:
        """Tell the clock that a batch has ended; PyTorch Lightning calls this."""
        clock.note_batch_end()


def make_trainer() -> Trainer:
    """Return RecTools' default trainer for one epoch, with the callback that tells the clock."""
    return Trainer(
        max_epochs=1,
        limit_train_batches=options.batches or 1.0,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        logger=False,
        devices=1,
        accelerator="cpu",
        callbacks=[ClockCallback()],
    )


sizes = options.sizes
events = pd.read_csv(options.events, dtype={"item": str})
events["time"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(events["time"], unit="s")
events["weight"] = 1.0
events = events.rename(
    columns={"user": Columns.User, "item": Columns.Item, "time": Columns.Datetime, "weight": Columns.Weight}
)
common = {
    "n_blocks": sizes["blocks"], "n_heads": sizes["heads"], "n_factors": sizes["width"],
    "session_max_len": sizes["window"], "batch_size": sizes["batch_size"], "get_trainer_func": make_trainer,
    "loss": "softmax" if options.loss == "full" else "sampled_softmax", "n_negatives": sizes["negatives"],
}  # fmt: skip
if options.model == "sasrec":
    model = SASRecModel(**common)
else:
    model = BERT4RecModel(**common, mask_prob=sizes["mask_probability"])
model.fit(Dataset.construct(events))
rows = len(model.data_preparator.get_dataloader_train().dataset)
clock.print_epoch_seconds(-(-rows // sizes["batch_size"]), rows)
