"""Attributes: the columns of files that nextmart doesn't know, kept as one JSON object for each item or visitor."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from jobs.errors import UsageError, nearest
from jobs.loading.mapping import TABLE_COLUMNS
from jobs.loading.sources import ALL_ATTRIBUTES, SourceFiles
from jobs.warehouse.connection import Connection, literal, quoted

TABLES_WITH_ATTRIBUTES: Final = ("items", "visitors")
_NUMBERS = re.compile(r"U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|FLOAT|DOUBLE|DECIMAL\(.*\)|BIGNUM")


@dataclass(frozen=True)
class AttributeRules:
    """What decides about attributes, beside the source itself.

    Attributes
    ----------
    spellings : name in lower case -> name
        The attributes of sources that were read before this one in the same load.
    rows_are_events : bool
        Whether the same files are loaded as events too.
    """

    spellings: Mapping[str, str] = field(default_factory=dict)
    rows_are_events: bool = False


@dataclass(frozen=True)
class Attributes:
    """The columns of a source's files that are kept as attributes, and those that are not.

    Attributes
    ----------
    columns : attribute's name -> column of the files
    left_out : tuple of str
        Columns of the files that nextmart doesn't know and that are no attributes.
    reason : str
        Why columns are left out though the user has not said so; an empty text if the user has.
    missing : tuple of str
        Names that the user wants and that no column of the files has.
    """

    columns: Mapping[str, str]
    left_out: tuple[str, ...] = ()
    reason: str = ""
    missing: tuple[str, ...] = ()

    def as_dictionary(self) -> dict[str, Any]:
        """Return the names as values that JSON can hold."""
        return {"kept": list(self.columns), "left_out": list(self.left_out), "reason": self.reason}

    def without_columns(self, reason: str) -> "Attributes":
        """Return the same with all columns left out for a reason."""
        return Attributes({}, (*self.columns.values(), *self.left_out), reason)


def parse_attributes(choice: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """Return what the option ``--attributes``, or the key of a feed, says as ``SourceFiles.attributes``.

    Parameters
    ----------
    choice : str or sequence of str, optional
        Names with commas between them or in a list, ``all`` or ``none``; None: not given.

    Raises
    ------
    UsageError
        If a name is blank.
    """
    if choice is None:
        return None
    names = [name.strip() for name in (choice.split(",") if isinstance(choice, str) else choice)]
    if not all(names):
        raise UsageError(f"--attributes {choice}: write all, none, or names of columns, with commas between them")
    if len(names) == 1 and names[0].lower() in ("all", "none"):
        return ALL_ATTRIBUTES if names[0].lower() == "all" else ()
    return tuple(names)


def unknown_columns(source: SourceFiles, column_names: Iterable[str]) -> list[str]:
    """Return the columns of files that are neither nextmart's nor the whole right side of a ``--map``."""
    known = {*TABLE_COLUMNS[source.table], *TABLE_COLUMNS["events"], "loaded_at"}
    known |= {theirs.lower() for theirs in source.column_map.values()}
    return [name for name in column_names if name.lower() not in known]


def unmentioned_columns(source: SourceFiles, column_names: Iterable[str]) -> list[str]:
    """Return the columns of files that nextmart doesn't know and that no expression of the map or `where` mentions."""
    expressions = " ".join([*source.column_map.values(), source.where or ""]).lower()
    return [name for name in unknown_columns(source, column_names) if name.lower() not in expressions]


def possible_attributes(source: SourceFiles, column_names: Iterable[str]) -> list[str]:
    """Return the columns of files that may become attributes and that no expression of the user mentions."""
    if source.table not in TABLES_WITH_ATTRIBUTES or source.preset:
        return []
    return unmentioned_columns(source, column_names)


def may_be_attribute(source: SourceFiles, column: str) -> bool:
    """Tell whether a column of a source may become an attribute, as far as its name says."""
    if source.table not in TABLES_WITH_ATTRIBUTES or (source.preset and source.attributes is None):
        return False
    if source.attributes in (None, ALL_ATTRIBUTES):
        return bool(unknown_columns(source, [column]))
    return column.lower() in {name.lower() for name in source.attributes or ()}


