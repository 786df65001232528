"""Which columns of files that nextmart doesn't know are kept, as one JSON object for each item or visitor."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from jobs.errors import UsageError, nearest
from jobs.loading.mapping import TABLE_COLUMNS
from jobs.loading.sources import ALL_ATTRIBUTES, LoadSource
from jobs.warehouse.connection import Connection, literal, quoted

TABLES_WITH_ATTRIBUTES: Final = ("items", "visitors")
_NUMBER_TYPES = re.compile(r"U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|FLOAT|DOUBLE|DECIMAL\(.*\)|BIGNUM")


@dataclass(frozen=True)
class AttributeHints:
    """Facts from outside a source that help to decide which of its columns become attributes.

    Attributes
    ----------
    earlier_spellings : name in lower case -> name
        The names of attributes in sources that were read before this source in the same load.
    rows_are_events : bool
        Whether the same files are loaded as events too.
    """

    earlier_spellings: Mapping[str, str] = field(default_factory=dict)
    rows_are_events: bool = False


@dataclass(frozen=True)
class AttributeChoice:
    """Which columns of a source's files are kept as attributes, and which are left out.

    Attributes
    ----------
    column_of_attribute : attribute's name -> column of the files
    left_out_columns : tuple of str
        Columns of the files that nextmart doesn't know and that are no attributes.
    left_out_reason : str
        Why columns are left out though the user has not said so; an empty text if the user has.
    missing_names : tuple of str
        Names that the user typed as attributes and that no column of the files has.
    """

    column_of_attribute: Mapping[str, str]
    left_out_columns: tuple[str, ...] = ()
    left_out_reason: str = ""
    missing_names: tuple[str, ...] = ()

    def as_dictionary(self) -> dict[str, Any]:
        """Return the names of the kept and the left-out columns, and the reason, as a dictionary for JSON."""
        return {
            "kept": list(self.column_of_attribute),
            "left_out": list(self.left_out_columns),
            "reason": self.left_out_reason,
        }

    def with_all_left_out(self, reason: str) -> "AttributeChoice":
        """Return these attributes with every kept column left out, for the given reason."""
        return AttributeChoice({}, (*self.column_of_attribute.values(), *self.left_out_columns), reason)


def parse_attributes(option_value: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """Parse the option ``--attributes``, or a feed's key ``attributes``, into a value of ``LoadSource.attributes``.

    Parameters
    ----------
    option_value : str or sequence of str, optional
        Names with commas between them or in a list, ``all`` or ``none``; None: not given.

    Raises
    ------
    UsageError
        If a name is blank.
    """
    if option_value is None:
        return None
    names = [name.strip() for name in (option_value.split(",") if isinstance(option_value, str) else option_value)]
    if not all(names):
        raise UsageError(f"--attributes {option_value}: write all, none, or names of columns, with commas between them")
    if len(names) == 1 and names[0].lower() in ("all", "none"):
        return ALL_ATTRIBUTES if names[0].lower() == "all" else ()
    return tuple(names)


def unknown_columns(source: LoadSource, column_names: Iterable[str]) -> list[str]:
    """Return a source's columns that have no raw column's name and are not the whole right side of a ``--map``."""
    known = {*TABLE_COLUMNS[source.table], *TABLE_COLUMNS["events"], "loaded_at"}
    known |= {theirs.lower() for theirs in source.column_map.values()}
    return [name for name in column_names if name.lower() not in known]


def columns_outside_expressions(source: LoadSource, column_names: Iterable[str]) -> list[str]:
    """Return those of a source's ``unknown_columns`` that no SQL of ``--map`` or ``--where`` mentions."""
    expressions = " ".join([*source.column_map.values(), source.where_sql or ""]).lower()
    return [name for name in unknown_columns(source, column_names) if name.lower() not in expressions]


def attribute_candidates(source: LoadSource, column_names: Iterable[str]) -> list[str]:
    """Return a source's columns that may become attributes and that no SQL of ``--map`` or ``--where`` mentions."""
    if source.table not in TABLES_WITH_ATTRIBUTES or source.preset_name:
        return []
    return columns_outside_expressions(source, column_names)


