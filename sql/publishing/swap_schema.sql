-- This statement swaps schemas in PostgreSQL, in one transaction: the live schema gets the name of the old schema, and
-- the schema with the new tables gets the name of the live one. Only names change, so the swap waits for no reader.
do $swap$
declare
    incoming_name constant text := {incoming_schema};
    live_name constant text := {live_schema};
    old_name constant text := {old_schema};
    live_id constant oid := to_regnamespace(quote_ident(live_name));
    granted_right record;
    view_to_follow record;
begin
    if to_regnamespace(quote_ident(old_name)) is not null then
        raise exception 'the schema % is in the way: a query has been reading its tables since the publication before '
            'the last, or somebody has built on them', old_name;
    end if;
    set local lock_timeout = '10s';
    set local search_path = '';  -- with an empty search path, PostgreSQL's texts of views name the schema of each table

    -- the new schema, its tables and their columns get the rights that people have on the live ones
    for granted_right in
        select
            rights.privilege_type || coalesce(' (' || quote_ident(rights.column_name) || ')', '') as privilege,
            case when rights.table_name is null then format('schema %I', incoming_name)
                else format('%I.%I', incoming_name, rights.table_name) end as target,
            case when rights.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(rights.grantee)) end as grantee,
            case when rights.is_grantable then ' with grant option' else '' end as grant_option
        from (
            select null::name as table_name, null::name as column_name, nspowner as owner, acl.*
            from pg_catalog.pg_namespace cross join aclexplode(nspacl) as acl
            where oid = live_id
            union all
            select relname, null::name, relowner, acl.*
            from pg_catalog.pg_class cross join aclexplode(relacl) as acl
            where relnamespace = live_id and to_regclass(format('%I.%I', incoming_name, relname)) is not null
            union all
            select live_table.relname, live_column.attname, live_table.relowner, acl.*
            from pg_catalog.pg_class as live_table
            inner join pg_catalog.pg_attribute as live_column on live_table.oid = live_column.attrelid
            inner join pg_catalog.pg_attribute as new_column
                on to_regclass(format('%I.%I', incoming_name, live_table.relname)) = new_column.attrelid
                and live_column.attname = new_column.attname
            cross join aclexplode(live_column.attacl) as acl
            where live_table.relnamespace = live_id and not new_column.attisdropped
            union all
            -- a table that the live schema lacks gets the default rights of that schema
            select new_table.relname, null::name, new_table.relowner, acl.*
            from pg_catalog.pg_class as new_table
            inner join pg_catalog.pg_default_acl as defaults on new_table.relowner = defaults.defaclrole
            cross join aclexplode(defaults.defaclacl) as acl
            where new_table.relnamespace = to_regnamespace(quote_ident(incoming_name)) and new_table.relkind = 'r'
                and defaults.defaclnamespace = live_id and defaults.defaclobjtype = 'r'
                and to_regclass(format('%I.%I', live_name, new_table.relname)) is null
        ) as rights
        where rights.grantee <> rights.owner
    loop
        execute format(
            'grant %s on %s to %s%s',
            granted_right.privilege, granted_right.target, granted_right.grantee, granted_right.grant_option
        );
    end loop;

    -- Default rights on tables that are made later belong to a schema too. Those that belong to another role follow only
    -- if this user has that role's rights: from version 16 on, PostgreSQL refuses the change to mere members of the role
    for granted_right in
        select
            pg_get_userbyid(defaults.defaclrole) as role_name,
            acl.privilege_type as privilege,
            case when acl.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(acl.grantee)) end as grantee,
            case when acl.is_grantable then ' with grant option' else '' end as grant_option
        from pg_catalog.pg_default_acl as defaults cross join aclexplode(defaults.defaclacl) as acl
        where defaults.defaclnamespace = live_id and defaults.defaclobjtype = 'r'
            and pg_has_role(defaults.defaclrole, 'usage')
    loop
        execute format(
            'alter default privileges for role %I in schema %I grant %s on tables to %s%s',
            granted_right.role_name, incoming_name, granted_right.privilege, granted_right.grantee,
            granted_right.grant_option
        );
    end loop;

    -- Views that read the live tables must follow the swap. Each is made again from its own text: after the swap, the
    -- names in this text mean the new tables
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
        execute format('alter schema %I rename to %I', live_name, old_name);
    end if;
    execute format('alter schema %I rename to %I', incoming_name, live_name);
    for view_to_follow in select name, options, definition from pg_temp.views_to_follow loop
        execute format(
            'create or replace view %s%s as %s', view_to_follow.name, view_to_follow.options, view_to_follow.definition
        );
    end loop;
end
$swap$
