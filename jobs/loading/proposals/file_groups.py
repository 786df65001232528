"""Groups the files that one feed can load: files of one folder with equal columns. A glob names a group if possible."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from jobs.errors import NextmartError
from jobs.loading.file_listing import PARQUET, TEXT, find_file_paths, find_source_files, known_ending
from jobs.loading.preset_sources import layout_matching_first_line
from jobs.loading.presets.all_presets import PRESETS
from jobs.loading.proposals.common_names import ALL_NAMES
from jobs.loading.relations import column_types
from jobs.loading.sources import LoadSource
from jobs.loading.text_dialects import dialect_of_text, has_no_header, likely_encoding
from jobs.loading.unpacking import read_first_bytes
from jobs.warehouse.connection import Connection, literal


@dataclass(frozen=True)
class FileGroup:
    """A group of files that one feed can load.

    Attributes
    ----------
    file_patterns : tuple of str
        The value of the feed's key ``files``: one path, one glob, or several paths.
    first_path : str
        The path of the group's first file.
    feed_name : str
        The proposed name of the feed: letters, digits, ``_`` and ``-``.
    """

    file_patterns: tuple[str, ...]
    first_path: str
    feed_name: str


def group_files(connection: Connection, paths: Iterable[str]) -> tuple[list[FileGroup], list[str]]:
    """Group the files that paths, folders and globs match.

    Returns
    -------
    tuple
        The groups; and a text for each file that is in no group, which says why.

    Raises
    ------
    NextmartError
        If a path or glob matches no file.
    """
    members: dict[tuple[str, ...], list[str]] = defaultdict(list)
    given_path_of_file: dict[str, str] = {}
    problems = []
    for path in paths:
        known, others = _files_with_and_without_known_ending(connection, path)
        problems += [f"{file}: its ending is not that of a format that nextmart reads" for file in others]
        for file in known:
            try:
                key = _group_key(connection, file)
            except NextmartError as error:
                problems.append(str(error))
                continue
            if file not in members[key]:
                members[key].append(file)
            given_path_of_file.setdefault(file, path)
    groups = []
    names: set[str] = set()
    for files in members.values():
        patterns = _group_patterns(files, {given_path_of_file[file] for file in files})
        groups.append(FileGroup(patterns, files[0], _unused_feed_name(patterns[0], names)))
    return groups, problems


def _files_with_and_without_known_ending(connection: Connection, path: str) -> tuple[list[str], list[str]]:
    """Return two sorted lists of the files that a path matches: those with known endings, and the others."""
    files = find_file_paths(connection, path)
    if not files:
        raise NextmartError(f"No files found for {path}")
    known = [file for file in files if known_ending(file)]
    return known, [file for file in files if file not in known]


def _group_key(connection: Connection, path: str) -> tuple[str, ...]:
    """Return a key that files of one group share: folder, ending, and columns or else the name without numbers."""
    found = find_source_files(connection, LoadSource("events", path))[0]
    columns: Sequence[str] = ()
    if found.file_format == PARQUET:
        columns = tuple(column_types(connection, path, f"read_parquet([{literal(path)}])"))
    elif found.file_format == TEXT:
        beginning = read_first_bytes(path, found.compression)
        beginning = beginning.decode(likely_encoding(beginning) or "utf-8", errors="replace").encode()
        dialect = dialect_of_text(beginning, None, None)
        layouts = [layout for preset in PRESETS.values() for layout in preset.layouts]
        if (
            dialect
            and not has_no_header(dialect, [], ALL_NAMES)
            and not layout_matching_first_line(layouts, dialect.first_line)
        ):
            columns = dialect.column_names
    stem = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9]+", "*", Path(path).name)
    return (str(Path(path).parent), known_ending(path), *(columns or (stem,)))


def _group_patterns(paths: list[str], given_paths: set[str]) -> tuple[str, ...]:
    """Return one glob that matches exactly the given files; the paths of the files if there is no such glob."""
    if len(paths) == 1 and given_paths == set(paths):
        return tuple(paths)
    folder = Path(paths[0]).parent
    inside = {str(path) for path in folder.iterdir() if path.is_file()}
    ending = known_ending(paths[0])
    stem = Path(paths[0]).name
    while not all(Path(path).name.startswith(stem) for path in paths):
        stem = stem[:-1]
    if len(paths) > 1 and not re.search(r"[*?\[\]]", f"{folder}{stem}"):
        # dates and numbers are left out of the glob if possible, so that it matches tomorrow's file too
        for start in dict.fromkeys(("", re.sub(r"[0-9][0-9_.-]*$", "", stem), stem)):
            if {path for path in inside if Path(path).name.startswith(start) and path.endswith(ending)} == set(paths):
                return (str(folder / f"{start}*{ending}"),)
    return tuple(paths)


def _unused_feed_name(pattern: str, used_names: set[str]) -> str:
    """Return an unused name for a feed, made from its path or glob, and add it to ``used_names``."""
    path = Path(pattern)
    stem = path.name.split(".")[0].split("*")[0] or path.parent.name
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", stem).strip("_-") or "feed"
    name, number = plain, 1
    while name in used_names:
        number += 1
        name = f"{plain}_{number}"
    used_names.add(name)
    return name
