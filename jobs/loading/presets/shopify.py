"""Shopify: the CSV files that its admin pages export, of orders and of products.

https://help.shopify.com/en/manual/fulfillment/managing-orders/exporting-orders and
https://help.shopify.com/en/manual/products/import-export/using-csv. What belongs to a whole order, or to a whole
product, stands in its first row alone. Variants are the items: an order's line names a variant by its SKU, and where
the shop has no SKUs, by `title - variant`.
"""

from jobs.loading.presets.layout import Layout, Preset

_TIME_FORMATS = ("%Y-%m-%d %H:%M:%S %z",)


def _of_order(column: str) -> str:
    """Return the SQL of a value of a whole order, which only the order's first row may have."""
    return f"""max(nullif(trim("{column}"), '')) over (partition by "Name")"""


def _of_product(column: str) -> str:
    """Return the SQL of a value of a whole product, which only the product's first row has."""
    return f"""max(nullif(trim("{column}"), '')) over (partition by "Handle")"""


_LINE_ITEM = """coalesce(nullif(trim("Lineitem sku"), ''), "Lineitem name")"""
_OPTIONS = ", ".join(f"""nullif(nullif(trim("Option{number} Value"), ''), 'Default Title')""" for number in (1, 2, 3))
_VARIANT_NAME = f"""concat_ws(' - ', {_of_product("Title")}, nullif(concat_ws(' / ', {_OPTIONS}), ''))"""

SHOPIFY_ORDERS = Preset(
    "shopify_orders",
    "Shopify, exported orders and products",
    (
        Layout(
            table="events",
            files="orders_export.csv",
            needs=("Name", "Email", "Created at", "Lineitem name", "Lineitem sku"),
            may_have=("Cancelled at",),
            time_formats=_TIME_FORMATS,
            columns={
                # the e-mail address is the only mark of a customer, and visitor ids are published
                "visitor_id": f"sha256(lower({_of_order('Email')}))",
                "item_id": _LINE_ITEM,
                "event_type": f"case when {_of_order('Cancelled at')} is null then 'purchase' else 'cancellation' end",
                "event_at": _of_order("Created at"),
                "source_session_id": '"Name"',
            },
        ),
        Layout(
            table="items",
            files="products_export.csv",
            needs=("Handle", "Title", "Body (HTML)", "Vendor", "Option1 Value", "Variant SKU", "Variant Price"),
            may_have=(
                *("Product Category", "Type", "Option2 Value", "Option3 Value", "Status", "Published"),
                *("Variant Inventory Tracker", "Variant Inventory Qty", "Variant Inventory Policy"),
            ),
            # rows without a price only add a picture
            where="""trim("Variant Price") <> ''""",
            columns={
                "item_id": f"""coalesce(nullif(trim("Variant SKU"), ''), {_VARIANT_NAME})""",
                "title": _VARIANT_NAME,
                "brand": _of_product("Vendor"),
                "category": f"coalesce({_of_product('Product Category')}, {_of_product('Type')})",
                "description": _of_product("Body (HTML)"),
                "price": '"Variant Price"',
                "available": f"case when lower({_of_product('Status')}) <> 'active' then {_of_product('Status')} "
                f"when lower({_of_product('Published')}) = 'false' then 'unpublished' "
                """when "Variant Inventory Tracker" <> '' and lower("Variant Inventory Policy") <> 'continue' """
                """then "Variant Inventory Qty" else 'active' end""",
            },
        ),
        Layout(
            table="items",
            files="orders_export.csv",
            needs=("Name", "Created at", "Lineitem name", "Lineitem sku", "Lineitem price"),
            may_have=("Vendor",),
            time_formats=_TIME_FORMATS,
            columns={
                "item_id": _LINE_ITEM,
                "title": '"Lineitem name"',
                "brand": '"Vendor"',
                "price": '"Lineitem price"',
                "updated_at": _of_order("Created at"),
            },
        ),
    ),
)
