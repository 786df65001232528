"""Time one epoch of RecBole's models in its own trainer, on events in RecBole's file format."""

import logging
import tempfile
from itertools import islice
from pathlib import Path

import pandas as pd
from clock import BatchClock, parse_arguments
from recbole.config import Config
from recbole.data import create_dataset
from recbole.data.utils import create_samplers, get_dataloader
from recbole.utils import get_model, get_trainer, init_seed

options = parse_arguments()
clock = BatchClock()
sizes = options.sizes


def yield_and_clock_batches(batches):
    """Yield the batches, and tell the clock when each has ended."""
    for batch in islice(batches, options.batches or None):
        yield batch
        clock.note_batch_end()


with tempfile.TemporaryDirectory() as folder:
    (Path(folder) / "beauty").mkdir()
    events = pd.read_csv(options.events, dtype={"item": str})
    events.columns = ["user_id:token", "item_id:token", "timestamp:float"]
    events.to_csv(Path(folder) / "beauty" / "beauty.inter", sep="\t", index=False)
    name = {"sasrec": "SASRec", "bert4rec": "BERT4Rec"}[options.model]
    config = Config(
        model=name,
        dataset="beauty",
        config_dict={
            "data_path": folder, "checkpoint_dir": folder, "use_gpu": False, "show_progress": False,
            "USER_ID_FIELD": "user_id", "ITEM_ID_FIELD": "item_id", "TIME_FIELD": "timestamp",
            "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
            "MAX_ITEM_LIST_LENGTH": sizes["window"], "hidden_size": sizes["width"], "inner_size": 4 * sizes["width"],
            "n_layers": sizes["blocks"], "n_heads": sizes["heads"], "train_batch_size": sizes["batch_size"],
            "mask_ratio": sizes["mask_probability"], "loss_type": "CE", "train_neg_sample_args": None,
            "eval_args": {"split": {"RS": [1, 0, 0]}, "order": "TO", "group_by": "user", "mode": "full"},
        },
    )  # fmt: skip
    logging.disable(logging.INFO)
    init_seed(config["seed"], config["reproducibility"])
    dataset = create_dataset(config)
    parts = dataset.build()
    sampler, *_ = create_samplers(config, dataset, parts)
    batches = get_dataloader(config, "train")(config, parts[0], sampler, shuffle=True)
    model = get_model(name)(config, batches.dataset)
    trainer = get_trainer(config["MODEL_TYPE"], name)(config, model)
    trainer._train_epoch(yield_and_clock_batches(batches), 0)
clock.print_epoch_seconds(len(batches), len(parts[0]))
