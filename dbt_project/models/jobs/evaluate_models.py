def model(dbt, session):
    dbt.ref("train_models")

    from jobs.orchestration.dbt_entry import run_job

    return run_job("evaluate", session, dbt.config.get("meta"))
