"""Explains errors of the operating system to the user: one line with the file, the reason and what to do."""

import errno

NAME_LENGTH_SHOWN = 120
"""The longest file name, in characters, that a message shows in full."""

_REASONS = {
    errno.ENAMETOOLONG: "the name is too long: choose a shorter one",
    errno.EISDIR: "is a folder: name a file",
    errno.ENOTDIR: "a part of this path is a file, no folder",
    errno.EEXIST: "exists already, and is of another kind: a file where a folder has to be, or the other way round",
    errno.ENOENT: "doesn't exist",
    errno.EACCES: "no permission: let the user that runs nextmart read and write there",
    errno.EPERM: "no permission: let the user that runs nextmart read and write there",
    errno.EROFS: "lies on a read-only disk: choose another folder",
    errno.ENOSPC: "no space is left on that disk: free some, then run again; what was committed stays",
    errno.EDQUOT: "the quota of that disk is used up: free some space, then run again; what was committed stays",
    errno.EMFILE: "too many files are open: raise the limit (ulimit -n), then run again",
    errno.EIO: "the disk fails to read or write: check the disk",
}


def os_error_text(error: OSError) -> str:
    """Return an error of the operating system as one line: the file, the reason, and what to do."""
    reason = _REASONS.get(error.errno or 0) or error.strerror or str(error)
    names = [_shortened_file_name(str(name)) for name in (error.filename, error.filename2) if name is not None]
    return f"{' to '.join(names)}: {reason}" if names else reason


def error_text(error: Exception) -> str:
    """Return an error's message; an error of the operating system as :func:`os_error_text` explains it."""
    return os_error_text(error) if isinstance(error, OSError) else str(error)


def _shortened_file_name(file_name: str) -> str:
    return (
        file_name
        if len(file_name) <= NAME_LENGTH_SHOWN
        else f"{file_name[: NAME_LENGTH_SHOWN // 2]}…{file_name[-NAME_LENGTH_SHOWN // 2 :]}"
    )
