-- This statement drops, in PostgreSQL, the schema of the previous publication. The schema stays until the next
-- publication if a query still reads its tables, or other people's views or tables depend on them.
do $drop$
declare
    old constant text := {old_schema};
    old_table record;
begin
    set local lock_timeout = '2s';
    -- the drops have no `cascade`, which would drop other people's views and tables too
    for old_table in
        select relname from pg_class where relnamespace = to_regnamespace(quote_ident(old)) and relkind = 'r'
    loop
        execute format('drop table %I.%I', old, old_table.relname);
    end loop;
    execute format('drop schema if exists %I', old);
exception
    when lock_not_available or dependent_objects_still_exist then
        null;
end
$drop$
