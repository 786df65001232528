-- The tables that the jobs write. Each job has its own connection, and commits rows bit by bit while it works.
create schema if not exists ml;

-- The vectors of texts: one row for each text, embedding model and number of dimensions. Equal texts are paid for once.
-- `status`: ok; too_long (the text was too long for the model: it was cut, or `embedding` is null); or failed.
-- `run_id`: key in ml.job_runs of the run that wrote the row.
create table if not exists ml.embeddings (
    embedding_model varchar not null,
    dimensions integer not null,
    text_hash varchar not null,
    embedding float[],
    status varchar not null,
    error varchar,
    tokens bigint,
    run_id varchar not null,
    created_at timestamptz not null,
    primary key (embedding_model, dimensions, text_hash)
);

-- Batches of texts that a service embeds within a day. A row is written before its batch is submitted, so that no batch
-- is lost or paid for twice.
-- `batch_id`: the service's id of the batch, null until it is known.
-- `status`: preparing, then the status that the service reports; lost if the service does not know the batch.
-- `tokens`: number of tokens of all texts of the batch.
-- `ended_at`: when the results were stored, or when it became known that there are none.
create table if not exists ml.embedding_batches (
    submission_id varchar primary key,
    batch_id varchar,
    embedding_model varchar not null,
    dimensions integer not null,
    status varchar not null,
    texts bigint not null,
    tokens bigint not null,
    results bigint not null,
    error varchar,
    run_id varchar not null,
    created_at timestamptz not null,
    ended_at timestamptz
);

-- The texts of embedding batches that have not ended, and texts that an ended batch left without a vector.
create table if not exists ml.embedding_batch_texts (
    submission_id varchar not null,
    text_hash varchar not null,
    tokens bigint not null,
    note varchar,
    primary key (submission_id, text_hash)
);

-- Language models that a service fine-tunes. A row is written before the fine-tuning job is submitted, so that no job
-- is lost or paid for twice.
-- `fine_tune_id`: hash of the recipe and of the number of the attempt; the service gets it too.
-- `recipe`: hash of the examples and of all that the request asks for.
-- `status`: preparing, then the status that the service reports; lost if the service no longer knows the job.
-- `tokens`: number of tokens of all epochs; first as planned, later as charged.
-- `cost`: US dollars, null until the job is charged.
-- `training_file_id`, `validation_file_id`: files at the service, null once they are deleted there.
create table if not exists ml.fine_tunes (
    fine_tune_id varchar primary key,
    recipe varchar not null,
    base_model varchar not null,
    status varchar not null,
    training_file_id varchar,
    validation_file_id varchar,
    job_id varchar,
    fine_tuned_model varchar,
    examples bigint not null,
    tokens bigint not null,
    cost double,
    error varchar,
    created_at timestamptz not null,
    ended_at timestamptz
);

-- Answers of a service's language models. Equal requests are paid for once.
-- `request_hash`: hash of the model, the messages and the sampling parameters.
-- `answers`: a list of texts.
-- `cost`: US dollars.
create table if not exists ml.completions (
    request_hash varchar primary key,
    language_model varchar not null,
    answers json not null,
    prompt_tokens bigint not null,
    completion_tokens bigint not null,
    cost double not null,
    created_at timestamptz not null
);

-- Fitted models with their weights.
-- `status`: candidate, live or retired.
-- `fingerprint`: hash of all that determines the model (family, parameters, protocol, embeddings, code), except the
-- data.
-- `schema_version`: version of the layout of the weights, null for models that are older than this column.
-- `model_number`: later models have higher numbers. Models are ordered by it, because a clock can be wrong or set back.
-- `newest_loaded_at`: the latest `loaded_at` of the events that the model could learn from.
-- `training_rows`: how many sequences the model has learnt from.
-- `training_sequences`: the setting of this name with which the model was trained: the most sequences that it could
-- learn from, the newest first; null if it has learnt from all training sequences.
create table if not exists ml.models (
    model_version varchar primary key,
    model varchar not null,
    parameters json not null,
    fingerprint varchar not null,
    data_cutoff_at timestamptz,
    training_rows bigint not null,
    embedding_model varchar,
    seed bigint not null,
    started_at timestamptz not null,
    finished_at timestamptz not null,
    status varchar not null,
    weights blob,
    weights_sha256 varchar,
    code_version varchar not null,
    schema_version integer,
    model_number bigint,
    newest_loaded_at timestamptz,
    training_sequences bigint
);

create table if not exists ml.model_metrics (
    model_version varchar not null,
    split varchar not null,
    metric varchar not null,
    k integer not null,
    segment varchar not null,
    value double,
    n bigint not null,
    ci_low double,
    ci_high double,
    measured_at timestamptz not null,
    primary key (model_version, split, metric, k, segment)
);

