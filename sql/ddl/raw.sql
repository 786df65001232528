-- The tables that the user's own tools, or `nextmart load`, fill. Ids and times are text here, so that a row with a
-- malformed value arrives all the same and can be listed with the reason why it is rejected.
create schema if not exists raw;

create table if not exists raw.events (
    event_id varchar,
    visitor_id varchar,
    user_id varchar,
    item_id varchar,
    event_type varchar,
    event_at varchar,
    source_session_id varchar,
    user_agent varchar,
    loaded_at timestamptz
);

create table if not exists raw.items (
    item_id varchar,
    title varchar,
    brand varchar,
    category varchar,
    description varchar,
    price varchar,
    available varchar,
    updated_at varchar,
    loaded_at timestamptz
);
