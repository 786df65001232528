"""Make the SQL files of this folder: warehouses as earlier versions of nextmart left them after a night.

    python tests/warehouse/earlier_warehouses/make.py COMMIT NAME

checks COMMIT out into a temporary folder, lets the code of that commit build a night on a shop of four items, and
writes the tables and views of the warehouse, with their rows, to ``NAME.sql``. The files were made of these commits:

| file | commit | what its warehouse lacks |
|---|---|---|
| first_night.sql | da97df0 | hashes of sequences, user agents, the tables of sessions and of builds |
| sessions.sql | 9b225a3 | the column built_at of checked events, hashes of sequences' code, batches, decisions |
| champions.sql | 1891128 | the version of weights, attributes |

A file is made once and then kept: it shows what stands on disks, not what the present code would make.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import duckdb

SETTINGS = 'models = ["popularity", "llmseqsim"]\n'

# what every version's raw tables have
FILL_RAW = """
    insert into raw.items by name
    select
        'i' || number as item_id, title, 'Alba' as brand, 'Kitchen' as category, '9.90' as price, 'true' as available,
        '2026-01-01T00:00:00Z' as updated_at, '2026-02-01'::timestamptz as loaded_at
    from (values (0, 'Red kettle'), (1, 'Copper pan'), (2, 'Steel pan'), (3, 'Bread knife')) as items (number, title);

    insert into raw.events by name
    select
        format('e{}', visitor * 10 + visit * 3 + step) as event_id, 'v' || visitor as visitor_id,
        case when visitor = 0 then 'u0' end as user_id, 'i' || (visitor + visit + step) % 4 as item_id,
        'view' as event_type,
        strftime('2026-01-01 09:00'::timestamp + to_days(visitor::integer + visit::integer * 8)
            + to_minutes(step), '%Y-%m-%dT%H:%M:%SZ') as event_at,
        '2026-02-01'::timestamptz as loaded_at
    from range(4) as visitors (visitor), range(2) as visits (visit), range(3) as steps (step);

    insert into raw.events by name
    select
        unnest(['e90', 'e91']) as event_id, 'v1' as visitor_id, unnest(['unknown', 'i1']) as item_id,
        'view' as event_type, unnest(['2026-01-03T09:00:00Z', 'someday']) as event_at,
        '2026-02-01'::timestamptz as loaded_at;
"""

# the tables of jobs and recommendations are made anew every night, from rows of the others
KEPT_SCHEMAS = ("raw", "ml", "staging", "sessions", "catalog")


def main() -> None:
    commit, name = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        checkout, shop = Path(folder) / "code", Path(folder) / "shop"
        subprocess.run(["git", "worktree", "add", "--detach", checkout, commit], check=True)
        try:
            shop.mkdir()
            (shop / "nextmart.toml").write_text(SETTINGS)
            run_command(checkout, shop, "train", must_succeed=False)  # makes the tables, and finds no sequences
            with duckdb.connect(str(shop / "warehouse.duckdb")) as connection:
                connection.execute("set TimeZone = 'UTC'")
                connection.execute(FILL_RAW)
            run_command(checkout, shop, "run")
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", checkout], check=True)
        target = Path(__file__).with_name(f"{name}.sql")
        target.write_text(dump(shop / "warehouse.duckdb", commit))


def run_command(checkout: Path, shop: Path, command: str, *, must_succeed: bool = True) -> None:
    code = "from jobs.cli import main; main()"
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    subprocess.run([sys.executable, "-c", code, command], cwd=shop, env=environment, check=must_succeed)


def dump(warehouse: Path, commit: str) -> str:
    """Return SQL that makes the tables and views of a warehouse, with their rows."""
    lines = [f"-- a warehouse as the code of commit {commit} left it; made by make.py in this folder"]
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        lines += [f"create schema if not exists {schema};" for schema in KEPT_SCHEMAS]
        tables = connection.execute(
            "select schema_name, table_name, sql from duckdb_tables() where schema_name in (select unnest(?)) "
            "order by all",
            [KEPT_SCHEMAS],
        ).fetchall()
        for schema, table, definition in tables:
            lines += [definition, *insert_statements(connection, f"{schema}.{table}")]
        views = "select sql from duckdb_views() where not internal and schema_name in (select unnest(?)) order by all"
        definitions = [definition for (definition,) in connection.execute(views, [KEPT_SCHEMAS]).fetchall()]
    return "\n".join(lines + in_order(lines, definitions)) + "\n"


def in_order(tables: list[str], views: list[str]) -> list[str]:
    """Return the definitions of views in an order in which each finds the views that it reads."""
    ordered: list[str] = []
    with tempfile.TemporaryDirectory() as folder, duckdb.connect(f"{folder}/warehouse.duckdb") as connection:
        connection.execute("\n".join(tables))
        while len(ordered) < len(views):
            for view in views:
                if view not in ordered:
                    try:
                        connection.execute(view)
                        ordered.append(view)
                    except duckdb.CatalogException:
                        continue
    return ordered


def insert_statements(connection: duckdb.DuckDBPyConnection, table: str) -> list[str]:
    """Return a statement that inserts the table's rows; floats of vectors are rounded, to keep the file small."""
    columns = connection.execute(f"describe {table}").fetchall()
    rounded = "list_transform({}::double[], x -> round(x, 2))"
    selected = [rounded.format(name) if re.match(r"FLOAT\[", kind) else name for name, kind, *_ in columns]
    rows = connection.execute(f"select {', '.join(selected)} from {table} order by all").fetchall()
    if not rows:
        return []
    values = ",\n".join(
        f"({', '.join(as_literal(value, kind) for value, (_, kind, *_) in zip(row, columns, strict=True))})"
        for row in rows
    )
    return [f"insert into {table} values\n{values};"]


def as_literal(value: object, kind: str) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool | int | float):
        return str(value)
    if isinstance(value, list):
        return f"[{', '.join(as_literal(part, '') for part in value)}]"
    if isinstance(value, bytes):
        return f"unhex('{value.hex()}')"
    text = str(value).replace("'", "''")
    return f"'{text}'" + ("::timestamptz" if kind.startswith("TIMESTAMP") else "")


if __name__ == "__main__":
    main()
