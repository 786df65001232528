"""The classes Preset and FileLayout: a preset consists of layouts, and each layout describes one kind of file."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from jobs.loading.sources import ReadOptions


@dataclass(frozen=True)
class FileLayout:
    """Describes how one kind of file becomes rows of one raw table.

    The SQL of a layout reads the columns in ``required_columns``, ``optional_columns`` and ``json_columns``. If there
    is an ``unnested_list_sql``, the SQL of the map and the condition also reads ``element`` and ``element_number``.

    Attributes
    ----------
    table : str
        ``events`` or ``items``.
    usual_file_name : str
        The usual name of such files, for messages.
    required_columns : tuple of str
        Names of columns that every such file has.
    column_map : raw column -> SQL over the file's columns
    optional_columns : tuple of str
        Names of optional columns, which are null where a file lacks them.
    json_columns : tuple of str
        Names of columns that are read as JSON values, whatever the file's format is.
    unnested_list_sql : str, optional
        SQL of a list that each row has. Each element of the list becomes a row, which has the file's columns,
        ``element`` and ``element_number`` (from 1). A row whose list is empty or null stays, as one row whose
        ``element`` is null.
    where_sql : str, optional
        SQL condition: only rows for which it is true are loaded.
    first_line_pattern : str, optional
        For files without a header: a regular expression that the first line matches as a whole.
    time_formats : tuple of str
        Formats of times that dbt's staging doesn't read by itself.
    read_options : ReadOptions
        How such files are read; for files without a header, ``read_options.columns`` names all columns.
    """

    table: str
    usual_file_name: str
    required_columns: tuple[str, ...]
    column_map: Mapping[str, str]
    optional_columns: tuple[str, ...] = ()
    json_columns: tuple[str, ...] = ()
    unnested_list_sql: str | None = None
    where_sql: str | None = None
    first_line_pattern: str | None = None
    time_formats: tuple[str, ...] = ()
    read_options: ReadOptions = field(default_factory=ReadOptions)

    def missing_columns(self, file_columns: Collection[str]) -> tuple[str, ...]:
        """Return the columns in ``required_columns`` that a file lacks; upper and lower case don't matter."""
        known = {name.lower() for name in file_columns}
        return tuple(name for name in self.required_columns if name.lower() not in known)


@dataclass(frozen=True)
class Preset:
    """How the files of one program or data set are loaded: a layout for each kind of file.

    Attributes
    ----------
    name : str
    title : str
        The program or data set and its files, for messages.
    layouts : tuple of FileLayout
        Of several layouts that fit a file, the first is taken.
    """

    name: str
    title: str
    layouts: tuple[FileLayout, ...]

    def layouts_of_table(self, table: str) -> tuple[FileLayout, ...]:
        """Return the layouts whose rows go into the given raw table."""
        return tuple(layout for layout in self.layouts if layout.table == table)
