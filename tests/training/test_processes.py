"""Several processes under torchrun train as one process does; whatever fails, none of them waits for ever."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import parallel_fits
import pytest
import torch
from tiny_warehouse import TinyWarehouse, items_of, rings

from jobs.cli import night_commands
from jobs.errors import UsageError
from jobs.language_models.paid_services import PaidServices
from jobs.nightly.model_store import load_model, newest_model_by_family
from jobs.settings import Settings
from jobs.training import processes

HERE = Path(__file__).parent


def torchrun(*command, **settings):
    """Run a command in two processes, on the CPU."""
    folders = [str(Path(sys.executable).parent), os.environ["PATH"]]
    # the processes must import this checkout and the helpers of the models' tests, wherever they start
    packages = [str(HERE.parents[1]), str(HERE.parent / "models"), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        "PATH": os.pathsep.join(folders),
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONPATH": os.pathsep.join(packages),
        **settings,
    }
    return subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *command],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def close(found, wanted):
    """Tell whether two models' weights agree up to the rounding errors of some training steps."""
    return found.keys() == wanted.keys() and all(
        np.allclose(found[name], value, rtol=0, atol=1e-6) for name, value in wanted.items()
    )


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parallel")
    done = torchrun(str(HERE / "parallel_fits.py"), str(folder))
    assert done.returncode == 1
    assert (folder / "facts.json").exists(), done.stderr
    return folder, json.loads((folder / "facts.json").read_text()), done.stderr


@pytest.mark.parametrize("family", parallel_fits.FITS)
def test_two_processes_learn_the_weights_of_one_process(ran, family):
    wanted = parallel_fits.weights(parallel_fits.fit(family))
    assert close(np.load(ran[0] / f"{family}.npz"), wanted)


def test_checkpoints_and_early_stops_are_those_of_one_process(ran):
    _, facts, _ = ran
    assert (facts["asked"], facts["best_epoch"]) == (4, 2)
    assert (facts["killed in"], facts["asked after"]) == (2, 3), "the epoch after the kill's checkpoint is the second"
    assert facts["same"], "resumed, it ends with the very weights of an undisturbed fit of as many processes"


def test_a_fit_whose_time_is_up_ends_on_all_ranks_and_the_next_fit_runs(ran):
    _, facts, stderr = ran
    assert (facts["asked in time"], facts["best epoch in time"]) == (3, 2)
    assert stderr.count("training sasrec was stopped after 3 of at most 9 epochs, because its time was up") == 1
    assert facts["asked"] == 4


def test_a_fit_that_fails_on_any_rank_fails_on_all_and_the_next_fit_runs(ran):
    _, facts, stderr = ran
    assert facts["on all ranks"] == "MemoryError: too little of it"
    assert facts["on the worker"] == "NextmartError: another rank failed; its message says why"
    assert "rank 1: MemoryError: too little of it" in stderr


def test_only_rank_0_shows_progress(ran):
    assert ran[2].count("training bert4rec: 3 of 3") == 1


def test_a_rank_out_of_step_ends_all(ran):
    folder, _, stderr = ran
    assert "nextmart: rank 0: MemoryError: no room for a step" in stderr
    assert not (folder / "went-on").exists()


@pytest.fixture
def three_ranks():
    """The process groups of three ranks, without the processes."""

    def process_group(rank):
        group = object.__new__(processes.ProcessGroup)
        group.rank, group.size = rank, 3
        return group

    return [process_group(rank) for rank in range(3)]


def test_shares_hold_each_row_once_and_are_weighted_by_their_targets(three_ranks):
    items = torch.arange(8).view(4, 2)
    targets = torch.tensor([[1, -2], [1, 1], [1, -2], [-2, 1]])
    parts = [group.take_rows_of_rank((items, targets)) for group in three_ranks]
    assert [part[0].tolist() for part, _ in parts] == [[[0, 1], [6, 7]], [[2, 3]], [[4, 5]]]
    assert [weight for _, weight in parts] == [2 / 5, 2 / 5, 1 / 5]


