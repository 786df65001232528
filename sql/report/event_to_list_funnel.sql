-- The steps from loaded events to visitors' lists, each with the number of rows or visitors that reach it
select
    (select count(*) from raw.events) as raw_events,
    (select count(*) from staging.stg_events) as usable_events,
    (select count(*) from staging.rejected_events) as rejected_events,
    (select count(*) from sessions.sessions) as sessions,
    (select count(*) from sessions.sessions where is_bot) as bot_sessions,
    (select count(*) from sessions.sequences) as sequences,
    (select count(distinct visitor_id) from sessions.latest_sequences) as visitors,
    (select count(distinct visitor_id) from recommendations.visitor_recommendations) as visitors_with_lists;
