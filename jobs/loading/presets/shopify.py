"""The preset for Shopify: the CSV files of orders and products that its admin pages export.

https://help.shopify.com/en/manual/fulfillment/managing-orders/exporting-orders and
https://help.shopify.com/en/manual/products/import-export/using-csv.
The first row of an order, or of a product, alone has the values of the whole order or product. Variants are the items:
an order's line names a variant by its SKU or, where the shop has no SKUs, by `title - variant`.
"""

from dataclasses import dataclass

from jobs.loading.presets.layout import Layout, Preset

_TIME_FORMATS = ("%Y-%m-%d %H:%M:%S %z",)


def _order_sql(column: str) -> str:
    """Return the SQL of a value of a whole order; in the file, the order's first row alone has the value."""
    return f"""max(nullif(trim("{column}"), '')) over (partition by "Name")"""


_LINE_ITEM = """coalesce(nullif(trim("Lineitem sku"), ''), "Lineitem name")"""


@dataclass(frozen=True)
class _ProductColumns:
    """How Shopify calls the columns of its product export, which were renamed; upper and lower case don't matter."""

    handle: str
    description: str
    published: str
    sku: str
    price: str
    tracker: str
    quantity: str
    sells_without_stock: str


_RENAMED = _ProductColumns(
    *("URL handle", "Description", "Published on online store", "SKU", "Price"),
    *("Inventory tracker", "Inventory quantity", "Continue selling when out of stock"),
)
_EARLIER = _ProductColumns(
    *("Handle", "Body (HTML)", "Published", "Variant SKU", "Variant Price"),
    *("Variant Inventory Tracker", "Variant Inventory Qty", "Variant Inventory Policy"),
)


def _products(usual_name: str, columns: _ProductColumns) -> Layout:
    """Return the layout of a product export."""

    def of_product(column: str) -> str:
        # the value of a whole product, which only the product's first row has
        return f"""max(nullif(trim("{column}"), '')) over (partition by "{columns.handle}")"""

    options = ", ".join(
        f"""nullif(nullif(trim("Option{number} Value"), ''), 'Default Title')""" for number in (1, 2, 3)
    )
    variant_name = f"""concat_ws(' - ', {of_product("Title")}, nullif(concat_ws(' / ', {options}), ''))"""
    return Layout(
        table="items",
        usual_name=usual_name,
        needs=(columns.handle, "Title", columns.description, "Vendor", "Option1 Value", columns.sku, columns.price),
        may_have=(
            *("Product Category", "Type", "Option2 Value", "Option3 Value", "Status", columns.published),
            *(columns.tracker, columns.quantity, columns.sells_without_stock),
        ),
        # rows without a price only add a picture
        where=f"""trim("{columns.price}") <> ''""",
        columns={
            "item_id": f"""coalesce(nullif(trim("{columns.sku}"), ''), {variant_name})""",
            "title": variant_name,
            "brand": of_product("Vendor"),
            "category": f"coalesce({of_product('Product Category')}, {of_product('Type')})",
            "description": of_product(columns.description),
            "price": f'"{columns.price}"',
            "available": f"case when lower({of_product('Status')}) <> 'active' then {of_product('Status')} "
            f"when lower({of_product(columns.published)}) = 'false' then 'unpublished' "
            f"""when "{columns.tracker}" <> '' """
            f"""and lower("{columns.sells_without_stock}") not in ('continue', 'true') """
            f"""then "{columns.quantity}" else 'active' end""",
        },
    )


SHOPIFY_ORDERS = Preset(
    "shopify_orders",
    "Shopify, exported orders and products",
    (
        Layout(
            table="events",
            usual_name="orders_export.csv",
            needs=("Name", "Email", "Created at", "Lineitem name", "Lineitem sku"),
            may_have=("Cancelled at",),
            time_formats=_TIME_FORMATS,
            columns={
                # the e-mail address alone identifies a customer; it is hashed, because visitor ids are published
                "visitor_id": f"sha256(lower({_order_sql('Email')}))",
                "item_id": _LINE_ITEM,
                "event_type": f"case when {_order_sql('Cancelled at')} is null then 'purchase' else 'cancellation' end",
                "event_at": _order_sql("Created at"),
                "source_session_id": '"Name"',
            },
        ),
        _products("products_export.csv", _RENAMED),
        _products("products_export.csv with the earlier names of columns", _EARLIER),
        Layout(
            table="items",
            usual_name="orders_export.csv",
            needs=("Name", "Created at", "Lineitem name", "Lineitem sku", "Lineitem price"),
            may_have=("Vendor",),
            time_formats=_TIME_FORMATS,
            columns={
                "item_id": _LINE_ITEM,
                "title": '"Lineitem name"',
                "brand": '"Vendor"',
                "price": '"Lineitem price"',
                "updated_at": _order_sql("Created at"),
            },
        ),
    ),
)
