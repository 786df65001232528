"""Time one epoch of SASRec and of BERT4Rec, compared with RecTools and RecBole, on Beauty's training sequences.

All packages get the same sequences (the split of arXiv 2309.09261), width, blocks, heads, window, batch size and
masking probability. Each package keeps its own training loop, optimizer and data loader. Each epoch runs in a new
process, and the packages take turns. The printed seconds are the median over the rounds; they leave out the loading of
data and the slow first batches. The printed ratio is the time divided by nextmart's time with the same loss. The
packages differ in what an epoch is, so its number of rows is printed too: RecBole makes a row of every prefix of a
sequence; nextmart's BERT4Rec shows each sequence three times, once with its last item masked. Missing packages are
installed into virtual environments under ``--venvs``, which takes about 2.5 GB. Run: ``python -m benchmarks.peers``.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

import polars as pl

from benchmarks.beauty import reviewer_histories
from jobs.evaluation.splits import paper_split

HERE = Path(__file__).parent
PEERS = {"rectools": ["rectools[torch]==0.19.0"], "recbole": ["recbole==1.2.1", "setuptools<81"]}
PINS = ["torch==2.13.0", "numpy<2", "pandas<3"]
OURS = "nextmart"
# model, loss, and the packages that offer this pair
RUNS = [
    ("sasrec", "sampled", [OURS, "rectools"]),
    ("sasrec", "full", [OURS, "rectools", "recbole"]),
    ("bert4rec", "full", [OURS, "rectools", "recbole"]),
]
SIZES = {
    "width": 128, "blocks": 2, "heads": 2, "window": 20, "batch_size": 128, "negatives": 512, "mask_probability": 0.4,
}  # fmt: skip


def install_packages(environments_folder: Path) -> dict[str, str]:
    """Install the packages that are missing, and return the path of each package's Python interpreter."""
    interpreters = {OURS: sys.executable}
    for name, requirements in PEERS.items():
        folder = environments_folder / name
        interpreters[name] = str(folder / "bin" / "python")
        if not (folder / "installed").exists():
            print(f"installing {name} into {folder}", file=sys.stderr)
            venv.create(folder, with_pip=True)
            pip = [interpreters[name], "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*pip, *PINS, *requirements], check=True)
            (folder / "installed").touch()
    return interpreters


def time_epoch(
    package_name: str,
    interpreter: str,
    model_name: str,
    loss: str,
    events_file: Path,
    command_line_options: argparse.Namespace,
) -> dict:
    """Time one epoch of a package in a new process; return the seconds, batches and rows that the process prints."""
    threads = {variable: str(command_line_options.threads) for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    # RecBole reads its own files with torch.load, which by default refuses them
    environment = {**os.environ, **threads, "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1", "CUDA_VISIBLE_DEVICES": ""}
    if package_name == OURS:
        environment["PYTHONPATH"] = str(HERE.parents[1])
    with tempfile.TemporaryDirectory() as folder:
        script = str(HERE.resolve() / f"{package_name}_epoch.py")
        script_arguments = [model_name, loss, str(events_file), json.dumps(SIZES), str(command_line_options.batches)]
        completed = subprocess.run(
            [interpreter, script, *script_arguments],
            env=environment,
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
    if completed.returncode:
        raise SystemExit(f"{package_name} failed on {model_name}:\n{completed.stderr[-4000:]}")
    return dict(json.loads(completed.stdout.splitlines()[-1]))


def main() -> None:
    """Run the benchmark; print the seconds, ratio and rows of an epoch for each model, loss and package."""
    parser = argparse.ArgumentParser(description=__doc__)
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    parser.add_argument("--venvs", type=Path, default=cache / "nextmart" / "peers", metavar="FOLDER")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sequences", type=int, help="default: all 17,890")
    parser.add_argument("--batches", type=int, default=0, help="time so many and scale up; default: the whole epoch")
    options = parser.parse_args()
    interpreters = install_packages(options.venvs.absolute())
    train = paper_split(reviewer_histories()).train.sort("sequence_id").head(options.sequences or sys.maxsize)
    # an event's time is its position in the sequence, because packages would order equal times differently
    events = train.select(
        pl.int_range(pl.len()).alias("user"), pl.col("items").alias("item"),
        pl.int_ranges(pl.col("items").list.len()).alias("time"),
    ).explode("item", "time")  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.csv"
        events.write_csv(path)
        shown = f"{options.batches} batches, scaled to an epoch" if options.batches else "an epoch"
        print(f"{len(train):,} Beauty sequences, {options.threads} threads, {shown}, median of {options.rounds}")
        print("what, seconds, ratio to nextmart, rows an epoch")
        for model, loss, packages in RUNS:
            rounds: list[dict[str, dict]] = [
                {name: time_epoch(name, interpreters[name], model, loss, path, options) for name in packages}
                for _ in range(options.rounds)
            ]
            seconds = {name: statistics.median(each[name]["seconds"] for each in rounds) for name in packages}
            for name in packages:
                what = f"{model}, {loss} softmax, {name}"
                rows = rounds[0][name]["rows"]
                print(f"{what}, {seconds[name]:.2f}, {seconds[name] / seconds[OURS]:.2f}, {rows:,}", flush=True)


if __name__ == "__main__":
    main()