def may_be_attribute(source: LoadSource, column: str) -> bool:
    """Tell, by a column's name alone, whether the column of a source may become an attribute."""
    if source.table not in TABLES_WITH_ATTRIBUTES or (source.preset_name and source.attributes is None):
        return False
    if source.attributes in (None, ALL_ATTRIBUTES):
        return bool(unknown_columns(source, [column]))
    return column.lower() in {name.lower() for name in source.attributes or ()}


def choose_attributes(
    connection: Connection, source: LoadSource, column_names: Iterable[str], hints: AttributeHints | None
) -> AttributeChoice:
    """Return which columns of a source become attributes, by the columns' names; the rows are not read.

    A name that differs in case alone from an attribute that the warehouse has is that attribute.

    Parameters
    ----------
    column_names : iterable of str
        The names of the files' columns.
    hints : AttributeHints, optional
        Facts from outside the source that help to decide which columns become attributes.
    """
    hints = hints or AttributeHints()
    column_names = list(column_names)
    if source.table not in TABLES_WITH_ATTRIBUTES:
        return AttributeChoice({})
    if source.preset_name and source.attributes is None:
        # where a row is an event on several items, most columns describe the event rather than the items
        columns_of_items = [] if "element" in column_names else columns_outside_expressions(source, column_names)
        return AttributeChoice({}, tuple(columns_of_items), f"because of the preset {source.preset_name}")
    chosen, reason = source.attributes, ""
    missing: tuple[str, ...] = ()
    candidates = unknown_columns(source, column_names)
    if chosen is None and hints.rows_are_events:
        chosen, reason = (), "because the same rows are loaded as events"
    if chosen is None or chosen == ALL_ATTRIBUTES:
        attribute_columns = candidates
    else:
        lower_names = {name.lower() for name in chosen}
        attribute_columns = [name for name in column_names if name.lower() in lower_names]
        column_set = {name.lower() for name in column_names}
        missing = tuple(name for name in chosen if name.lower() not in column_set)
    spellings = (
        {**hints.earlier_spellings, **attribute_spellings(connection, source.table)} if attribute_columns else {}
    )
    columns: dict[str, str] = {}
    used_names: set[str] = set()
    for column in attribute_columns:
        name = clean_attribute_name(column)
        name = spellings.get(name.lower(), name)
        if name and name.lower() not in used_names:
            columns[name] = column
            used_names.add(name.lower())
    left_out = tuple(name for name in candidates if name not in columns.values())
    return AttributeChoice(dict(sorted(columns.items())), left_out, reason, missing)


def missing_attributes(attribute_choices: Sequence[AttributeChoice]) -> list[str]:
    """Return the names that the user typed as attributes and that are columns of none of the sources."""
    found_names = {name.lower() for attributes in attribute_choices for name in attributes.column_of_attribute.values()}
    typed_names = dict.fromkeys(name for attributes in attribute_choices for name in attributes.missing_names)
    return [name for name in typed_names if name.lower() not in found_names]


def require_typed_attributes(attribute_choices: Sequence[AttributeChoice]) -> None:
    """Raise an error if a column that the user typed as an attribute is in none of the files.

    Raises
    ------
    UsageError
        If no file has such a column; the message names the column with the most similar name.
    """
    for name in missing_attributes(attribute_choices):
        known = {
            column
            for attributes in attribute_choices
            for column in (*attributes.column_of_attribute.values(), *attributes.left_out_columns)
        }
        raise UsageError(f"--attributes {name}: the files have no such column; {nearest(name, known)}")


def clean_attribute_name(name: str) -> str:
    """Return the name of a column without control characters and with one blank between words."""
    return "".join(sign for sign in " ".join(name.split()) if sign.isprintable())


def attribute_spellings(connection: Connection, table: str) -> dict[str, str]:
    """Return the names of attributes in a raw table: name in lower case -> name as spelt; empty without such a table.

    Of several spellings of a name, the first in alphabetical order is returned.
    """
    has_attributes = connection.execute(
        "select true from duckdb_columns() where database_name = current_database() "
        "and schema_name = 'raw' and table_name = ? and column_name = 'attributes'",
        [table],
    ).fetchone()
    if not has_attributes:
        return {}
    names = connection.execute(
        f"select distinct unnest(json_keys(attributes)) as name from raw.{table} "
        "where json_valid(attributes) order by name desc"
    ).fetchall()
    return {name.lower(): name for (name,) in names}


