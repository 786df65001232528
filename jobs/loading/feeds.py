"""Finds a feed's files to load: new or changed files, and files that were loaded by other settings of the feed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from jobs.loading.feed_files import FeedFile, feed_files, is_matched_by_feed, natural_sort_key
from jobs.loading.feed_settings import Feed
from jobs.loading.loaded_files import LoadedFile, PresentFile, describe_file, files_loaded_before
from jobs.loading.mapping import APPEND_ONLY_TABLES
from jobs.warehouse.connection import Connection

_NAMES_SHOWN = 3


@dataclass(frozen=True)
class FilesToLoad:
    """The files of a feed that are to be loaded, with notes for the user.

    Attributes
    ----------
    feed : Feed
    files : tuple of PresentFile
        The files to load, in the order of their names.
    rewritten_files : tuple of PresentFile
        Loaded files that were written again with the same content; only their time of modification is new.
    notes : tuple of str
        Notes for the user about files that are left out or loaded again, without the feed's name.
    """

    feed: Feed
    files: tuple[PresentFile, ...] = ()
    rewritten_files: tuple[PresentFile, ...] = ()
    notes: tuple[str, ...] = ()


def find_files_to_load(connection: Connection, feed: Feed) -> FilesToLoad:
    """Find the files of a feed that are to be loaded. A feed of an attached table has no files: all its rows are read.

    Raises
    ------
    UsageError
        If the environment lacks a variable of the feed's files.
    NextmartError
        If a file can't be read.
    """
    if feed.attached_table:
        return FilesToLoad(feed)
    loaded_files = files_loaded_before(connection, feed.name)
    present_files = [describe_file(file, loaded_files.get(file.name)) for file in feed_files(feed)]
    fresh = {each.file.name for each in present_files if _is_new_or_changed(each, loaded_files)}
    definition = json.loads(json.dumps(feed.definition))
    redefined = {
        each.file.name
        for each in present_files
        if each.file.name not in fresh and loaded_files[each.file.name].definition != definition
    }
    notes = []
    if feed.settings.complete:
        listed = [name for name in loaded_files if is_matched_by_feed(feed, name)]
        fresh, redefined, outdated = _files_of_newest_catalogues(present_files, listed, fresh, redefined)
        if outdated:
            notes.append(
                "left out because a newer list of the whole catalogue was loaded before: "
                f"{_shortened_list(outdated)}. Lists "
                "are in the order of their names; to load one all the same: nextmart load --items FILE"
            )
    files = tuple(each for each in present_files if each.file.name in fresh | redefined)
    if redefined:
        notes.append(_changed_settings_note(feed, redefined, loaded_files, definition))
    if not files:
        notes.append(_nothing_new_note(feed, present_files, loaded_files))
    rewritten = tuple(
        each
        for each in present_files
        if each not in files
        and each.file.name in loaded_files
        and each.modified_at != loaded_files[each.file.name].modified_at
        and each.sha256 == loaded_files[each.file.name].sha256
    )
    return FilesToLoad(feed, files, rewritten, tuple(notes))


def newest_loaded_file_text(loaded_files: Mapping[str, LoadedFile]) -> str:
    """Return a text that says which of a feed's files was loaded last, and when."""
    newest = max(loaded_files.values(), key=lambda file: (file.loaded_at, natural_sort_key(file.name)))
    return f"{newest.name}, loaded {newest.loaded_at:%Y-%m-%d %H:%M} UTC"


def _is_new_or_changed(present: PresentFile, loaded_files: Mapping[str, LoadedFile]) -> bool:
    """Tell whether a file was not loaded before, or has changed since then."""
    before = loaded_files.get(present.file.name)
    return before is None or (present.size_bytes, present.sha256) != (before.size_bytes, before.sha256)


