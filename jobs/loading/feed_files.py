"""The files of a feed: which files its paths and globs mean, and how messages and tables name them.

A name has ``${VARIABLE}`` where a path has the value of an environment variable, which may be a secret.
"""

import glob
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from jobs.attachments import VARIABLE
from jobs.errors import NextmartError, UsageError
from jobs.loading.feed_settings import Feed
from jobs.loading.file_listing import files_inside

_SECRET_LENGTH = 4
"""The fewest characters of an environment variable's value that is replaced in texts; a shorter one is in any text."""


@dataclass(frozen=True)
class FeedFile:
    """A file of a feed.

    Attributes
    ----------
    path : str
        The path under which the file is opened.
    name : str
        The path for messages and tables: ``${VARIABLE}`` stands in place of an environment variable's value.
    folder : str
        The name of the folder that holds the file, if the feed's paths and globs mean folders; else an empty text.
    """

    path: str
    name: str
    folder: str = ""


def feed_files(feed: Feed) -> list[FeedFile]:
    """Return the distinct files that a feed's paths and globs match, in the order of their names.

    Raises
    ------
    UsageError
        If the environment lacks a variable. The message names the feed.
    NextmartError
        If the files can't be looked for.
    """
    by_path: dict[str, FeedFile] = {}
    for pattern in feed.file_patterns:
        try:
            for file in _matching_files(feed, pattern):
                by_path.setdefault(str(Path(file.path).absolute()), file)
        except OSError as error:
            raise NextmartError(f"feed {feed.name}: can't look for {pattern}: {error.strerror}") from error
    return sorted(by_path.values(), key=lambda file: natural_sort_key(file.name))


def natural_sort_key(file_name: str) -> tuple[tuple[str, int], ...]:
    """Return a sort key of file names that sorts digits as numbers: ``day_2.csv`` comes before ``day_10.csv``."""
    parts = re.split(r"(\d+)", file_name)
    return tuple(("", int(part)) if position % 2 else (part, 0) for position, part in enumerate(parts))


def is_matched_by_feed(feed: Feed, masked_path: str) -> bool:
    """Tell whether a feed's paths and globs match a file name, or the name of its folder; the file need not exist."""
    patterns = [os.path.normpath(pattern) for pattern in feed.file_patterns]
    return any(fnmatchcase(masked_path, pattern) or fnmatchcase(masked_path, f"{pattern}/*") for pattern in patterns)


def path_with_values(feed: Feed, masked_path: str) -> str:
    """Return a file's path: its name with the values of environment variables in place of ``${VARIABLE}``.

    Raises
    ------
    UsageError
        If the environment lacks a variable.
    """
    return _expand_variables(feed.name, masked_path)[0]


def mask_variable_values(feed: Feed, text: str) -> str:
    """Replace the values of the feed's environment variables in a text by their names, as in ``${VARIABLE}``."""
    names = {name for pattern in feed.file_patterns for name in VARIABLE.findall(pattern)}
    values = {name: os.environ.get(name, "") for name in names}
    for name, value in sorted(values.items(), key=lambda item: -len(item[1])):
        if len(value) >= _SECRET_LENGTH:
            text = text.replace(value, f"${{{name}}}")
    return text


def _expand_variables(feed_name: str, pattern: str) -> tuple[str, list[tuple[str, str]]]:
    """Put the values of environment variables into a pattern; return it, and how to undo it in paths that it matches.

    Returns
    -------
    tuple
        The pattern with values; and pairs of a beginning of that pattern and the same beginning with variables' names,
        the longest first.
    """
    real, prefixes, end = "", [], 0
    for found in VARIABLE.finditer(pattern):
        value = os.environ.get(found[1])
        if not value:
            raise UsageError(
                f'feed {feed_name}: files = "{pattern}": the environment has no variable {found[1]}; set it first, '
                f"as in: export {found[1]}=…"
            )
        real += pattern[end : found.start()] + value
        end = found.end()
        prefixes.append((real, pattern[:end]))
    return real + pattern[end:], prefixes[::-1]


def _matching_files(feed: Feed, pattern: str) -> Iterator[FeedFile]:
    """Yield the files that a feed's path or glob matches."""
    real, prefixes = _expand_variables(feed.name, pattern)
    for match in [real] if Path(real).exists() else glob.iglob(real, recursive=True):  # noqa: PTH207 - keeps prefixes
        folder = os.path.normpath(_masked_path(match, prefixes)) if Path(match).is_dir() else ""
        for path in files_inside(match) if folder else [match]:
            # "./", because shop.csv alone could mean a table of an attached database shop
            openable = path if "/" in path else f"./{path}"
            yield FeedFile(openable, os.path.normpath(_masked_path(path, prefixes)), folder)


def _masked_path(path: str, masked_prefixes: list[tuple[str, str]]) -> str:
    """Return a path with names of environment variables, as in ``${VARIABLE}``, in place of their values."""
    beginning, name = next((pair for pair in masked_prefixes if path.startswith(pair[0])), ("", ""))
    rest = path[len(beginning) :]
    if (
        masked_prefixes
    ):  # variables behind a glob: their values are replaced wherever they occur in the rest of the path
        for variable in set(VARIABLE.findall(masked_prefixes[0][1])) - set(VARIABLE.findall(name)):
            if len(os.environ[variable]) >= _SECRET_LENGTH:
                rest = rest.replace(os.environ[variable], f"${{{variable}}}")
    return name + rest