def choose_attributes(
    connection: Connection, source: SourceFiles, column_names: Iterable[str], rules: AttributeRules | None
) -> Attributes:
    """Return which columns of a source's files are attributes, before anybody has looked at the rows.

    A name that differs in case alone from an attribute that the warehouse has is that attribute.

    Parameters
    ----------
    column_names : iterable of str
        The names of the files' columns.
    rules : AttributeRules, optional
        What is known beside the source.
    """
    rules = rules or AttributeRules()
    column_names = list(column_names)
    if source.table not in TABLES_WITH_ATTRIBUTES:
        return Attributes({})
    if source.preset and source.attributes is None:
        # of a program's events on several items, most columns say something of the event
        columns_of_items = [] if "element" in column_names else unmentioned_columns(source, column_names)
        return Attributes({}, tuple(columns_of_items), f"because of the preset {source.preset}")
    chosen, reason = source.attributes, ""
    missing: tuple[str, ...] = ()
    candidates = unknown_columns(source, column_names)
    if chosen is None and rules.rows_are_events:
        chosen, reason = (), "because the same rows are loaded as events"
    if chosen is None or chosen == ALL_ATTRIBUTES:
        wanted = candidates
    else:
        lower_names = {name.lower() for name in chosen}
        wanted = [name for name in column_names if name.lower() in lower_names]
        column_set = {name.lower() for name in column_names}
        missing = tuple(name for name in chosen if name.lower() not in column_set)
    spellings = {**rules.spellings, **known_spellings(connection, source.table)} if wanted else {}
    columns: dict[str, str] = {}
    taken: set[str] = set()
    for column in wanted:
        name = clean_name(column)
        name = spellings.get(name.lower(), name)
        if name and name.lower() not in taken:
            columns[name] = column
            taken.add(name.lower())
    left_out = tuple(name for name in candidates if name not in columns.values())
    return Attributes(dict(sorted(columns.items())), left_out, reason, missing)


def missing_attributes(all_attributes: Sequence[Attributes]) -> list[str]:
    """Return the names that the user wants as attributes and that none of the sources has as a column."""
    found = {name.lower() for attributes in all_attributes for name in attributes.columns.values()}
    wanted = dict.fromkeys(name for attributes in all_attributes for name in attributes.missing)
    return [name for name in wanted if name.lower() not in found]


def require_found_attributes(all_attributes: Sequence[Attributes]) -> None:
    """Check that each column that the user wants as an attribute is in some file.

    Raises
    ------
    UsageError
        If a name is in no file; the message says which column has a name like it.
    """
    for name in missing_attributes(all_attributes):
        known = {
            column for attributes in all_attributes for column in (*attributes.columns.values(), *attributes.left_out)
        }
        raise UsageError(f"--attributes {name}: the files have no such column; {nearest(name, known)}")


def clean_name(name: str) -> str:
    """Return the name of a column without control characters, and with single blanks alone."""
    return "".join(sign for sign in " ".join(name.split()) if sign.isprintable())


def known_spellings(connection: Connection, table: str) -> dict[str, str]:
    """Return the names of the attributes that a raw table has, by their lower case; none if there is no such table.

    Of several spellings the first in alphabetical order counts.
    """
    has_attributes = connection.execute(
        "select true from information_schema.columns where table_catalog = current_database() "
        "and table_schema = 'raw' and table_name = ? and column_name = 'attributes'",
        [table],
    ).fetchone()
    if not has_attributes:
        return {}
    names = connection.execute(
        f"select distinct unnest(json_keys(attributes)) as name from raw.{table} "
        "where json_valid(attributes) order by name desc"
    ).fetchall()
    return {name.lower(): name for (name,) in names}


