"""The files of a feed: which files its paths and globs match, and under which paths messages and tables show them.

The value of an environment variable in a path may be a secret. So messages and tables show a masked path, in which
``${VARIABLE}`` stands in place of the value.
"""

import glob
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from jobs.attached_database_settings import VARIABLE
from jobs.errors import NextmartError, UsageError
from jobs.loading.feed_settings import Feed
from jobs.loading.file_listing import find_paths_inside

_MIN_MASKED_LENGTH = 4
"""Values of environment variables with fewer characters are not masked, because any text may hold them by chance."""


@dataclass(frozen=True)
class FeedFile:
    """A file of a feed.

    Attributes
    ----------
    path : str
        The path under which the file is opened.
    masked_path : str
        The path for messages and tables: ``${VARIABLE}`` stands in place of an environment variable's value.
    matched_folder : str
        The masked path of the folder that one of the feed's paths and globs matches, and that holds the file. It is
        empty if the feed's path or glob matches the file itself.
    """

    path: str
    masked_path: str
    matched_folder: str = ""


def find_feed_files(feed: Feed) -> list[FeedFile]:
    """Return the distinct files that a feed's paths and globs match, in the order of their masked paths.

    Raises
    ------
    UsageError
        If the environment lacks a variable. The message names the feed.
    NextmartError
        If a folder can't be read.
    """
    by_path: dict[str, FeedFile] = {}
    for pattern in feed.file_patterns:
        try:
            for file in _matching_files(feed, pattern):
                by_path.setdefault(str(Path(file.path).absolute()), file)
        except OSError as error:
            raise NextmartError(f"feed {feed.name}: can't look for {pattern}: {error.strerror}") from error
    return sorted(by_path.values(), key=lambda file: natural_sort_key(file.masked_path))


def natural_sort_key(path: str) -> tuple[tuple[str, int], ...]:
    """Return a key that sorts paths with digits as numbers: ``day_2.csv`` comes before ``day_10.csv``."""
    parts = re.split(r"(\d+)", path)
    return tuple(("", int(part)) if position % 2 else (part, 0) for position, part in enumerate(parts))


def is_matched_by_feed(feed: Feed, masked_path: str) -> bool:
    """Tell whether a feed's paths and globs match a file's masked path or its folder; the file need not exist."""
    patterns = [each for pattern in feed.file_patterns for each in _patterns_of_depths(os.path.normpath(pattern))]
    return any(fnmatchcase(masked_path, pattern) or fnmatchcase(masked_path, f"{pattern}/*") for pattern in patterns)


def _patterns_of_depths(pattern: str) -> list[str]:
    """Return a glob, and the same glob without some or all of its ``**/``.

    In globs of files ``**/`` stands for any number of folders, also for none; in fnmatch it stands for one or more.
    """
    before, folders, behind = pattern.partition("**/")
    if not folders:
        return [pattern]
    return [before + each for rest in _patterns_of_depths(behind) for each in (folders + rest, rest)]


def unmasked_path(feed: Feed, masked_path: str) -> str:
    """Return a file's real path: the masked path with the values of environment variables for ``${VARIABLE}``.

    Raises
    ------
    UsageError
        If the environment lacks a variable.
    """
    return _expand_variables(feed.name, masked_path)[0]


def mask_variable_values(feed: Feed, text: str) -> str:
    """Return a text with ``${VARIABLE}`` in place of the values of the feed's environment variables."""
    return _mask_values(text, {name for pattern in feed.file_patterns for name in VARIABLE.findall(pattern)})


def _mask_values(text: str, variables: Iterable[str]) -> str:
    """Return a text with ``${VARIABLE}`` in place of the values of environment variables, longest values first.

    The slash at the end of a value stays in the text, as ``_expand_variables`` leaves it out of paths.
    """
    values = {name: os.environ.get(name, "").rstrip("/") for name in variables}
    for name, value in sorted(values.items(), key=lambda item: (-len(item[1]), item[0])):
        if len(value) >= _MIN_MASKED_LENGTH:
            text = text.replace(value, f"${{{name}}}")
    return text


def _expand_variables(feed_name: str, pattern: str) -> tuple[str, list[tuple[str, str]]]:
    """Put the values of environment variables into a path or glob; also return what masks them again in paths.

    Returns
    -------
    tuple
        The pattern with values; and a list of pairs, longest first: a beginning of that pattern that ends with a value,
        and the same beginning with ``${VARIABLE}`` in place of the values.
    """
    real, prefixes, end = "", [], 0
    for found in VARIABLE.finditer(pattern):
        value = os.environ.get(found[1])
        if not value:
            raise UsageError(
                f'feed {feed_name}: files = "{pattern}": the environment has no variable {found[1]}; set it first, '
                f"as in: export {found[1]}=…"
            )
        real += pattern[end : found.start()]
        end = found.end()
        # a folder's value may end with a slash. Two slashes in a row are left out, because glob writes them as one in
        # some of its paths, and as two in others
        real += value.rstrip("/") if pattern.startswith("/", end) else value
        prefixes.append((real, pattern[:end]))
    return real + pattern[end:], prefixes[::-1]


def _matching_files(feed: Feed, pattern: str) -> Iterator[FeedFile]:
    """Yield the files that a feed's path or glob matches."""
    real, real_and_masked_prefixes = _expand_variables(feed.name, pattern)
    # in the path of a folder that exists, which variables give, the signs of globs, such as [, are plain characters
    folder_of_variable = next((prefix for prefix, _ in real_and_masked_prefixes if Path(prefix).exists()), "")
    real_glob = glob.escape(folder_of_variable) + real.removeprefix(folder_of_variable)
    for match in [real] if Path(real).exists() else glob.iglob(real_glob, recursive=True):  # noqa: PTH207 - keeps prefixes
        folder = os.path.normpath(_masked_path(match, real_and_masked_prefixes)) if Path(match).is_dir() else ""
        for path in find_paths_inside(match) if folder else [match]:
            # a path begins with "./", because shop.csv alone could be a table of an attached database named shop
            openable = path if "/" in path else f"./{path}"
            # find_paths_inside shortens a folder such as "./data", so the folder is put before the rest of the path
            unshortened = os.path.join(match, os.path.relpath(path, match)) if folder else path  # noqa: PTH118 - keeps ./
            yield FeedFile(openable, os.path.normpath(_masked_path(unshortened, real_and_masked_prefixes)), folder)


def _masked_path(path: str, real_and_masked_prefixes: list[tuple[str, str]]) -> str:
    """Return a path with ``${VARIABLE}`` in place of values, by the pairs that ``_expand_variables`` returns."""
    real_prefix, masked_prefix = next((pair for pair in real_and_masked_prefixes if path.startswith(pair[0])), ("", ""))
    rest = path[len(real_prefix) :]
    if real_and_masked_prefixes:
        # a prefix with a * matches no path, so values after a * are replaced wherever they occur in the path's rest
        all_variables = VARIABLE.findall(real_and_masked_prefixes[0][1])
        rest = _mask_values(rest, set(all_variables) - set(VARIABLE.findall(masked_prefix)))
    return masked_prefix + rest
