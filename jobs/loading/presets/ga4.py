"""The preset for Google Analytics 4: the daily tables of its BigQuery export, as JSON lines or Parquet.

https://support.google.com/analytics/answer/7029846. BigQuery writes integers of JSON files as texts.
"""

from jobs.loading.presets.layout import Layout, Preset

_ITEM_ID = "element ->> 'item_id'"

GA4 = Preset(
    "ga4",
    "Google Analytics 4, BigQuery export",
    (
        Layout(
            table="events",
            usual_name="events_YYYYMMDD",
            needs=("event_name", "event_timestamp", "user_pseudo_id", "event_params", "items"),
            may_have=("user_id",),
            json_columns=("event_params", "items"),
            elements="json_extract(items, '$[*]')",
            where="event_name in ('view_item', 'add_to_cart', 'add_to_wishlist', 'purchase')",
            columns={
                "visitor_id": "user_pseudo_id",
                "user_id": "user_id",
                "item_id": _ITEM_ID,
                "event_type": "case event_name when 'view_item' then 'view' when 'add_to_cart' then 'cart' "
                "when 'add_to_wishlist' then 'wishlist' else event_name end",
                "event_at": "event_timestamp",
                # ga_session_id is the second in which a session began; several visitors can have the same ga_session_id
                "source_session_id": "user_pseudo_id || '-' || (list_filter(json_extract(event_params, '$[*]'), "
                "lambda parameter: parameter ->> 'key' = 'ga_session_id')[1] ->> '$.value.int_value')",
            },
        ),
        Layout(
            table="items",
            usual_name="events_YYYYMMDD",
            needs=("event_timestamp", "items"),
            json_columns=("items",),
            elements="json_extract(items, '$[*]')",
            where=f"{_ITEM_ID} is not null",
            columns={
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
