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

-- The rows of the catalogue.
-- `attributes`: the columns of the user's files that nextmart doesn't define, as one JSON object, such as
-- {"country":"DE","margin":0.3}.
create table if not exists raw.items (
    item_id varchar,
    title varchar,
    brand varchar,
    category varchar,
    description varchar,
    price varchar,
    available varchar,
    updated_at varchar,
    loaded_at timestamptz,
    attributes json
);

-- The visitors, with attributes from the user's files or tools, such as a country or a segment.
create table if not exists raw.visitors (
    visitor_id varchar,
    updated_at varchar,
    attributes json,
    loaded_at timestamptz
);

-- What was shown to visitors: a row for each time that an item was shown to a visitor, if the user's tools record it.
-- `placement`: name of the placement, null for the list of recommendations.visitor_recommendations.
-- `rank`: the item's place among the shown ones, from 1.
-- `propensity`: the probability, above 0 and at most 1, with which the shop chose this item for this place.
create table if not exists raw.impressions (
    impression_id varchar,
    visitor_id varchar,
    placement varchar,
    item_id varchar,
    rank varchar,
    shown_at varchar,
    propensity varchar,
    loaded_at timestamptz
);

-- Rows of files that `nextmart load` can't read: a row with too few or too many columns, an unclosed quote, bytes that
-- are no text, or malformed JSON. The column raw_row has the row's text, at most 10,000 characters of it.
create table if not exists raw.unreadable_rows (
    table_name varchar,
    file varchar,
    line bigint,
    raw_row varchar,
    reason varchar,
    loaded_at timestamptz
);

-- Items that `nextmart load --complete` withdrew, because a complete feed lacked them. An item that comes back is as
-- available as before, even if its feed has no column `available`.
-- `loaded_at`: as in the row of raw.items that withdraws the item.
-- `available`: what the catalogue said before.
create table if not exists raw.withdrawn_items (
    item_id varchar,
    available varchar,
    loaded_at timestamptz
);

-- The files of feeds that `nextmart load` has loaded: one row for each load of a file.
-- `definition`: the settings by which the file was read.
-- `loaded_at`: as in the file's rows in the raw table.
create table if not exists raw.loaded_files (
    feed varchar,
    path varchar,
    bytes bigint,
    modified_at timestamptz,
    sha256 varchar,
    definition json,
    rows_read bigint,
    rows_loaded bigint,
    rows_unreadable bigint,
    loaded_at timestamptz
);
