def model(dbt, session):
    dbt.ref("recommend_items")
    dbt.ref("latest_sequences")
    dbt.ref("session_items")
    dbt.ref("sessions")
    dbt.ref("bot_visitors")
    dbt.ref("item_embeddings")
    dbt.ref("items")
    dbt.ref("public_items")
    dbt.ref("visitors")
    dbt.ref("attribute_types")
    dbt.ref("popular_items")

    from jobs.orchestration.dbt_entry import run_job

    return run_job("place", session, dbt.config.get("meta"))
