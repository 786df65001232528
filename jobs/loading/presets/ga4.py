"""The preset for Google Analytics 4: the daily tables of its BigQuery export, as JSON lines or Parquet.

https://support.google.com/analytics/answer/7029846. BigQuery writes integers as texts in JSON files.
"""

from jobs.loading.presets.layout import FileLayout, Preset

_ITEM_ID = "element ->> 'item_id'"

GA4 = Preset(
    "ga4",
    "Google Analytics 4, BigQuery export",
    (
        FileLayout(
            table="events",
            usual_file_name="events_YYYYMMDD",
            required_columns=("event_name", "event_timestamp", "user_pseudo_id", "event_params", "items"),
            optional_columns=("user_id",),
            json_columns=("event_params", "items"),
            unnested_list_sql="json_extract(items, '$[*]')",
            where_sql="event_name in ('view_item', 'add_to_cart', 'add_to_wishlist', 'purchase')",
            column_map={
                "visitor_id": "user_pseudo_id",
                "user_id": "user_id",
                "item_id": _ITEM_ID,
                "event_type": "case event_name when 'view_item' then 'view' when 'add_to_cart' then 'cart' "
                "when 'add_to_wishlist' then 'wishlist' else event_name end",
                "event_at": "event_timestamp",
                # ga_session_id is the second in which a session began, so that several visitors can have the same one
                "source_session_id": "user_pseudo_id || '-' || (list_filter(json_extract(event_params, '$[*]'), "
                "lambda parameter: parameter ->> 'key' = 'ga_session_id')[1] ->> '$.value.int_value')",
            },
        ),
        FileLayout(
            table="items",
            usual_file_name="events_YYYYMMDD",
            required_columns=("event_timestamp", "items"),
            json_columns=("items",),
            unnested_list_sql="json_extract(items, '$[*]')",
            where_sql=f"{_ITEM_ID} is not null",
            column_map={
                "item_id": _ITEM_ID,
                "title": "element ->> 'item_name'",
                "brand": "element ->> 'item_brand'",
                "category": "nullif(concat_ws(' > ', "
                + ", ".join(
                    f"nullif(nullif(element ->> 'item_category{number}', ''), '(not set)')"
                    for number in ("", 2, 3, 4, 5)
                )
                + "), '')",
                "price": "element ->> 'price'",
                "updated_at": "event_timestamp",
            },
        ),
    ),
)