def test_a_rank_without_a_row_takes_part_with_a_row_of_weight_zero(three_ranks):
    parts = [group.take_rows_of_rank((torch.ones(2, 1), torch.ones(2, 1))) for group in three_ranks]
    assert [len(part[0]) for part, _ in parts] == [1, 1, 1]
    assert [weight for _, weight in parts] == [0.5, 0.5, 0]


def test_shared_draws_are_those_of_one_process_and_other_draws_differ_by_rank(three_ranks):
    torch.manual_seed(5)
    wanted = torch.rand(3)
    alike, apart = [], set()
    with torch.random.fork_rng():
        for group in three_ranks:
            group.seed_epoch(5)
            alike.append(torch.equal(torch.rand(3, generator=group.shared_generator), wanted))
            apart.add(float(torch.rand(())))
    assert alike == [True] * 3
    assert len(apart) == 3


def test_the_command_trains_in_parallel(tmp_path):
    settings = {
        "work_folder": str(tmp_path),
        "models": ["popularity", "sasrec"],
        "parameters": {"sasrec": parallel_fits.FITS["sasrec"]},
    }
    together, alone = TinyWarehouse(tmp_path / "shop.duckdb"), TinyWarehouse()
    for warehouse in (together, alone):
        warehouse.fill(rings(60), items_of(rings(60)))
    together.connection.close()
    done = torchrun(
        *("--no-python", "nextmart", "train", "--json", "--warehouse", str(tmp_path / "shop.duckdb")),
        NEXTMART_WORK_FOLDER=settings["work_folder"],
        NEXTMART_MODELS=json.dumps(settings["models"]),
        NEXTMART_PARAMETERS=json.dumps(settings["parameters"]),
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows_out"] == 2, "and no worker says a word"
    alone.run("train", Settings(**settings))
    found, wanted = (
        parallel_fits.weights(
            load_model(PaidServices(each.connection, Settings()), newest_model_by_family(each.connection)["sasrec"])
        )
        for each in (TinyWarehouse(tmp_path / "shop.duckdb"), alone)
    )
    assert close(found, wanted)


GROUP_OF_ONE = """
import os
import torch
from jobs.training.processes import ProcessGroup

group = ProcessGroup()
group.send_message("epoch", {})
weight = torch.nn.Parameter(torch.ones(1))
torch.optim.Adam([weight])  # it imports much of PyTorch
group.end_workers()
names = [open(f"/proc/self/task/{thread}/comm").read().strip() for thread in os.listdir("/proc/self/task")]
print(names.count("pt_gloo_runloop"))
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="only Linux lists the threads of a process")
def test_no_thread_of_the_group_outlives_it():
    place = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    environment = {**os.environ, **place, "PYTHONPATH": str(HERE.parents[1]), "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, "-c", GROUP_OF_ONE], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout == "0\n", done.stderr


@pytest.fixture
def two_gpus(monkeypatch):
    """Pretend that there are two GPUs, and return what the code asks of PyTorch."""
    asked = {}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", lambda place: asked.update(device=place))
    for name in ("get_rank", "get_world_size"):
        monkeypatch.setattr(processes.dist, name, lambda: 1)
    monkeypatch.setattr(
        processes.dist, "init_process_group", lambda backend, timeout: asked.update(backend=backend, timeout=timeout)
    )
    return asked


def test_each_rank_has_a_gpu_of_its_own_and_waits_for_days_on_the_cpu(two_gpus, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    processes.ProcessGroup()
    assert two_gpus["device"] == 1
    assert two_gpus["backend"] == "cpu:gloo,cuda:nccl"
    assert two_gpus["timeout"].days >= 7


def test_more_processes_than_gpus_are_refused(two_gpus, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(UsageError, match="GPUs, 2: --nproc-per-node gpu"):
        processes.ProcessGroup()


@pytest.mark.parametrize("command", [night_commands.run_command, night_commands.demo_command])
def test_what_dbt_orchestrates_is_refused_before_anything_is_touched(tmp_path, monkeypatch, command):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="nextmart train"):
        command()
    assert not list(tmp_path.iterdir())
