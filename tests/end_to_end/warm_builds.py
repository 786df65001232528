"""What a warm process builds in advance, and what its builds leave for the next ones.

dbt compiles Python code for each class of its manifest, and Jinja templates for hundreds of macros and models. A fork
of a process that has built the project once has all of it. A parse, and the manifest that dbt writes of it, serve other
folders too; dbt reads the parse and checks whether it fits, and parses the project anew if it doesn't.
"""

import gc
import hashlib
import json
import marshal
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import dbt.parser.manifest
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.adapters.factory import reset_adapters
from dbt.cli.main import dbtRunner
from quick_dbt import compiled_templates

from jobs.files import project_folder
from jobs.warehouse.connection import connect, prepare_warehouse

PARSE, MANIFEST = "partial_parse.msgpack", "manifest.json"

# of the process that imports this module first; forks leave by os._exit, so that only this process removes the folder.
# The processes of one test session have one folder, which stays among the session's other files.
_own = None if "WARM_BUILDS" in os.environ else TemporaryDirectory(prefix="warm-builds-")
_folder = Path(_own.name if _own else os.environ["WARM_BUILDS"])


def build_in_advance() -> None:
    """Build an empty warehouse in this process, and keep nothing of it but what dbt has compiled.

    Raises
    ------
    AssertionError
        If dbt fails.
    """
    with TemporaryDirectory(prefix="warm-build-") as name:
        folder = Path(name)
        with connect(folder / "warehouse.duckdb") as connection:
            prepare_warehouse(connection)
        variables = {"NEXTMART_WAREHOUSE": str(folder / "warehouse.duckdb"), "DO_NOT_TRACK": "1"}
        with (folder / "said").open("w") as said, redirect_stdout(said), patch.dict(os.environ, variables):
            build_in_this_process(folder, {})
    gc.collect()


def build_in_this_process(folder: Path, dbt_vars: dict[str, Any]) -> None:
    """Build the warehouse that the environment names, without the jobs, and leave no file open.

    The jobs stay out, because polars, with which they read tables, has threads that a fork lacks. dbt's parser in Rust
    starts threads too, so a fork parses the project, and this process reads what the fork has parsed.

    Raises
    ------
    AssertionError
        If dbt fails; the message is what the file ``said`` of the folder holds.
    """
    if (pid := os.fork()) == 0:
        os._exit(0 if _dbt("parse", folder, dbt_vars) else 1)
    assert os.waitpid(pid, 0)[1] == 0, f"dbt parse failed: {(folder / 'said').read_text()}"
    try:
        assert _dbt("build", folder, dbt_vars), f"dbt build failed: {(folder / 'said').read_text()}"
    finally:
        DuckDBConnectionManager.close_all_connections()
        reset_adapters()


def _dbt(command: str, folder: Path, dbt_vars: dict[str, Any]) -> bool:
    project = str(project_folder("dbt_project"))
    build_only = ["--exclude-resource-type", "unit_test", "--exclude", "path:models/jobs"]
    arguments = [
        "--log-format", "json", "--no-use-colors", "--no-use-colors-file", "--log-level-file", "none",
        command, "--project-dir", project, "--profiles-dir", project, "--target-path", str(folder / "target"),
        "--log-path", str(folder / "logs"), "--vars", json.dumps(dbt_vars),
        *(build_only if command == "build" else []),
    ]  # fmt: skip
    with shared_between_builds(arguments):
        return bool(dbtRunner().invoke(arguments).success)


@contextmanager
def shared_between_builds(arguments: list[str]) -> Iterator[None]:
    """Know what earlier builds of dbt left, and leave what the build with these arguments makes for later ones."""
    options = dict(pairwise(arguments))
    templates = _folder / "templates"
    target = Path(options["--target-path"])
    of_vars = _folder / hashlib.sha256(options["--vars"].encode()).hexdigest()
    if templates.exists():
        compiled_templates.update(marshal.loads(templates.read_bytes()))
    known = len(compiled_templates)
    parsed = of_vars / PARSE
    if parsed.exists():
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(parsed, target)
    try:
        with patch.object(dbt.parser.manifest, "write_manifest", _write_manifest_once(of_vars / MANIFEST)):
            yield
    finally:
        if len(compiled_templates) > known:
            _put(marshal.dumps(compiled_templates), templates)
        if (target / PARSE).exists() and not parsed.exists():
            _put((target / PARSE).read_bytes(), parsed)


_write_manifest = dbt.parser.manifest.write_manifest


def _write_manifest_once(kept: Path) -> Any:
    def write(manifest: Any, target_path: str, which: str | None = None) -> None:
        written = Path(target_path) / MANIFEST
        if kept.exists():
            shutil.copy(kept, written)
        else:
            _write_manifest(manifest, target_path, which)
            _put(written.read_bytes(), kept)

    return write


def _put(content: bytes, path: Path) -> None:
    """Write a file that other processes may read meanwhile."""
    path.parent.mkdir(exist_ok=True)
    unfinished = _folder / str(os.getpid())
    unfinished.write_bytes(content)
    unfinished.replace(path)
