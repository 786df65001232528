"""The columns and types of every table that jobs create.

``tests/warehouse/test_columns.py`` compares them with the DDL in ``sql/ddl`` and with the dbt contracts, since SQL
files and dbt models use these tables too.
"""

from typing import Final

RAW_EVENTS: Final = {
    "event_id": "VARCHAR",
    "visitor_id": "VARCHAR",
    "user_id": "VARCHAR",
    "item_id": "VARCHAR",
    "event_type": "VARCHAR",
    "event_at": "VARCHAR",
    "source_session_id": "VARCHAR",
    "user_agent": "VARCHAR",
    "loaded_at": "TIMESTAMP WITH TIME ZONE",
}
"""Columns of ``raw.events``, rows as loaded: ids and times are text, so that unusable rows can be kept and shown."""

RAW_ITEMS: Final = {
    "item_id": "VARCHAR",
    "title": "VARCHAR",
    "brand": "VARCHAR",
    "category": "VARCHAR",
    "description": "VARCHAR",
    "price": "VARCHAR",
    "available": "VARCHAR",
    "updated_at": "VARCHAR",
    "loaded_at": "TIMESTAMP WITH TIME ZONE",
    "attributes": "JSON",
}

RAW_VISITORS: Final = {
    "visitor_id": "VARCHAR",
    "updated_at": "VARCHAR",
    "attributes": "JSON",
    "loaded_at": "TIMESTAMP WITH TIME ZONE",
}

RAW_IMPRESSIONS: Final = {
    "impression_id": "VARCHAR",
    "visitor_id": "VARCHAR",
    "placement": "VARCHAR",
    "item_id": "VARCHAR",
    "rank": "VARCHAR",
    "shown_at": "VARCHAR",
    "propensity": "VARCHAR",
    "loaded_at": "TIMESTAMP WITH TIME ZONE",
}

UNREADABLE_ROWS: Final = {
    "table_name": "VARCHAR",
    "file": "VARCHAR",
    "line": "BIGINT",
    "raw_row": "VARCHAR",
    "reason": "VARCHAR",
    "loaded_at": "TIMESTAMP WITH TIME ZONE",
}
"""Columns of ``raw.unreadable_rows``: rows of files that ``nextmart load`` can't read, each with file and line."""

WITHDRAWN_ITEMS: Final = {
    "item_id": "VARCHAR",
    "available": "VARCHAR",
    "loaded_at": "TIMESTAMP WITH TIME ZONE",
}

LOADED_FILES: Final = {
    "feed": "VARCHAR",
    "path": "VARCHAR",
    "bytes": "BIGINT",
    "modified_at": "TIMESTAMP WITH TIME ZONE",
    "sha256": "VARCHAR",
    "definition": "JSON",
    "rows_read": "BIGINT",
    "rows_loaded": "BIGINT",
    "rows_unreadable": "BIGINT",
    "loaded_at": "TIMESTAMP WITH TIME ZONE",
}
"""Columns of ``raw.loaded_files``: the files of feeds that ``nextmart load`` has loaded."""

EMBEDDINGS: Final = {
    "embedding_model": "VARCHAR",
    "dimensions": "INTEGER",
    "text_hash": "VARCHAR",
    "embedding": "FLOAT[]",
    "status": "VARCHAR",
    "error": "VARCHAR",
    "tokens": "BIGINT",
    "run_id": "VARCHAR",
    "created_at": "TIMESTAMP WITH TIME ZONE",
}

EMBEDDING_BATCHES: Final = {
    "submission_id": "VARCHAR",
    "batch_id": "VARCHAR",
    "embedding_model": "VARCHAR",
    "dimensions": "INTEGER",
    "status": "VARCHAR",
    "texts": "BIGINT",
    "tokens": "BIGINT",
    "results": "BIGINT",
    "error": "VARCHAR",
    "run_id": "VARCHAR",
    "created_at": "TIMESTAMP WITH TIME ZONE",
    "ended_at": "TIMESTAMP WITH TIME ZONE",
}

EMBEDDING_BATCH_TEXTS: Final = {
    "submission_id": "VARCHAR",
    "text_hash": "VARCHAR",
    "tokens": "BIGINT",
    "note": "VARCHAR",
}

FINE_TUNES: Final = {
    "fine_tune_id": "VARCHAR",
    "recipe": "VARCHAR",
    "base_model": "VARCHAR",
    "status": "VARCHAR",
    "training_file_id": "VARCHAR",
    "validation_file_id": "VARCHAR",
    "job_id": "VARCHAR",
    "fine_tuned_model": "VARCHAR",
    "examples": "BIGINT",
    "tokens": "BIGINT",
    "cost": "DOUBLE",
    "error": "VARCHAR",
    "created_at": "TIMESTAMP WITH TIME ZONE",
    "ended_at": "TIMESTAMP WITH TIME ZONE",
}

