"""The migrations that upgrade an older warehouse to the present schema: one file for each, in the order of numbers.

A file ``mNNNN_what_it_does.py`` says in its docstring what changes, and has a function ``upgrade(connection)``, which
runs in a transaction together with the row of ``ml.schema_versions`` that records it. The number is the version of the
warehouse's schema after the step. If rows that dbt has built keep an old meaning after the step, the file's constant
``FULL_REFRESH`` says which; `nextmart run` then advises one full refresh.

The step of a new column runs before ``sql/ddl`` creates the tables that are missing, so a table may be missing.
``sql/ddl`` always has the present shape: a new column stands there too, for new warehouses. ``sql/ddl`` is executed if
a step is pending or a table is missing, else not. So a new table needs no step, and a changed view needs a step, even
a step that does nothing.
"""
