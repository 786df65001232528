def model(dbt, session):
    dbt.ref("item_texts")

    from jobs.orchestration.dbt_entry import run_job

    return run_job("embed", session, dbt.config.get("meta"))
