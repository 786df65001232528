def model(dbt, session):
    dbt.ref("item_embeddings")
    dbt.ref("sequences")
    dbt.ref("items")

    from jobs.orchestration.dbt_entry import run_job

    return run_job("train", session, dbt.config.get("meta"))
