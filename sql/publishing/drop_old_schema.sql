-- PostgreSQL: drops the schema that a swap has replaced. Where a query still reads its tables, or somebody has built on
-- them, the schema stays until the next publication.
do $drop$
declare
    old constant text := {old_schema};
    old_table record;
begin
    set local lock_timeout = '2s';
    -- without `cascade`, which would drop what other people have built
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
