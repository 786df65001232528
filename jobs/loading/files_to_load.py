"""Finds a feed's files to load: new and changed files, and files that were loaded by earlier settings of the feed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from jobs.loading.feed_files import FeedFile, find_feed_files, is_matched_by_feed, natural_sort_key
from jobs.loading.feed_settings import Feed
from jobs.loading.loaded_files import FileOnDisk, LoadedFile, file_with_size_and_hash, files_loaded_before
from jobs.loading.mapping import APPEND_ONLY_TABLES
from jobs.warehouse.connection import Connection

_PATHS_SHOWN = 3


@dataclass(frozen=True)
class FilesToLoad:
    """The files of a feed that are to be loaded, with notes for the user.

    Attributes
    ----------
    feed : Feed
    files : tuple of FileOnDisk
        The files to load, in the order of their masked paths (values of environment variables in them are hidden).
    rewritten_unchanged_files : tuple of FileOnDisk
        Loaded files that were written again with the same content. They are not loaded; only their time of modification
        is recorded.
    notes : tuple of str
        Notes for the user about files that are left out or loaded again. The notes don't name the feed.
    """

    feed: Feed
    files: tuple[FileOnDisk, ...] = ()
    rewritten_unchanged_files: tuple[FileOnDisk, ...] = ()
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
    files_on_disk = [
        file_with_size_and_hash(file, loaded_files.get(file.masked_path)) for file in find_feed_files(feed)
    ]
    fresh = {each.feed_file.masked_path for each in files_on_disk if _is_new_or_changed(each, loaded_files)}
    definition = json.loads(json.dumps(feed.definition))
    redefined = {
        each.feed_file.masked_path
        for each in files_on_disk
        if each.feed_file.masked_path not in fresh and loaded_files[each.feed_file.masked_path].definition != definition
    }
    notes = []
    if feed.settings.complete:
        listed = [name for name in loaded_files if is_matched_by_feed(feed, name)]
        fresh, redefined, outdated = _leave_out_outdated_catalogues(files_on_disk, listed, fresh, redefined)
        if outdated:
            notes.append(
                "left out because a newer list of the whole catalogue was loaded before: "
                f"{_shortened_list(outdated)}. Lists "
                "are in the order of their names; to load one all the same: nextmart load --items FILE"
            )
    files = tuple(each for each in files_on_disk if each.feed_file.masked_path in fresh | redefined)
    if redefined:
        notes.append(_changed_settings_note(feed, redefined, loaded_files, definition))
    if not files:
        notes.append(_nothing_new_note(feed, files_on_disk, loaded_files))
    rewritten = tuple(
        each
        for each in files_on_disk
        if each not in files
        and each.feed_file.masked_path in loaded_files
        and each.modified_at != loaded_files[each.feed_file.masked_path].modified_at
        and each.sha256 == loaded_files[each.feed_file.masked_path].sha256
    )
    return FilesToLoad(feed, files, rewritten, tuple(notes))


def describe_last_loaded_file(loaded_files: Mapping[str, LoadedFile]) -> str:
    """Return words for messages that say which of a feed's files was loaded last, and when."""
    newest = max(loaded_files.values(), key=lambda file: (file.loaded_at, natural_sort_key(file.masked_path)))
    return f"{newest.masked_path}, loaded {newest.loaded_at:%Y-%m-%d %H:%M} UTC"


def _is_new_or_changed(file_on_disk: FileOnDisk, loaded_files: Mapping[str, LoadedFile]) -> bool:
    """Tell whether a file was not loaded before, or has changed since then."""
    before = loaded_files.get(file_on_disk.feed_file.masked_path)
    return before is None or (file_on_disk.size_bytes, file_on_disk.sha256) != (before.size_bytes, before.sha256)