def _files_of_newest_catalogues(
    present_files: list[PresentFile], loaded_names: list[str], changed_names: set[str], redefined_names: set[str]
) -> tuple[set[str], set[str], list[str]]:
    """Return which files of a complete feed are to be loaded, so that no older catalogue replaces a newer one.

    A catalogue is one file, or all files of one folder; catalogues are ordered by name. A catalogue is loaded as a
    whole if one of its files is new, unless a catalogue with a later name was loaded before. After a change of the
    feed's settings, only the newest catalogue is loaded again.

    Parameters
    ----------
    loaded_names : list of str
        The names of loaded files that the feed's paths and globs match.

    Returns
    -------
    tuple
        Names of files: those to load because they are new, those to load again, and new ones that are left out.
    """
    folders = {each.file.folder for each in present_files if each.file.folder}
    newest_loaded = max(
        (natural_sort_key(_catalogue_of_loaded_file(name, folders)) for name in loaded_names), default=()
    )
    by_catalogue: dict[str, set[str]] = {}
    for each in present_files:
        by_catalogue.setdefault(catalogue_name(each.file), set()).add(each.file.name)
    loaded: set[str] = set()
    again: set[str] = set()
    outdated: list[str] = []
    for catalogue, names in sorted(by_catalogue.items(), key=lambda item: natural_sort_key(item[0])):
        if natural_sort_key(catalogue) < newest_loaded:
            outdated += sorted(names & changed_names, key=natural_sort_key)
        elif names & changed_names:
            loaded |= names
        elif names & redefined_names:
            again |= names
    return loaded, set() if loaded else again, outdated


def catalogue_name(file: FeedFile) -> str:
    """Return the name of a file's catalogue in a complete feed: its folder's name, or the file's own."""
    return file.folder or file.name


def _catalogue_of_loaded_file(name: str, folders: set[str]) -> str:
    """Return the name of the catalogue that a loaded file belonged to: its folder's name, or the file's own."""
    if not folders:
        return name
    return next((folder for folder in folders if name.startswith(f"{folder}/")), str(PurePosixPath(name).parent))


def _changed_settings_note(
    feed: Feed, redefined_names: set[str], loaded_files: Mapping[str, LoadedFile], definition: object
) -> str:
    """Return a note that says why files are loaded again, and that events of the old settings stay."""
    now = dict(definition) if isinstance(definition, Mapping) else {}
    keys = sorted(
        {
            key
            for name in redefined_names
            for key in {*now, *loaded_files[name].definition}
            if now.get(key) != loaded_files[name].definition.get(key)
        }
    )
    note = (
        f"[feeds.{feed.name}] has changed ({', '.join(keys)}) since {_count_text(redefined_names, 'file')} "
        f"{'was' if len(redefined_names) == 1 else 'were'} loaded, so that "
        f"{'it is' if len(redefined_names) == 1 else 'they are'} "
        f"loaded again: {_shortened_list(sorted(redefined_names, key=natural_sort_key))}"
    )
    if (kind := feed.settings.kind) in APPEND_ONLY_TABLES:
        note += (
            f". {kind.capitalize()} that the old settings made stay in raw.{kind}; docs/loading.md says how to delete "
            "them (A feed whose settings change)"
        )
    return note


def _nothing_new_note(feed: Feed, present_files: list[PresentFile], loaded_files: Mapping[str, LoadedFile]) -> str:
    """Return a note that a feed has no new file, with the name of the file that was loaded last."""
    patterns = ", ".join(feed.file_patterns)
    if not loaded_files:
        return f"no file matches {patterns}"
    nothing = "no new file" if present_files else f"no new file, and none matches {patterns}"
    return f"{nothing}; the newest is {newest_loaded_file_text(loaded_files)}"


def _shortened_list(names: list[str]) -> str:
    more = len(names) - _NAMES_SHOWN
    return ", ".join(names[:_NAMES_SHOWN]) + (f" and {more:,} more" if more > 0 else "")


def _count_text(names: set[str], noun: str) -> str:
    return f"{len(names):,} {noun}{'' if len(names) == 1 else 's'}"
