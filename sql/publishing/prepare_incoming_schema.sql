-- This statement makes the empty schema in PostgreSQL into which the new tables are written. If something would prevent
-- the later swap of schemas, it raises an error, so that no table is copied in vain.
do $prepare$
declare
    incoming_name constant text := {incoming_schema};
    live_name constant text := {live_schema};
    live_id constant oid := to_regnamespace(quote_ident(live_name));
    blocker record;
begin
    for blocker in
        select pg_rewrite.ev_class::regclass as name
        from pg_depend
        inner join pg_rewrite on pg_depend.classid = 'pg_rewrite'::regclass and pg_depend.objid = pg_rewrite.oid
        inner join pg_class as reader on pg_rewrite.ev_class = reader.oid and reader.relkind = 'm'
        inner join pg_class as live_table on pg_depend.refobjid = live_table.oid
        where live_table.relnamespace = live_id
        union
        select pg_constraint.conrelid::regclass
        from pg_constraint
        inner join pg_class as live_table on pg_constraint.confrelid = live_table.oid
        where pg_constraint.contype = 'f' and live_table.relnamespace = live_id
    loop
        raise exception '% depends on a table of the schema %, whose tables are replaced: let it read a view over the '
            'table instead, which will follow', blocker.name, live_name;
    end loop;
    -- a `nextmart publish` that was killed may have left a schema of this name
    execute format('drop schema if exists %I cascade', incoming_name);
    execute format('create schema %I', incoming_name);
end
$prepare$
