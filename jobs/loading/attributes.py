"""Chooses which columns that nextmart doesn't know are kept as attributes: one JSON object for each item or visitor.

nextmart knows a column if it has a raw column's name, or if a ``--map`` consists of its name alone.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from jobs.errors import UsageError, nearest_name_hint
from jobs.loading.mapping import TABLE_COLUMNS
from jobs.loading.sources import ALL_ATTRIBUTES, LoadSource
from jobs.warehouse.connection import Connection, literal, quoted_name

TABLES_WITH_ATTRIBUTES: Final = ("items", "visitors")
_NUMBER_TYPES = re.compile(r"U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|FLOAT|DOUBLE|DECIMAL\(.*\)|BIGNUM")


@dataclass(frozen=True)
class AttributeHints:
    """Facts from outside a source that help to decide which of its columns become attributes.

    Attributes
    ----------
    spellings_of_earlier_sources : attribute's name in lower case -> name as spelt
        The attributes of sources that were read before this source in the same load.
    rows_are_also_events : bool
        Whether the same files are loaded as events too.
    """

    spellings_of_earlier_sources: Mapping[str, str] = field(default_factory=dict)
    rows_are_also_events: bool = False


@dataclass(frozen=True)
class AttributeChoice:
    """Which columns of a source's files are kept as attributes, and which are left out.

    Attributes
    ----------
    column_of_attribute : attribute's name -> column of the files
    left_out_columns : tuple of str
        The columns of the files that nextmart doesn't know, and that don't become attributes.
    left_out_reason : str
        Why nextmart itself leaves columns out; empty if the user has chosen the attributes.
    missing_names : tuple of str
        Columns that the user names as attributes, and that the files lack.
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
        """Return a choice that leaves out all kept columns too, for the given reason."""
        return AttributeChoice({}, (*self.column_of_attribute.values(), *self.left_out_columns), reason)