COMPLETIONS: Final = {
    "request_hash": "VARCHAR",
    "language_model": "VARCHAR",
    "answers": "JSON",
    "prompt_tokens": "BIGINT",
    "completion_tokens": "BIGINT",
    "cost": "DOUBLE",
    "created_at": "TIMESTAMP WITH TIME ZONE",
}

MODELS: Final = {
    "model_version": "VARCHAR",
    "model": "VARCHAR",
    "parameters": "JSON",
    "fingerprint": "VARCHAR",
    "data_cutoff_at": "TIMESTAMP WITH TIME ZONE",
    "training_rows": "BIGINT",
    "embedding_model": "VARCHAR",
    "seed": "BIGINT",
    "started_at": "TIMESTAMP WITH TIME ZONE",
    "finished_at": "TIMESTAMP WITH TIME ZONE",
    "status": "VARCHAR",
    "weights": "BLOB",
    "weights_sha256": "VARCHAR",
    "code_version": "VARCHAR",
    "schema_version": "INTEGER",
    "model_number": "BIGINT",
    "newest_loaded_at": "TIMESTAMP WITH TIME ZONE",
    "training_sequences": "BIGINT",
}

MODEL_METRICS: Final = {
    "model_version": "VARCHAR",
    "split": "VARCHAR",
    "metric": "VARCHAR",
    "k": "INTEGER",
    "segment": "VARCHAR",
    "value": "DOUBLE",
    "n": "BIGINT",
    "ci_low": "DOUBLE",
    "ci_high": "DOUBLE",
    "measured_at": "TIMESTAMP WITH TIME ZONE",
}

EXPERIMENT_RUNS: Final = {
    "model_version": "VARCHAR",
    "experiment": "VARCHAR",
    "label": "VARCHAR",
    "model": "VARCHAR",
    "parameters": "JSON",
    "seed": "BIGINT",
    "protocol": "VARCHAR",
    "embedding_model": "VARCHAR",
    "recipe_hash": "VARCHAR",
    "status": "VARCHAR",
    "fit_seconds": "DOUBLE",
    "recommend_seconds": "DOUBLE",
    "validation_value": "DOUBLE",
    "started_at": "TIMESTAMP WITH TIME ZONE",
    "finished_at": "TIMESTAMP WITH TIME ZONE",
    "error": "VARCHAR",
}

MODEL_RANKS: Final = {
    "model_version": "VARCHAR",
    "split": "VARCHAR",
    "cases_hash": "VARCHAR",
    "target_ranks": "INTEGER[]",
    "measured_at": "TIMESTAMP WITH TIME ZONE",
    "new_cases": "BOOLEAN[]",
    "newest_target_at": "TIMESTAMP WITH TIME ZONE",
}

CHAMPIONS: Final = {
    "changed_at": "TIMESTAMP WITH TIME ZONE",
    "model_version": "VARCHAR",
    "family": "VARCHAR",
    "is_live": "BOOLEAN",
    "pinned": "BOOLEAN",
    "reason": "VARCHAR",
    "compared_with": "VARCHAR",
    "difference": "DOUBLE",
    "ci_low": "DOUBLE",
    "ci_high": "DOUBLE",
    "decision_number": "BIGINT",
}

RECOMMENDATIONS: Final = {
    "run_id": "VARCHAR",
    "model_version": "VARCHAR",
    "visitor_id": "VARCHAR",
    "sequence_hash": "UBIGINT",
    "rank": "INTEGER",
    "item_id": "VARCHAR",
    "score": "DOUBLE",
    "source": "VARCHAR",
    "reason_item_id": "VARCHAR",
    "generated_at": "TIMESTAMP WITH TIME ZONE",
    "arm": "VARCHAR",
}

PLACEMENT_RECOMMENDATIONS: Final = {
    "placement": "VARCHAR",
    "visitor_id": "VARCHAR",
    "rank": "INTEGER",
    "item_id": "VARCHAR",
    "score": "DOUBLE",
    "source": "VARCHAR",
    "reason_item_id": "VARCHAR",
}

PLACEMENT_LISTS: Final = {
    "placement": "VARCHAR",
    "visitor_id": "VARCHAR",
    "k": "INTEGER",
    "length": "INTEGER",
    "model_version": "VARCHAR",
    "list_hash": "UBIGINT",
    "popularity_hash": "VARCHAR",
    "run_id": "VARCHAR",
    "generated_at": "TIMESTAMP WITH TIME ZONE",
    "arm": "VARCHAR",
}

ITEM_VARIANTS: Final = {
    "item_id": "VARCHAR",
    "variant_group": "VARCHAR",
}

PLACEMENT_RULES: Final = {
    "placement": "VARCHAR",
    "rule": "VARCHAR",
    "target": "VARCHAR",
    "definition": "VARCHAR",
}

