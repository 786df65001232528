-- The versions of the warehouse's schema: a row for each step of jobs/warehouse/migrations that was run, or one row for
-- the version with which the warehouse began. The highest version is the present one.
create schema if not exists ml;

-- `name`: name of the step.
-- `nextmart_version`: the version of nextmart that ran the step.
-- `full_refresh_reason`: which rows that dbt has built keep their old meaning after the step, and so need a full
-- refresh; null if there are none.
-- `full_refreshed_at`: when `nextmart run --full-refresh` built these rows anew.
create table if not exists ml.schema_versions (
    version integer primary key,
    name varchar not null,
    applied_at timestamptz not null,
    nextmart_version varchar not null,
    full_refresh_reason varchar,
    full_refreshed_at timestamptz
);