def parse_attributes(option_value: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """Parse the option ``--attributes``, or a feed's key ``attributes``, into a value of ``LoadSource.attributes``.

    Parameters
    ----------
    option_value : str or sequence of str, optional
        Names in a list or with commas between them, or ``all``, or ``none``; None if the option is not given.

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


def columns_unknown_to_nextmart(source: LoadSource, column_names: Iterable[str]) -> list[str]:
    """Return a source's columns that have no raw column's name and are not the whole right side of a ``--map``."""
    known = {*TABLE_COLUMNS[source.table], *TABLE_COLUMNS["events"], "loaded_at"}
    known |= {theirs.lower() for theirs in source.column_map.values()}
    return [name for name in column_names if name.lower() not in known]


def unused_columns(source: LoadSource, column_names: Iterable[str]) -> list[str]:
    """Return the columns of a source that nextmart doesn't know and no SQL of ``--map`` or ``--where`` mentions."""
    expressions = " ".join([*source.column_map.values(), source.where_sql or ""]).lower()
    return [name for name in columns_unknown_to_nextmart(source, column_names) if name.lower() not in expressions]


def attribute_candidates(source: LoadSource, column_names: Iterable[str]) -> list[str]:
    """Return the unused columns of a source of items or visitors, which may become attributes; none with a preset."""
    if source.table not in TABLES_WITH_ATTRIBUTES or source.preset_name:
        return []
    return unused_columns(source, column_names)


def may_be_attribute(source: LoadSource, column: str) -> bool:
    """Tell, by a column's name alone, whether the column of a source may become an attribute."""
    if source.table not in TABLES_WITH_ATTRIBUTES or (source.preset_name and source.attributes is None):
        return False
    if source.attributes in (None, ALL_ATTRIBUTES):
        return bool(columns_unknown_to_nextmart(source, [column]))
    return column.lower() in {name.lower() for name in source.attributes or ()}


def choose_attributes(
    connection: Connection, source: LoadSource, column_names: Iterable[str], attribute_hints: AttributeHints | None
) -> AttributeChoice:
    """Choose by their names which columns of a source become attributes; the rows are not read.

    A column whose name differs from an attribute of the warehouse only in upper and lower case becomes that attribute.

    Parameters
    ----------
    column_names : iterable of str
        The names of the files' columns.
    attribute_hints : AttributeHints, optional
        Facts from outside the source that help to decide which columns become attributes.
    """
    attribute_hints = attribute_hints or AttributeHints()
    column_names = list(column_names)
    if source.table not in TABLES_WITH_ATTRIBUTES:
        return AttributeChoice({})
    if source.preset_name and source.attributes is None:
        # where a row is an event on several items, most columns describe the event rather than the items
        columns_of_items = [] if "element" in column_names else unused_columns(source, column_names)
        return AttributeChoice({}, tuple(columns_of_items), f"because of the preset {source.preset_name}")
    chosen, reason = source.attributes, ""
    missing: tuple[str, ...] = ()
    candidates = columns_unknown_to_nextmart(source, column_names)
    if chosen is None and attribute_hints.rows_are_also_events:
        chosen, reason = (), "because the same rows are loaded as events"
    if chosen is None or chosen == ALL_ATTRIBUTES:
        attribute_columns = candidates
    else:
        lower_names = {name.lower() for name in chosen}
        attribute_columns = [name for name in column_names if name.lower() in lower_names]
        column_set = {name.lower() for name in column_names}
        missing = tuple(name for name in chosen if name.lower() not in column_set)
    spellings = (
        {**attribute_hints.spellings_of_earlier_sources, **attribute_spellings(connection, source.table)}
        if attribute_columns
        else {}
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
    """Return the columns that the user names as attributes, and that no source has."""
    found_names = {name.lower() for attributes in attribute_choices for name in attributes.column_of_attribute.values()}
    typed_names = dict.fromkeys(name for attributes in attribute_choices for name in attributes.missing_names)
    return [name for name in typed_names if name.lower() not in found_names]


def require_no_missing_attributes(attribute_choices: Sequence[AttributeChoice]) -> None:
    """Raise an error if no file has a column that the user names as an attribute.

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
        raise UsageError(f"--attributes {name}: the files have no such column; {nearest_name_hint(name, known)}")


def clean_attribute_name(column_name: str) -> str:
    """Return a column's name without control characters and with one blank between words, as an attribute's name."""
    return "".join(sign for sign in " ".join(column_name.split()) if sign.isprintable())


def attribute_spellings(connection: Connection, table: str) -> dict[str, str]:
    """Return how the attributes in a raw table are spelt, by their names in lower case; empty without such a table.

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


def drop_attributes_if_contradictory(
    connection: Connection, temp_table: str, id_column: str, attribute_choice: AttributeChoice
) -> AttributeChoice:
    """Drop the attributes of all rows if two rows with the same id have different attributes, as rows of orders do.

    Parameters
    ----------
    temp_table : str
        The temporary table with the rows. If attributes are dropped, its column ``attributes`` becomes null.
    id_column : str
        The column with the id of an item or a visitor.

    Returns
    -------
    The given choice, or one that leaves out all columns if attributes are dropped
    """
    repeats = connection.execute(
        f"select true from {temp_table} where trim({id_column}) <> '' group by {id_column} "
        "having min(hash(attributes)) <> max(hash(attributes)) limit 1"
    ).fetchone()
    if not repeats:
        return attribute_choice
    connection.execute(
        f"create or replace temp table {temp_table} as select * replace (null::json as attributes) from {temp_table}"
    )
    return attribute_choice.with_all_left_out(f"because rows repeat {id_column.removesuffix('_id')}s")


def attributes_sql(
    attribute_choice: AttributeChoice,
    file_column_types: Mapping[str, str],
    mapped_attributes_sql: str | None,
    mapped_value_types: Mapping[str, str],
) -> str:
    """Return the SQL of the raw column ``attributes``: a JSON object without nulls; null if it would be empty.

    Parameters
    ----------
    file_column_types : column of the files -> DuckDB type
    mapped_attributes_sql : str, optional
        SQL of the value that the files or the map give to the whole raw column ``attributes``; None if they give none.
        If the value is a JSON object, its members are attributes; any other value becomes the attribute ``attributes``.
    mapped_value_types : raw column -> DuckDB type of the mapped value, before it becomes text
    """
    members = (
        f"{literal(name)}, {_json_value_sql(quoted_name(column), file_column_types[column])}"
        for name, column in attribute_choice.column_of_attribute.items()
    )
    merged = f"json_object({', '.join(members)})"
    if mapped_attributes_sql is not None:
        value = f"to_json({_json_value_sql(mapped_attributes_sql, mapped_value_types['attributes'])})"
        if mapped_value_types["attributes"] == "VARCHAR":
            value = (
                f"case when json_valid({mapped_attributes_sql}) then cast({mapped_attributes_sql} as json) "
                f"else {value} end"
            )
        whole_object = (
            f"case when json_type({value}) = 'OBJECT' then {value} else json_object('attributes', {value}) end"
        )
        merged = f"json_merge_patch({whole_object}, {merged})"
    # json_merge_patch removes members that are null
    return f"cast(nullif(cast(json_merge_patch('{{}}', {merged}) as varchar), '{{}}') as json)"


def merged_attributes_sql(
    stored_attributes_sql: str, incoming_attributes_sql: str, incoming_attribute_names: Iterable[str]
) -> str:
    """Return the SQL of the attributes of the incoming row, and of the stored attributes that the feed lacks.

    Parameters
    ----------
    stored_attributes_sql, incoming_attributes_sql : str
        SQL of the attributes in the warehouse and in the feed: JSON objects without nulls; null for no attributes.
    incoming_attribute_names : iterable of str
        The names of the attributes that the feed has.
    """
    # the feed's attributes are removed from the stored ones first, because a merge would mix nested values of both
    emptied = ", ".join(f"{literal(name)}, null" for name in incoming_attribute_names)
    kept = f"json_merge_patch(coalesce({stored_attributes_sql}, '{{}}'), json_object({emptied}))"
    merged = f"nullif(json_merge_patch({kept}, coalesce({incoming_attributes_sql}, '{{}}'))::varchar, '{{}}')::json"
    return f"case when {stored_attributes_sql} is null then {incoming_attributes_sql} else {merged} end"


def attribute_values_sql(json_sql: str, attribute_names: Iterable[str]) -> str:
    """Return the SQL of a list with the values of the given attributes, in the order of ``attribute_names``.

    Parameters
    ----------
    json_sql : str
        SQL of a JSON object with attributes.
    """
    pointers = ("/" + name.replace("~", "~0").replace("/", "~1") for name in attribute_names)
    return f"json_extract({json_sql}, [{', '.join(map(literal, pointers))}])"


def _json_value_sql(value_sql: str, type_name: str) -> str:
    """Return the SQL that turns a value into JSON: numbers, booleans and nested values stay, all others become text."""
    if type_name in ("FLOAT", "DOUBLE"):
        return f"case when isfinite({value_sql}) then to_json({value_sql}) end"
    if type_name == "JSON":
        return f"cast({value_sql} as json)"  # attached databases return columns of JSON as text
    if type_name.endswith((")", "]")) or type_name == "BOOLEAN" or _NUMBER_TYPES.fullmatch(type_name):
        return f"to_json({value_sql})"
    text = value_sql if type_name == "VARCHAR" else f"cast({value_sql} as varchar)"
    return f"nullif({text}, '')"
