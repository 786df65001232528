"""The published file's owner, group and mode, and its protection against writers."""

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from jobs.errors import NextmartError
from jobs.files import lock_against_writers, unfinished_path

DEFAULT_MODE: Final = 0o444
"""The mode of a published file that replaces no earlier file."""


@dataclass(frozen=True)
class OwnerAndMode:
    """The owner, group and permissions of a published file.

    Attributes
    ----------
    mode : int
        The file's permission bits.
    owner_setting : str, optional
        The setting ``published_owner``: ``user``, ``user:group`` or ``:group``.
    replaced_file_uid, replaced_file_gid : int, optional
        Numeric user and group ids of the file that is replaced; they are kept if ``owner_setting`` is None.
    """

    mode: int
    owner_setting: str | None = None
    replaced_file_uid: int | None = None
    replaced_file_gid: int | None = None


def next_owner_and_mode(
    published_file: Path, mode_setting: str | None = None, owner_setting: str | None = None
) -> OwnerAndMode:
    """Return the owner and mode of the next published file: those of the settings, or else those of the present file.

    Parameters
    ----------
    mode_setting : str, optional
        The setting ``published_mode``: octal digits.
    owner_setting : str, optional
        The setting ``published_owner``.
    """
    if not published_file.exists():
        return OwnerAndMode(int(mode_setting, 8) if mode_setting else DEFAULT_MODE, owner_setting)
    present = published_file.stat()
    mode = int(mode_setting, 8) if mode_setting else stat.S_IMODE(present.st_mode)
    return OwnerAndMode(mode, owner_setting, present.st_uid, present.st_gid)


def set_owner_and_mode(file: Path, owner_and_mode: OwnerAndMode) -> None:
    """Set the owner, group and mode of a file; do nothing on Windows, which has none of them.

    A process without root's rights can't give a file to another user; then the file belongs to the process's user.

    Raises
    ------
    NextmartError
        If the owner of the setting is unknown, or this process may not give the file to that owner. Or if the group of
        the replaced file can't be kept, although the mode gives the group other rights than everybody.
    """
    if os.name != "posix":
        return
    if owner_and_mode.owner_setting:
        _give_to_owner(file, owner_and_mode.owner_setting)
    else:
        _keep_owner_of_replaced_file(file, owner_and_mode)
    file.chmod(owner_and_mode.mode)


def _give_to_owner(file: Path, owner_setting: str) -> None:
    user, _, group = owner_setting.partition(":")
    try:
        if user:
            shutil.chown(file, user)
        if group:
            shutil.chown(file, group=group)
    except LookupError as error:
        raise NextmartError(f"setting published_owner '{owner_setting}': {error}; nothing was published") from error
    except PermissionError as error:
        raise NextmartError(
            f"setting published_owner '{owner_setting}': this process may not give the file away (only root may give "
            "a file to another user, and a user only to groups of the user's own); nothing was published"
        ) from error


def _keep_owner_of_replaced_file(file: Path, owner_and_mode: OwnerAndMode) -> None:
    own = file.stat()
    if owner_and_mode.replaced_file_gid is not None and owner_and_mode.replaced_file_gid != own.st_gid:
        try:
            os.chown(file, -1, owner_and_mode.replaced_file_gid)
        except PermissionError as error:
            if (owner_and_mode.mode >> 3) & 0o7 != owner_and_mode.mode & 0o7:
                raise NextmartError(
                    f"the published file's group, number {owner_and_mode.replaced_file_gid}, can't be kept, because "
                    "this process doesn't belong to it; nothing was published. Let a member of the group "
                    "publish, or name another group in the setting published_owner, such as ':shop'."
                ) from error
    if owner_and_mode.replaced_file_uid is not None and owner_and_mode.replaced_file_uid != own.st_uid:
        with suppress(PermissionError):
            os.chown(file, owner_and_mode.replaced_file_uid, -1)


@contextmanager
def creating_private_files() -> Iterator[None]:
    """Make files that the ``with`` block creates readable by this process's user alone."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def without_write_ahead_log(database_file: Path) -> Iterator[None]:
    """Make sure that no write-ahead log lies beside a published file, because readers would read the log too.

    A log that is there is deleted, because a published file is complete without one. If another process has opened the
    file to write to it, that process could make a new log later. So a symbolic link into a folder that doesn't exist
    takes the log's path: readers find no log, and the writing process can't commit. The link stays, because nobody can
    tell when that process ends. While the ``with`` block runs, no other process can open the file to write to it.
    """
    log = database_file.with_name(database_file.name + ".wal")
    nowhere = Path(f".{database_file.name}.is-read-only/wal")
    if os.name != "posix" or not database_file.exists():
        log.unlink(missing_ok=True)
        yield
        return
    with database_file.open("rb") as file:
        has_writer = not lock_against_writers(file)
        if has_writer and not (log.is_symlink() and log.readlink() == nowhere):
            link = unfinished_path(database_file).with_name(unfinished_path(database_file).name + ".wal")
            link.unlink(missing_ok=True)
            link.symlink_to(nowhere)
            link.replace(log)
        elif log.exists():  # exists() is false for a symbolic link to a path that doesn't exist
            log.unlink()
        yield


def require_cleanly_closed(database_file: Path) -> None:
    """Raise NextmartError if a database was not closed cleanly."""
    if database_file.with_name(database_file.name + ".wal").exists():
        raise NextmartError(f"{database_file} was not closed cleanly: a write-ahead log is left")
