def model(dbt, session):
    dbt.ref("evaluate_models")
    dbt.ref("latest_sequences")
    dbt.ref("item_embeddings")
    dbt.ref("items")
    dbt.ref("popular_items")

    from jobs.orchestration.dbt_entry import run_job

    return run_job("recommend", session, dbt.config.get("meta"))
