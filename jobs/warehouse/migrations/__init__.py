"""The migrations that upgrade an older warehouse to the present schema: one file for each, in the order of numbers.

A file ``mNNNN_what_it_does.py`` says in its docstring what changes, and has a function ``upgrade(connection)``, which
runs in a transaction together with the row of ``ml.schema_versions`` that records it. The number is the version of the
warehouse's schema after the migration. If rows that dbt built before keep an old meaning, the file's constant
``FULL_REFRESH`` says which; `nextmart run` then advises one full refresh.

``sql/ddl`` always has the present shape: a new column stands there too, for new warehouses. It is executed only if a
migration is pending or a table is missing. So a new table needs no migration, and a changed view needs one, even one
that does nothing. Migrations run before ``sql/ddl``, so the table that gets a new column may not exist yet.
"""