-- How each model ranked the held-out cases of a split. No id of a visitor or user is kept.
-- `target_ranks`: for each case, in the order of sequence_id, the rank of the target item among the first 20
-- recommended items; 0 if it is not among them.
-- `cases_hash`: hash of the cases' ids, items and targets. Two models with the same hash can be compared case by case.
-- `new_cases`: for each validation case, whether it is new: its target happened after the targets of all validation
-- cases on which models were measured before. Null for test cases, and for models that are older than this column.
-- `newest_target_at`: the time of the newest target of the validation cases; null where `new_cases` is.
create table if not exists ml.model_ranks (
    model_version varchar not null,
    split varchar not null,
    cases_hash varchar not null,
    target_ranks integer[] not null,
    measured_at timestamptz not null,
    new_cases boolean[],
    newest_target_at timestamptz,
    primary key (model_version, split)
);

-- One row for each run of an experiment: a model with its parameters and a seed, or the best parameters of a
-- hyper-parameter search (its `label` begins with search). The run's metrics and ranks are in ml.model_metrics and
-- ml.model_ranks under its `model_version`. Models of experiments never become live.
-- `seed`: null if nothing in the run is random.
-- `status`: running, done, failed or interrupted.
-- `recipe_hash`: hash of all that determines the run.
-- `validation_value`: nDCG@20 on the sequences that decided when to stop training; for a hyper-parameter search, the
-- mean over its folds.
create table if not exists ml.experiment_runs (
    model_version varchar primary key,
    experiment varchar not null,
    label varchar not null,
    model varchar not null,
    parameters json not null,
    seed bigint,
    protocol varchar not null,
    embedding_model varchar,
    recipe_hash varchar not null,
    status varchar not null,
    fit_seconds double,
    recommend_seconds double,
    validation_value double,
    started_at timestamptz not null,
    finished_at timestamptz,
    error varchar
);

-- Decisions about which model is live. A decision adds a row for each model whose `is_live`, `pinned` or `reason` has
-- changed since the model's last row. A model's newest row is the valid one; the newest row with `is_live` is that of
-- the live model.
-- `pinned`: whether the model was made live by hand, and not unpinned since.
-- `compared_with`: version of the model with which this model was compared.
-- `difference`: this model's mean of the selection metric less the other model's mean, on the same cases.
-- `ci_low`, `ci_high`: interval of `difference`. Between models of one family it is a 95 % interval of one comparison.
-- Between families, the comparison is made again and again over a year, with several challengers; the interval is wide
-- enough to hold for all of these together.
-- `decision_number`: later decisions have higher numbers; the rows of one decision have the same.
create table if not exists ml.champions (
    changed_at timestamptz not null,
    model_version varchar not null,
    family varchar not null,
    is_live boolean not null,
    pinned boolean not null,
    reason varchar not null,
    compared_with varchar,
    difference double,
    ci_low double,
    ci_high double,
    decision_number bigint,
    primary key (changed_at, model_version)
);

-- Recommendations of recent runs.
-- `sequence_hash`: hash of the items of the sequence from which the visitor's rows were made, and of which of them are
-- targets if the dbt var `target_event_types` is set.
-- `arm`: model, or control for a visitor who gets the control's lists ([arms] in nextmart.toml).
create table if not exists ml.recommendations (
    run_id varchar not null,
    model_version varchar not null,
    visitor_id varchar not null,
    sequence_hash ubigint not null,
    rank integer not null,
    item_id varchar not null,
    score double not null,
    source varchar not null,
    reason_item_id varchar,
    generated_at timestamptz not null,
    arm varchar default 'model'
);

-- The lists of placements ([placements.NAME] in nextmart.toml). A list that nothing has changed keeps its rows.
-- `source`: family of the model, popularity, or pin.
create table if not exists ml.placement_recommendations (
    placement varchar not null,
    visitor_id varchar not null,
    rank integer not null,
    item_id varchar not null,
    score double not null,
    source varchar not null,
    reason_item_id varchar
);

-- One row for each placement and visitor in its scope, written together with the visitor's list.
-- `k`: wanted length of the list.
-- `length`: number of rows of the list.
-- `list_hash`: hash of all that determines the list, except popularity.
-- `popularity_hash`: hash of the popularity of items, null if the list doesn't depend on popularity.
-- `arm`: as in ml.recommendations.
create table if not exists ml.placement_lists (
    placement varchar not null,
    visitor_id varchar not null,
    k integer not null,
    length integer not null,
    model_version varchar not null,
    list_hash ubigint not null,
    popularity_hash varchar,
    run_id varchar not null,
    generated_at timestamptz not null,
    arm varchar default 'model'
);

-- Which items are variants of one another. The job place writes the rows if a placement has the key one_per_variant.
-- `variant_group`: the lowest item_id among the item and its variants.
create table if not exists ml.item_variants (
    item_id varchar primary key,
    variant_group varchar not null
);