def drop_contradictory_attributes(
    connection: Connection, table: str, id_column: str, attributes: AttributeChoice
) -> AttributeChoice:
    """Drop all attributes of a table's rows if rows with one id have different attributes, as rows of orders do.

    Parameters
    ----------
    table : str
        The temporary table; its column ``attributes`` becomes null.
    id_column : str
        The column with the id of an item or a visitor.
    """
    repeats = connection.execute(
        f"select true from {table} where trim({id_column}) <> '' group by {id_column} "
        "having min(hash(attributes)) <> max(hash(attributes)) limit 1"
    ).fetchone()
    if not repeats:
        return attributes
    connection.execute(
        f"create or replace temp table {table} as select * replace (null::json as attributes) from {table}"
    )
    return attributes.with_all_left_out(f"because rows repeat {id_column.removesuffix('_id')}s")


def attributes_sql(
    attributes: AttributeChoice,
    file_types: Mapping[str, str],
    attributes_value_sql: str | None,
    value_types: Mapping[str, str],
) -> str:
    """Return the SQL of the raw column ``attributes``: a JSON object without nulls; null if it would be empty.

    Parameters
    ----------
    file_types : column of the files -> DuckDB type
    attributes_value_sql : str, optional
        SQL of the value of the raw column ``attributes`` itself, where the files or the map have this column. The
        members of an object are attributes; any other value becomes the attribute ``attributes``.
    value_types : nextmart's column -> DuckDB type of its value
    """
    members = (
        f"{literal(name)}, {_json_value_sql(quoted(column), file_types[column])}"
        for name, column in attributes.column_of_attribute.items()
    )
    merged = f"json_object({', '.join(members)})"
    if attributes_value_sql is not None:
        value = f"to_json({_json_value_sql(attributes_value_sql, value_types['attributes'])})"
        if value_types["attributes"] == "VARCHAR":
            value = (
                f"case when json_valid({attributes_value_sql}) then cast({attributes_value_sql} as json) else {value} "
                "end"
            )
        whole_object = (
            f"case when json_type({value}) = 'OBJECT' then {value} else json_object('attributes', {value}) end"
        )
        merged = f"json_merge_patch({whole_object}, {merged})"
    # json_merge_patch removes members that are null
    return f"cast(nullif(cast(json_merge_patch('{{}}', {merged}) as varchar), '{{}}') as json)"


def merged_attributes_sql(known_sql: str, arrived_sql: str, arrived_names: Iterable[str]) -> str:
    """Return the SQL of a row's attributes: the arrived values, and the known values of attributes that the feed lacks.

    Parameters
    ----------
    known_sql, arrived_sql : str
        SQL of the attributes in the warehouse and in the feed: JSON objects without nulls; null for no attributes.
    arrived_names : iterable of str
        The names of the attributes that the feed has.
    """
    # the feed's attributes are removed from the known ones first, because a merge would mix nested values of both
    emptied = ", ".join(f"{literal(name)}, null" for name in arrived_names)
    kept = f"json_merge_patch(coalesce({known_sql}, '{{}}'), json_object({emptied}))"
    merged = f"nullif(json_merge_patch({kept}, coalesce({arrived_sql}, '{{}}'))::varchar, '{{}}')::json"
    return f"case when {known_sql} is null then {arrived_sql} else {merged} end"


def attribute_values_sql(json_sql: str, names: Iterable[str]) -> str:
    """Return the SQL of the list of the named attributes' values, in the order of ``names``.

    Parameters
    ----------
    json_sql : str
        SQL of a JSON object.
    """
    pointers = ("/" + name.replace("~", "~0").replace("/", "~1") for name in names)
    return f"json_extract({json_sql}, [{', '.join(map(literal, pointers))}])"


def _json_value_sql(value_sql: str, type_name: str) -> str:
    """Return the SQL that turns a value into JSON; values other than numbers, booleans and nested ones become text."""
    if type_name in ("FLOAT", "DOUBLE"):
        return f"case when isfinite({value_sql}) then to_json({value_sql}) end"
    if type_name == "JSON":
        return f"cast({value_sql} as json)"  # attached databases return JSON columns as text
    if type_name.endswith((")", "]")) or type_name == "BOOLEAN" or _NUMBER_TYPES.fullmatch(type_name):
        return f"to_json({value_sql})"
    text = value_sql if type_name == "VARCHAR" else f"cast({value_sql} as varchar)"
    return f"nullif({text}, '')"
