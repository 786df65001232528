"""WooCommerce: orders as CSV, which only plugins write; the three formats that are met most.

https://woocommerce.com/document/ordercustomer-csv-export/ (a row for each order, all of its lines in one column),
https://woocommerce.com/document/import-and-export-of-woocommerce-orders/ (a row for each order, a column for each line)
and https://wordpress.org/plugins/woo-order-export-lite/ (a row for each line). Their times are those of the shop's
clock, whose zone the file doesn't tell.
"""

from jobs.loading.presets.layout import Layout

_EVENT_TYPE = (
    "case when regexp_replace(lower(trim({status})), '^wc-', '') in ('cancelled', 'refunded', 'failed', 'trash') "
    "then 'cancellation' when regexp_replace(lower(trim({status})), '^wc-', '') in "
    "('pending', 'pending payment', 'checkout-draft', 'draft') then 'checkout' else 'purchase' end"
)
# a guest has the customer_id 0; the e-mail address is the guest's only mark, and visitor ids are published
_HASHED_ADDRESS = "sha256(lower(nullif(trim({address}), '')))"
_CUSTOMER = "nullif(nullif(trim(customer_id), ''), '0')"
_ITEM = "coalesce(nullif(element ->> 'product_id', '0'), element ->> 'sku', element ->> 'name')"


def _lines(texts: str) -> str:
    """Return the SQL of the lines of an order as JSON objects, from a list of texts as ``name:Mug|product_id:22``."""
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
    return f"list_transform(list_filter({texts}, lambda line: trim(line) <> ''), lambda line: json_object({fields}))"


def _of_order(column: str) -> str:
    """Return the SQL of a value of a whole order, which only the order's first row may have."""
    return f"""max(nullif(trim("{column}"), '')) over (partition by "Order Number")"""


def _orders_in_rows(usual_name: str, time: str, elements: str, needs: tuple[str, ...]) -> tuple[Layout, Layout]:
    """Return the layouts, for events and for items, of a file with a row for each order."""
    needs = ("order_id", time, "status", "billing_email", *needs)
    price = "try_cast(element ->> 'subtotal' as double) / nullif(try_cast(element ->> 'quantity' as double), 0)"
    return (
        Layout(
            table="events",
            usual_name=usual_name,
            needs=needs,
            may_have=("customer_id", "customer_user_agent"),
            elements=elements,
            columns={
                "event_id": "concat_ws('-', order_id, coalesce(element ->> 'id', element_number::varchar))",
                "visitor_id": f"coalesce({_CUSTOMER}, {_HASHED_ADDRESS.format(address='billing_email')})",
                "user_id": _CUSTOMER,
                "item_id": _ITEM,
                "event_type": _EVENT_TYPE.format(status="status"),
                "event_at": time,
                "source_session_id": "order_id",
                "user_agent": "customer_user_agent",
            },
        ),
        Layout(
            table="items",
            usual_name=usual_name,
            needs=needs,
            elements=elements,
            where=f"{_ITEM} is not null",
            columns={"item_id": _ITEM, "title": "element ->> 'name'", "price": price, "updated_at": time},
        ),
    )


_LINE = """coalesce(nullif(trim("Product Id"), ''), nullif(trim("SKU"), ''), "Item Name")"""
_LINES_IN_ROWS = (
    Layout(
        table="events",
        usual_name="orders of Advanced Order Export (CSV)",
        needs=("Order Number", "Order Status", "Order Date", "Email (Billing)", "SKU", "Item Name"),
        may_have=("Product Id",),
        columns={
            "visitor_id": _HASHED_ADDRESS.format(address=_of_order("Email (Billing)")),
            "item_id": _LINE,
            "event_type": _EVENT_TYPE.format(status=_of_order("Order Status")),
            "event_at": _of_order("Order Date"),
            "source_session_id": '"Order Number"',
        },
    ),
    Layout(
        table="items",
        usual_name="orders of Advanced Order Export (CSV)",
        needs=("Order Number", "Order Date", "SKU", "Item Name"),
        may_have=("Product Id", "Item Cost"),
        columns={
            "item_id": _LINE,
            "title": '"Item Name"',
            "price": '"Item Cost"',
            "updated_at": _of_order("Order Date"),
        },
    ),
)

ORDERS_AS_CSV = (
    *_orders_in_rows(
        "orders of Customer/Order/Coupon Export (CSV)",
        "date",
        _lines(r"string_split(regexp_replace(line_items, ';(id|name):', chr(30) || '\1:', 'g'), chr(30))"),
        needs=("line_items",),
    ),
    *_orders_in_rows(
        "orders of Order Export & Order Import (CSV)",
        "order_date",
        _lines("[*columns('^line_item_[0-9]+$')]"),
        needs=("line_item_1",),
    ),
    *_LINES_IN_ROWS,
)
"""Layouts of orders, for events and for items."""