def _leave_out_outdated_catalogues(
    files_on_disk: list[FileOnDisk],
    loaded_paths: list[str],
    new_or_changed_paths: set[str],
    paths_loaded_by_old_settings: set[str],
) -> tuple[set[str], set[str], list[str]]:
    """Return which files of a feed with ``complete = true`` to load, so that no older catalogue replaces a newer one.

    A catalogue is one file, or all files of one folder; catalogues are ordered by name. A catalogue is loaded as a
    whole if one of its files is new, unless a catalogue with a later name was loaded before. After a change of the
    feed's settings, only the newest catalogue is loaded again.

    Parameters
    ----------
    loaded_paths, new_or_changed_paths, paths_loaded_by_old_settings : collections of str
        Masked paths of files: loaded files that the feed's paths and globs match; files on the disk that are new or
        changed; and other files on the disk, which were loaded by earlier settings of the feed.

    Returns
    -------
    tuple
        Masked paths of files: those to load because their catalogue has new files, those to load again because of the
        changed settings, and new ones that are left out because their catalogue is older than a loaded one.
    """
    folders = {each.feed_file.matched_folder for each in files_on_disk if each.feed_file.matched_folder}
    newest_loaded = max(
        (natural_sort_key(_catalogue_of_loaded_file(path, folders)) for path in loaded_paths), default=()
    )
    by_catalogue: dict[str, set[str]] = {}
    for each in files_on_disk:
        by_catalogue.setdefault(catalogue_name(each.feed_file), set()).add(each.feed_file.masked_path)
    loaded: set[str] = set()
    again: set[str] = set()
    outdated: list[str] = []
    for catalogue, paths in sorted(by_catalogue.items(), key=lambda item: natural_sort_key(item[0])):
        if natural_sort_key(catalogue) < newest_loaded:
            outdated += sorted(paths & new_or_changed_paths, key=natural_sort_key)
        elif paths & new_or_changed_paths:
            loaded |= paths
        elif paths & paths_loaded_by_old_settings:
            again |= paths
    return loaded, set() if loaded else again, outdated


def catalogue_name(file: FeedFile) -> str:
    """Return the name of the catalogue to which a file belongs: the masked path of its folder, or the file's own."""
    return file.matched_folder or file.masked_path


def _catalogue_of_loaded_file(masked_path: str, matched_folders: set[str]) -> str:
    """Return the name of the catalogue that a loaded file belonged to: its folder's masked path, or the file's own."""
    if not matched_folders:
        return masked_path
    return next(
        (folder for folder in matched_folders if masked_path.startswith(f"{folder}/")),
        str(PurePosixPath(masked_path).parent),
    )


def _changed_settings_note(
    feed: Feed,
    paths_loaded_by_old_settings: set[str],
    loaded_files: Mapping[str, LoadedFile],
    current_definition: object,
) -> str:
    """Return a note that files are loaded again, because the feed's settings changed, and that old events stay."""
    now = dict(current_definition) if isinstance(current_definition, Mapping) else {}
    keys = sorted(
        {
            key
            for path in paths_loaded_by_old_settings
            for key in {*now, *loaded_files[path].definition}
            if now.get(key) != loaded_files[path].definition.get(key)
        }
    )
    note = (
        f"[feeds.{feed.name}] has changed ({', '.join(keys)}) since {_file_count_text(paths_loaded_by_old_settings)} "
        f"{'was' if len(paths_loaded_by_old_settings) == 1 else 'were'} loaded, so that "
        f"{'it is' if len(paths_loaded_by_old_settings) == 1 else 'they are'} "
        f"loaded again: {_shortened_list(sorted(paths_loaded_by_old_settings, key=natural_sort_key))}"
    )
    if (kind := feed.settings.kind) in APPEND_ONLY_TABLES:
        note += (
            f". {kind.capitalize()} that the old settings made stay in raw.{kind}; docs/loading.md says how to delete "
            "them (A feed whose settings change)"
        )
    return note


def _nothing_new_note(feed: Feed, files_on_disk: list[FileOnDisk], loaded_files: Mapping[str, LoadedFile]) -> str:
    """Return a note that a feed has no new file; the note names the file that was loaded last."""
    patterns = ", ".join(feed.file_patterns)
    if not loaded_files:
        return f"no file matches {patterns}"
    nothing = "no new file" if files_on_disk else f"no new file, and none matches {patterns}"
    return f"{nothing}; the newest is {describe_last_loaded_file(loaded_files)}"


def _shortened_list(paths: list[str]) -> str:
    more = len(paths) - _PATHS_SHOWN
    return ", ".join(paths[:_PATHS_SHOWN]) + (f" and {more:,} more" if more > 0 else "")


def _file_count_text(paths: set[str]) -> str:
    return f"{len(paths):,} {'file' if len(paths) == 1 else 'files'}"