-- The rules by which the lists of placements were last filled, for dbt's tests. The job place replaces changed rules.
-- `placement`: null for items_query and visitors_query, which all placements share.
-- `rule`: items_query or visitors_query (a query for the items or visitors, with all columns that rules may name), k,
-- items, visitors, slot, boost, pin, max_per, exclude_event, exclude_since, repeats, diversity or fallback.
-- `target`: the rank of a slot or pin, or the column of max_per.
-- `definition`: the rule itself. It is SQL for a query, items, visitors, slot and boost, an item_id for pin, an event
-- type for exclude_event and a time for exclude_since; for the others, it is the value of the placement's key.
create table if not exists ml.placement_rules (
    placement varchar,
    rule varchar not null,
    target varchar,
    definition varchar not null
);

-- For each item, the available items whose embeddings are nearest to its own.
create table if not exists ml.similar_items (
    run_id varchar not null,
    embedding_model varchar not null,
    item_id varchar not null,
    rank integer not null,
    similar_item_id varchar not null,
    score double not null
);

-- One row for each run of a job.
-- `status`: running, done, unchanged (there was nothing to do), failed or interrupted.
-- `run_number`: later runs have higher numbers.
create table if not exists ml.job_runs (
    run_id varchar primary key,
    job varchar not null,
    started_at timestamptz not null,
    finished_at timestamptz,
    status varchar not null,
    rows_in bigint,
    rows_out bigint,
    cost double,
    detail json,
    error varchar,
    run_number bigint
);

-- One row for each deletion by `nextmart forget`, without the id of the person.
-- `scope`: visitor or user.
-- `batch_id`: number of the deletion: the next number after those of all builds and earlier deletions. Old events of
-- other people, who share a device with the person, get this number as batch_id, so that the next build makes their
-- sessions again.
-- `session_count`: number of deleted sessions. It counts sessions on shared devices too, which the next build makes
-- again.
-- `first_loaded_at`: earliest `loaded_at` of a usable event that was deleted, null if none was usable.
-- `model_number`: the highest number of a model at that time.
create table if not exists ml.deletions (
    deletion_id varchar primary key,
    deleted_at timestamptz not null,
    scope varchar not null,
    batch_id integer not null,
    raw_event_count bigint not null,
    usable_event_count bigint not null,
    session_count bigint not null,
    recommendation_count bigint not null,
    published_count bigint not null,
    first_loaded_at timestamptz,
    model_number bigint
);

-- One row for each publication, done or held (stopped, because too much was missing): how its tables differ from those
-- that were live. The columns are described in _recommendations__models.yml, because dbt shows the table as
-- recommendations.publication_changes.
-- `published_file`: path of the file, which is not shown to readers.
create table if not exists ml.publication_changes (
    publication_number integer not null,
    decided_at timestamptz not null,
    publish_run_id varchar not null,
    outcome varchar not null,
    reason varchar,
    live_run_id varchar,
    model_version varchar,
    live_model_version varchar,
    visitors bigint not null,
    live_visitors bigint,
    new_visitors bigint,
    gone_visitors bigint,
    changed_visitor_share double,
    mean_list_overlap double,
    list_rows bigint not null,
    live_list_rows bigint,
    items bigint not null,
    live_items bigint,
    new_items bigint,
    gone_items bigint,
    similar_item_rows bigint not null,
    live_similar_item_rows bigint,
    popularity double not null,
    live_popularity double,
    mean_score double,
    live_mean_score double,
    published_file varchar not null
);

-- The published lists, with the time in which each was live: a row for each place of a list. A publication that doesn't
-- change a list leaves its rows as they are. All rows of a list have the same times.
-- `placement`: default for the list of recommendations.visitor_recommendations.
-- `model`: family of the model that made the list, popularity if none did.
-- `live_until`: null while the list is live.
create table if not exists ml.published_lists (
    placement varchar not null,
    visitor_id varchar not null,
    rank integer not null,
    item_id varchar not null,
    model varchar not null,
    model_version varchar not null,
    source varchar not null,
    arm varchar not null,
    live_from timestamptz not null,
    live_until timestamptz
);

-- Models that must be trained again, because they were trained on events that have been deleted since.
create or replace view ml.models_due as
select
    models.model_version,
    models.model,
    models.started_at,
    max(deletions.deleted_at) as deleted_at
from ml.models as models
inner join ml.deletions as deletions
    on
        coalesce(models.newest_loaded_at, models.started_at) >= deletions.first_loaded_at
        and case
            when deletions.model_number is null then models.started_at < deletions.deleted_at
            else models.model_number <= deletions.model_number
        end
where models.weights is not null
group by models.model_version, models.model, models.started_at;
