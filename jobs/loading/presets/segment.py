"""The preset for Segment: track calls of its e-commerce specification, as JSON lines or as warehouse tables.

https://segment.com/docs/connections/spec/ecommerce/v2/, https://segment.com/docs/connections/storage/warehouses/schema/
"""

from jobs.loading.presets.layout import FileLayout, Preset

# the event names of Segment's present specification, and those of the one before it
_EVENT_TYPES = {
    "product_viewed": "view",
    "viewed_product": "view",
    "product_clicked": "click",
    "clicked_product": "click",
    "product_added": "cart",
    "added_product": "cart",
    "product_added_to_wishlist": "wishlist",
    "order_completed": "purchase",
    "completed_order": "purchase",
}


def _event_name_sql(event_column: str) -> str:
    """Return the SQL that spells an event's name as Segment's warehouse tables do: lower case with underscores."""
    return f"replace(lower(trim({event_column})), ' ', '_')"


def _event_type_sql(event_column: str) -> str:
    cases = " ".join(f"when '{name}' then '{event_type}'" for name, event_type in _EVENT_TYPES.items())
    return f"case {_event_name_sql(event_column)} {cases} end"


def _is_product_event_sql(event_column: str) -> str:
    names = ", ".join(f"'{name}'" for name in _EVENT_TYPES)
    return f"{_event_name_sql(event_column)} in ({names})"


def _product_field_sql(event_json_column: str, field: str, *, event_fields_are_columns: bool = False) -> str:
    """Return the SQL of a product's field, read from an element of ``products`` or else from the event itself.

    Parameters
    ----------
    event_json_column : str
        The column with the event's own fields as JSON.
    event_fields_are_columns : bool
        Whether the event's own fields are columns of the file instead.
    """
    own = field if event_fields_are_columns else f"{event_json_column} ->> '{field}'"
    return f"coalesce(element ->> '{field}', {own})"


def _item_column_map(
    event_json_column: str, item_id_sql: str, *, event_fields_are_columns: bool = False
) -> dict[str, str]:
    names = {"title": "name", "brand": "brand", "category": "category", "price": "price"}
    return {
        "item_id": item_id_sql,
        **{
            ours: _product_field_sql(event_json_column, theirs, event_fields_are_columns=event_fields_are_columns)
            for ours, theirs in names.items()
        },
        "updated_at": '"timestamp"',
    }


_NUMBERED_EVENT_ID = "case when element_number > 1 then {id} || '-' || element_number else {id} end"
_TRACK_CALL_ITEM_ID = (
    "coalesce(element ->> 'product_id', element ->> 'sku', element ->> 'id', "
    "properties ->> 'product_id', properties ->> 'sku', properties ->> 'id')"
)
_TRACK_CALL_IS_OF_PRODUCT = f"coalesce(type, 'track') = 'track' and {_is_product_event_sql('event')}"
_WAREHOUSE_ROW_ITEM_ID = "coalesce(element ->> 'product_id', element ->> 'sku', element ->> 'id', product_id, sku)"
_WAREHOUSE_ROW_FIELDS = (
    "products",
    "product_id",
    "sku",
    "name",
    "brand",
    "category",
    "price",
    "context_user_agent",
    "user_id",
)

SEGMENT = Preset(
    "segment",
    "Segment, track calls",
    (
        FileLayout(
            table="events",
            usual_file_name="track calls",
            required_columns=("messageId", "timestamp", "event", "properties"),
            optional_columns=("anonymousId", "userId", "type", "context"),
            json_columns=("properties", "context"),
            unnested_list_sql="json_extract(properties, '$.products[*]')",
            where_sql=_TRACK_CALL_IS_OF_PRODUCT,
            column_map={
                "event_id": _NUMBERED_EVENT_ID.format(id='"messageId"'),
                "visitor_id": 'coalesce("anonymousId", "userId")',
                "user_id": '"userId"',
                "item_id": _TRACK_CALL_ITEM_ID,
                "event_type": _event_type_sql("event"),
                "event_at": '"timestamp"',
                "user_agent": "context ->> 'userAgent'",
            },
        ),
        FileLayout(
            table="events",
            usual_file_name="tables of a warehouse, such as order_completed",
            required_columns=("id", "timestamp", "event", "anonymous_id"),
            optional_columns=_WAREHOUSE_ROW_FIELDS,
            json_columns=("products",),
            unnested_list_sql="json_extract(products, '$[*]')",
            where_sql=_is_product_event_sql("event"),
            column_map={
                "event_id": _NUMBERED_EVENT_ID.format(id="id"),
                "visitor_id": "coalesce(anonymous_id, user_id)",
                "user_id": "user_id",
                "item_id": _WAREHOUSE_ROW_ITEM_ID,
                "event_type": _event_type_sql("event"),
                "event_at": '"timestamp"',
                "user_agent": "context_user_agent",
            },
        ),
        FileLayout(
            table="items",
            usual_file_name="track calls",
            required_columns=("messageId", "timestamp", "event", "properties"),
            optional_columns=("type",),
            json_columns=("properties",),
            unnested_list_sql="json_extract(properties, '$.products[*]')",
            where_sql=f"{_TRACK_CALL_IS_OF_PRODUCT} and {_TRACK_CALL_ITEM_ID} is not null",
            column_map=_item_column_map("properties", _TRACK_CALL_ITEM_ID),
        ),
        FileLayout(
            table="items",
            usual_file_name="tables of a warehouse, such as order_completed",
            required_columns=("id", "timestamp", "event", "anonymous_id"),
            optional_columns=_WAREHOUSE_ROW_FIELDS,
            json_columns=("products",),
            unnested_list_sql="json_extract(products, '$[*]')",
            where_sql=f"{_is_product_event_sql('event')} and {_WAREHOUSE_ROW_ITEM_ID} is not null",
            column_map=_item_column_map("", _WAREHOUSE_ROW_ITEM_ID, event_fields_are_columns=True),
        ),
    ),
)
