"""What the builds of one warm process leave for the next ones: compiled Jinja templates, and parses of the dbt project.

dbt compiles hundreds of macros and models in each night. The code of a template depends on its text alone. A parse
serves other folders too; dbt reads it and checks whether it fits, and parses the project anew if it doesn't.
"""

import hashlib
import marshal
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

from quick_dbt import compiled_templates

PARSE = "partial_parse.msgpack"

# of the process that imports this module first; forks leave by os._exit, so that only this process removes the folder
_folder = TemporaryDirectory(prefix="warm-builds-")


@contextmanager
def shared_between_builds(arguments: list[str]) -> Iterator[None]:
    """Know what earlier builds of dbt left, and leave what the build with these arguments makes for later ones."""
    options = dict(pairwise(arguments))
    templates = Path(_folder.name) / "templates"
    of_folder = Path(options["--target-path"]) / PARSE
    of_vars = Path(_folder.name) / hashlib.sha256(options["--vars"].encode()).hexdigest()
    if templates.exists():
        compiled_templates.update(marshal.loads(templates.read_bytes()))
    known = len(compiled_templates)
    if of_vars.exists():
        of_folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(of_vars, of_folder)
    try:
        yield
    finally:
        unfinished = Path(_folder.name) / str(os.getpid())
        if len(compiled_templates) > known:
            unfinished.write_bytes(marshal.dumps(compiled_templates))
            unfinished.replace(templates)
        if of_folder.exists() and not of_vars.exists():
            shutil.copy(of_folder, unfinished)
            unfinished.replace(of_vars)
