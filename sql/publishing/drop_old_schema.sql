-- This statement drops the schema of the previous publication in PostgreSQL. If a query still reads its tables, or if
-- other people's views or tables depend on them, the schema stays; the next publication tries again.
do $drop$
declare
    old_name constant text := {old_schema};
    old_table record;
begin
    set local lock_timeout = '2s';
    -- without `cascade`, which would drop other people's views and tables too
    for old_table in
        select relname from pg_class where relnamespace = to_regnamespace(quote_ident(old_name)) and relkind = 'r'
    loop
        execute format('drop table %I.%I', old_name, old_table.relname);
    end loop;
    execute format('drop schema if exists %I', old_name);
exception
    when lock_not_available or dependent_objects_still_exist then
        null;
end
$drop$