def leave_out_repeated(connection: Connection, relation: str, id_column: str, attributes: Attributes) -> Attributes:
    """Leave out all attributes of a temporary table's rows if rows of one id have different ones, as rows of orders do.

    Parameters
    ----------
    relation : str
        The temporary table; its column ``attributes`` becomes null.
    id_column : str
        The column with the id of an item or a visitor.
    """
    repeats = connection.execute(
        f"select true from {relation} where trim({id_column}) <> '' group by {id_column} "
        "having min(hash(attributes)) <> max(hash(attributes)) limit 1"
    ).fetchone()
    if not repeats:
        return attributes
    connection.execute(
        f"create or replace temp table {relation} as select * replace (null::json as attributes) from {relation}"
    )
    return attributes.without_columns(f"because rows repeat {id_column.removesuffix('_id')}s")


def attributes_sql(
    attributes: Attributes, types: Mapping[str, str], whole: str | None, value_types: Mapping[str, str]
) -> str:
    """Return the SQL of the raw column ``attributes``: a JSON object without nulls; null if it would be empty.

    Parameters
    ----------
    types : column of the files -> DuckDB type
    whole : str, optional
        SQL of the value that the files or the map give to the column ``attributes``. The members of an object are
        attributes; any other value becomes the attribute ``attributes``.
    value_types : nextmart's column -> DuckDB type of its value
    """
    members = (
        f"{literal(name)}, {_json_value_sql(quoted(column), types[column])}"
        for name, column in attributes.columns.items()
    )
    merged = f"json_object({', '.join(members)})"
    if whole is not None:
        value = f"to_json({_json_value_sql(whole, value_types['attributes'])})"
        if value_types["attributes"] == "VARCHAR":
            value = f"case when json_valid({whole}) then cast({whole} as json) else {value} end"
        whole_object = (
            f"case when json_type({value}) = 'OBJECT' then {value} else json_object('attributes', {value}) end"
        )
        merged = f"json_merge_patch({whole_object}, {merged})"
    # merging an object into another removes what is null
    return f"cast(nullif(cast(json_merge_patch('{{}}', {merged}) as varchar), '{{}}') as json)"


def merged_sql(known: str, arrived: str, names: Iterable[str]) -> str:
    """Return the SQL of a row's attributes: what the feed says of those that the feed has, and the known others.

    Parameters
    ----------
    known, arrived : str
        SQL of the attributes of both, JSON objects without nulls; null for none.
    names : iterable of str
        The names of the attributes that the feed has.
    """
    # the feed's names are removed first, because a merge would mix what is nested in a known value with the new one
    emptied = ", ".join(f"{literal(name)}, null" for name in names)
    kept = f"json_merge_patch(coalesce({known}, '{{}}'), json_object({emptied}))"
    merged = f"nullif(json_merge_patch({kept}, coalesce({arrived}, '{{}}'))::varchar, '{{}}')::json"
    return f"case when {known} is null then {arrived} else {merged} end"


def values_sql(attributes: str, names: Iterable[str]) -> str:
    """Return the SQL of a list of some attributes' values, in the order of names.

    Parameters
    ----------
    attributes : str
        SQL of a JSON object.
    """
    pointers = ("/" + name.replace("~", "~0").replace("/", "~1") for name in names)
    return f"json_extract({attributes}, [{', '.join(map(literal, pointers))}])"


def _json_value_sql(value: str, type_name: str) -> str:
    """Return the SQL of a value that becomes JSON: numbers, booleans and nested values as such, all others as text."""
    if type_name in ("FLOAT", "DOUBLE"):
        return f"case when isfinite({value}) then to_json({value}) end"
    if type_name == "JSON":
        return f"cast({value} as json)"  # other databases give JSON as text
    if type_name.endswith((")", "]")) or type_name == "BOOLEAN" or _NUMBERS.fullmatch(type_name):
        return f"to_json({value})"
    text = value if type_name == "VARCHAR" else f"cast({value} as varchar)"
    return f"nullif({text}, '')"
