-- This statement gives, in PostgreSQL, the schema of the complete new tables the name of the live schema, which gets the
-- name of the old schema. Both happen in one transaction. Only names change, so the swap waits for no reader.
do $swap$
declare
    incoming constant text := {incoming_schema};
    live constant text := {live_schema};
    old constant text := {old_schema};
    live_id constant oid := to_regnamespace(quote_ident(live));
    granted record;
    followed record;
begin
    if to_regnamespace(quote_ident(old)) is not null then
        raise exception 'the schema % is in the way: a query has been reading its tables since the publication before '
            'the last, or somebody has built on them', old;
    end if;
    set local lock_timeout = '10s';
    set local search_path = '';  -- with an empty search path, PostgreSQL's texts of views name the schema of each table

    -- the new schema and its tables get the rights that people have on the live schema and its tables
    for granted in
        select
            rights.privilege_type,
            case when rights.table_name is null then format('schema %I', incoming)
                else format('%I.%I', incoming, rights.table_name) end as target,
            case when rights.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(rights.grantee)) end as grantee,
            case when rights.is_grantable then ' with grant option' else '' end as grant_option
        from (
            select null::name as table_name, nspowner as owner, acl.*
            from pg_catalog.pg_namespace cross join aclexplode(nspacl) as acl
            where oid = live_id
            union all
            select relname, relowner, acl.*
            from pg_catalog.pg_class cross join aclexplode(relacl) as acl
            where relnamespace = live_id and to_regclass(format('%I.%I', incoming, relname)) is not null
        ) as rights
        where rights.grantee <> rights.owner
    loop
        execute format(
            'grant %s on %s to %s%s', granted.privilege_type, granted.target, granted.grantee, granted.grant_option
        );
    end loop;

    -- each view that reads the live tables is made again from its text, whose names mean the new tables after the swap
    create temporary table views_to_follow on commit drop as
    select distinct
        reader.oid::regclass::text as name,
        pg_get_viewdef(reader.oid) as definition,
        coalesce(' with (' || array_to_string(reader.reloptions, ', ') || ')', '') as options
    from pg_catalog.pg_depend
    inner join pg_catalog.pg_rewrite on pg_depend.classid = 'pg_rewrite'::regclass and pg_depend.objid = pg_rewrite.oid
    inner join pg_catalog.pg_class as reader on pg_rewrite.ev_class = reader.oid and reader.relkind = 'v'
    inner join pg_catalog.pg_class as live_table on pg_depend.refobjid = live_table.oid
    where live_table.relnamespace = live_id;
    if live_id is not null then
        execute format('alter schema %I rename to %I', live, old);
    end if;
    execute format('alter schema %I rename to %I', incoming, live);
    for followed in select name, options, definition from pg_temp.views_to_follow loop
        execute format('create or replace view %s%s as %s', followed.name, followed.options, followed.definition);
    end loop;
end
$swap$
