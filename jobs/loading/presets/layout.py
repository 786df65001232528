"""The classes Preset and Layout: a preset consists of layouts, and each layout describes one kind of file."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from jobs.loading.sources import ReadOptions


@dataclass(frozen=True)
class Layout:
    """Describes how one kind of file becomes rows of one raw table.

    The SQL of a layout reads the columns in ``needs``, ``may_have`` and ``json_columns``, and, if there are
    ``elements``, the columns ``element`` and ``element_number``.

    Attributes
    ----------
    table : str
        ``events`` or ``items``.
    usual_name : str
        The usual name of such files, for messages.
    needs : tuple of str
        Names of columns that every such file has.
    columns : our column -> SQL over the file's columns
    may_have : tuple of str
        Names of optional columns, which are null where a file lacks them.
    json_columns : tuple of str
        Names of columns that are read as JSON values, whatever the file's format is.
    elements : str, optional
        SQL of a list. Each element becomes a row with the file's columns, ``element`` and ``element_number`` (from 1).
        A row whose list is empty or null stays, as one row whose ``element`` is null.
    where : str, optional
        SQL condition: only rows for which it is true are loaded.
    first_line : str, optional
        For files without a header: a regular expression that the first line matches as a whole.
    time_formats : tuple of str
        Formats of times that staging doesn't read by itself.
    options : ReadOptions
        How such files are read; for files without a header, ``options.columns`` names all columns.
    """

    table: str
    usual_name: str
    needs: tuple[str, ...]
    columns: Mapping[str, str]
    may_have: tuple[str, ...] = ()
    json_columns: tuple[str, ...] = ()
    elements: str | None = None
    where: str | None = None
    first_line: str | None = None
    time_formats: tuple[str, ...] = ()
    options: ReadOptions = field(default_factory=ReadOptions)

    def missing_columns(self, file_columns: Collection[str]) -> tuple[str, ...]:
        """Return the columns in ``needs`` that a file lacks; upper and lower case don't matter."""
        known = {name.lower() for name in file_columns}
        return tuple(name for name in self.needs if name.lower() not in known)


@dataclass(frozen=True)
class Preset:
    """How the files of one program or data set are loaded: a layout for each kind of file.

    Attributes
    ----------
    name : str
    title : str
        A description of the files.
    layouts : tuple of Layout
        Of several layouts that fit a file, the first is taken.
    """

    name: str
    title: str
    layouts: tuple[Layout, ...]

    def layouts_of_table(self, table: str) -> tuple[Layout, ...]:
        """Return the layouts for one raw table."""
        return tuple(layout for layout in self.layouts if layout.table == table)
