"""Layouts for WooCommerce's orders as CSV, which plugins write, in the three most common formats.

https://woocommerce.com/document/ordercustomer-csv-export/ (a row for each order, all of its lines in one column),
https://woocommerce.com/document/import-and-export-of-woocommerce-orders/ (a row for each order, a column for each line)
and https://wordpress.org/plugins/woo-order-export-lite/ (a row for each line). Their times are in the shop's time
zone, which the files don't name.
"""

from jobs.loading.presets.layout import FileLayout

_EVENT_TYPE = (
    "case when regexp_replace(lower(trim({status})), '^wc-', '') in ('cancelled', 'refunded', 'failed', 'trash') "
    "then 'cancellation' when regexp_replace(lower(trim({status})), '^wc-', '') in "
    "('pending', 'pending payment', 'checkout-draft', 'draft') then 'checkout' else 'purchase' end"
)
# guests have the customer_id 0, so the e-mail address identifies them; it is hashed, because visitor ids are published
_HASHED_ADDRESS = "sha256(lower(nullif(trim({address}), '')))"
_CUSTOMER = "nullif(nullif(trim(customer_id), ''), '0')"
_ITEM = "coalesce(nullif(element ->> 'product_id', '0'), element ->> 'sku', element ->> 'name')"


def _order_lines_sql(line_texts_sql: str) -> str:
    """Return the SQL of an order's lines as a list of JSON objects.

    Parameters
    ----------
    line_texts_sql : str
        SQL of a list with a text for each line of the order, such as ``name:Mug|product_id:22``.
    """
    fields = ", ".join(
        f"'{name}', nullif(trim(regexp_extract(line, '(?:^|[|]){pattern}:([^|]*)', 1)), '')"
        for name, pattern in (
            ("id", "id"),
            ("product_id", "product_id"),
            ("sku", "sku"),
            ("name", "name"),
            ("quantity", "quantity"),
            ("subtotal", "sub_?total"),
        )
    )
    filled_texts = f"list_filter({line_texts_sql}, lambda line: trim(line) <> '')"
    return f"list_transform({filled_texts}, lambda line: json_object({fields}))"


def _value_of_whole_order_sql(column: str) -> str:
    """Return the SQL of a column's value for the whole order, which may stand only in the order's first row."""
    return f"""max(nullif(trim("{column}"), '')) over (partition by "Order Number")"""


def _order_layouts(
    usual_file_name: str, time_column: str, unnested_list_sql: str, required_columns: tuple[str, ...]
) -> tuple[FileLayout, FileLayout]:
    """Return two layouts of a file with a row for each order: one for events, one for items."""
    required_columns = ("order_id", time_column, "status", "billing_email", *required_columns)
    price = "try_cast(element ->> 'subtotal' as double) / nullif(try_cast(element ->> 'quantity' as double), 0)"
    return (
        FileLayout(
            table="events",
            usual_file_name=usual_file_name,
            required_columns=required_columns,
            optional_columns=("customer_id", "customer_user_agent"),
            unnested_list_sql=unnested_list_sql,
            column_map={
                "event_id": "concat_ws('-', order_id, coalesce(element ->> 'id', element_number::varchar))",
                "visitor_id": f"coalesce({_CUSTOMER}, {_HASHED_ADDRESS.format(address='billing_email')})",
                "user_id": _CUSTOMER,
                "item_id": _ITEM,
                "event_type": _EVENT_TYPE.format(status="status"),
                "event_at": time_column,
                "source_session_id": "order_id",
                "user_agent": "customer_user_agent",
            },
        ),
        FileLayout(
            table="items",
            usual_file_name=usual_file_name,
            required_columns=required_columns,
            unnested_list_sql=unnested_list_sql,
            where_sql=f"{_ITEM} is not null",
            column_map={"item_id": _ITEM, "title": "element ->> 'name'", "price": price, "updated_at": time_column},
        ),
    )


_LINE = """coalesce(nullif(trim("Product Id"), ''), nullif(trim("SKU"), ''), "Item Name")"""
_LINES_IN_ROWS = (
    FileLayout(
        table="events",
        usual_file_name="orders of Advanced Order Export (CSV)",
        required_columns=("Order Number", "Order Status", "Order Date", "Email (Billing)", "SKU", "Item Name"),
        optional_columns=("Product Id",),
        column_map={
            "visitor_id": _HASHED_ADDRESS.format(address=_value_of_whole_order_sql("Email (Billing)")),
            "item_id": _LINE,
            "event_type": _EVENT_TYPE.format(status=_value_of_whole_order_sql("Order Status")),
            "event_at": _value_of_whole_order_sql("Order Date"),
            "source_session_id": '"Order Number"',
        },
    ),
    FileLayout(
        table="items",
        usual_file_name="orders of Advanced Order Export (CSV)",
        required_columns=("Order Number", "Order Date", "SKU", "Item Name"),
        optional_columns=("Product Id", "Item Cost"),
        column_map={
            "item_id": _LINE,
            "title": '"Item Name"',
            "price": '"Item Cost"',
            "updated_at": _value_of_whole_order_sql("Order Date"),
        },
    ),
)

ORDERS_AS_CSV = (
    *_order_layouts(
        "orders of Customer/Order/Coupon Export (CSV)",
        "date",
        _order_lines_sql(r"string_split(regexp_replace(line_items, ';(id|name):', chr(30) || '\1:', 'g'), chr(30))"),
        required_columns=("line_items",),
    ),
    *_order_layouts(
        "orders of Order Export & Order Import (CSV)",
        "order_date",
        _order_lines_sql("[*columns('^line_item_[0-9]+$')]"),
        required_columns=("line_item_1",),
    ),
    *_LINES_IN_ROWS,
)
"""All layouts of orders as CSV, for events and for items."""
