"""The tables that a night ends with, without what differs between two nights of the same rows."""

# all columns but run ids, times, and the numbers of builds
FINAL_TABLES = {
    "names of all tables": "select table_schema, table_name from information_schema.tables",
    "rejected_events": "select * exclude (batch_id) from staging.rejected_events",
    "session_items": "select * exclude (batch_id, assigned_batch_id) from sessions.session_items",
    "sessions": "select * exclude (assigned_batch_id) from sessions.sessions",
    "sequences": "from sessions.sequences",
    "item_embeddings": "select * exclude (embedded_at) from catalog.item_embeddings",
    "lists": "select * exclude (model_version, generated_at) from {public}.visitor_recommendations",
    "wide": "select * exclude (model_version, generated_at) from {public}.visitor_recommendations_wide",
    "similar_items": "from {public}.similar_items",
    "popular_items": "from {public}.popular_items",
    "items": "select * exclude (first_seen_at) from {public}.items",
    "bought_together": "from {public}.bought_together",
    "viewed_together": "from {public}.viewed_together",
    "trending_items": "from {public}.trending_items",
    "pairs of baskets": "from sessions.basket_pairs",
    "leaderboard": "select * exclude (model_version, measured_at) from {public}.model_leaderboard",
}
