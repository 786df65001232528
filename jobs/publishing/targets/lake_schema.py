"""The publish target ``ducklake``: a schema of a DuckLake, whose tables all change in one transaction and snapshot."""

from pathlib import Path

from jobs.publish_targets import PublishTarget
from jobs.publishing.targets.published_tables import PublishedTable, open_published_file
from jobs.warehouse.attached_databases import attach_database
from jobs.warehouse.connection import Connection, literal, quoted_name, transaction


def write_ducklake(published_file: Path, target: PublishTarget, setting_name: str) -> int:
    """Write the published tables to a schema of a DuckLake; return the number of rows of all tables together."""
    with open_published_file(published_file) as (connection, tables):
        attach_database(connection, "target", target.attached_database(), setting_name)
        schema = f"target.{quoted_name(target.schema_name)}"
        with transaction(connection):
            connection.execute(f"create schema if not exists {schema}")
            for table in tables:
                _write_table(connection, table, f"{schema}.{quoted_name(table.name)}")
        return sum(table.row_count for table in tables)


def _write_table(connection: Connection, published_table: PublishedTable, copy_relation: str) -> None:
    connection.execute(f"create or replace table {copy_relation} as from {published_table.relation}")
    for column, comment in published_table.column_comments.items():
        if comment:
            connection.execute(f"comment on column {copy_relation}.{quoted_name(column)} is {literal(comment)}")
    if published_table.table_comment:
        connection.execute(f"comment on table {copy_relation} is {literal(published_table.table_comment)}")
    published_table.require_same_row_count(connection, copy_relation)