SIMILAR_ITEMS: Final = {
    "run_id": "VARCHAR",
    "embedding_model": "VARCHAR",
    "item_id": "VARCHAR",
    "rank": "INTEGER",
    "similar_item_id": "VARCHAR",
    "score": "DOUBLE",
}

JOB_RUNS: Final = {
    "run_id": "VARCHAR",
    "job": "VARCHAR",
    "started_at": "TIMESTAMP WITH TIME ZONE",
    "finished_at": "TIMESTAMP WITH TIME ZONE",
    "status": "VARCHAR",
    "rows_in": "BIGINT",
    "rows_out": "BIGINT",
    "cost": "DOUBLE",
    "detail": "JSON",
    "error": "VARCHAR",
    "run_number": "BIGINT",
}

DELETIONS: Final = {
    "deletion_id": "VARCHAR",
    "deleted_at": "TIMESTAMP WITH TIME ZONE",
    "scope": "VARCHAR",
    "batch_id": "INTEGER",
    "raw_event_count": "BIGINT",
    "usable_event_count": "BIGINT",
    "session_count": "BIGINT",
    "recommendation_count": "BIGINT",
    "published_count": "BIGINT",
    "first_loaded_at": "TIMESTAMP WITH TIME ZONE",
    "model_number": "BIGINT",
}

PUBLICATION_CHANGES: Final = {
    "publication_number": "INTEGER",
    "decided_at": "TIMESTAMP WITH TIME ZONE",
    "publish_run_id": "VARCHAR",
    "outcome": "VARCHAR",
    "reason": "VARCHAR",
    "live_run_id": "VARCHAR",
    "model_version": "VARCHAR",
    "live_model_version": "VARCHAR",
    "visitors": "BIGINT",
    "live_visitors": "BIGINT",
    "new_visitors": "BIGINT",
    "gone_visitors": "BIGINT",
    "changed_visitor_share": "DOUBLE",
    "mean_list_overlap": "DOUBLE",
    "list_rows": "BIGINT",
    "live_list_rows": "BIGINT",
    "items": "BIGINT",
    "live_items": "BIGINT",
    "new_items": "BIGINT",
    "gone_items": "BIGINT",
    "similar_item_rows": "BIGINT",
    "live_similar_item_rows": "BIGINT",
    "popularity": "DOUBLE",
    "live_popularity": "DOUBLE",
    "mean_score": "DOUBLE",
    "live_mean_score": "DOUBLE",
    "published_file": "VARCHAR",
}

PUBLISHED_LISTS: Final = {
    "placement": "VARCHAR",
    "visitor_id": "VARCHAR",
    "rank": "INTEGER",
    "item_id": "VARCHAR",
    "model": "VARCHAR",
    "model_version": "VARCHAR",
    "source": "VARCHAR",
    "arm": "VARCHAR",
    "live_from": "TIMESTAMP WITH TIME ZONE",
    "live_until": "TIMESTAMP WITH TIME ZONE",
}
"""Columns of ``ml.published_lists``: the lists that have been live, each with the time in which it was."""

JOB_TABLES: Final = {
    "raw.events": RAW_EVENTS,
    "raw.items": RAW_ITEMS,
    "raw.visitors": RAW_VISITORS,
    "raw.impressions": RAW_IMPRESSIONS,
    "raw.unreadable_rows": UNREADABLE_ROWS,
    "raw.withdrawn_items": WITHDRAWN_ITEMS,
    "raw.loaded_files": LOADED_FILES,
    "ml.embeddings": EMBEDDINGS,
    "ml.embedding_batches": EMBEDDING_BATCHES,
    "ml.embedding_batch_texts": EMBEDDING_BATCH_TEXTS,
    "ml.fine_tunes": FINE_TUNES,
    "ml.completions": COMPLETIONS,
    "ml.models": MODELS,
    "ml.model_metrics": MODEL_METRICS,
    "ml.experiment_runs": EXPERIMENT_RUNS,
    "ml.model_ranks": MODEL_RANKS,
    "ml.champions": CHAMPIONS,
    "ml.recommendations": RECOMMENDATIONS,
    "ml.placement_recommendations": PLACEMENT_RECOMMENDATIONS,
    "ml.placement_lists": PLACEMENT_LISTS,
    "ml.item_variants": ITEM_VARIANTS,
    "ml.placement_rules": PLACEMENT_RULES,
    "ml.similar_items": SIMILAR_ITEMS,
    "ml.job_runs": JOB_RUNS,
    "ml.deletions": DELETIONS,
    "ml.publication_changes": PUBLICATION_CHANGES,
    "ml.published_lists": PUBLISHED_LISTS,
}
"""The columns of every table that jobs create and write, by the table's qualified name."""
