"""The preset for Shopify: the CSV files of orders and products that its admin pages export.

https://help.shopify.com/en/manual/fulfillment/managing-orders/exporting-orders and
https://help.shopify.com/en/manual/products/import-export/using-csv.
The first row of an order, or of a product, alone has the values of the whole order or product. Variants are the items:
an order's line names a variant by its SKU or, where the shop has no SKUs, by `title - variant`.
"""

from jobs.loading.presets.layout import Layout, Preset

_TIME_FORMATS = ("%Y-%m-%d %H:%M:%S %z",)


def _order_sql(column: str) -> str:
    """Return the SQL of a value of a whole order; in the file, the order's first row alone has the value."""
    return f"""max(nullif(trim("{column}"), '')) over (partition by "Name")"""


def _product_sql(column: str) -> str:
    """Return the SQL of a value of a whole product; in the file, the product's first row alone has the value."""
    return f"""max(nullif(trim("{column}"), '')) over (partition by "Handle")"""


_LINE_ITEM = """coalesce(nullif(trim("Lineitem sku"), ''), "Lineitem name")"""
_OPTIONS = ", ".join(f"""nullif(nullif(trim("Option{number} Value"), ''), 'Default Title')""" for number in (1, 2, 3))
_VARIANT_NAME = f"""concat_ws(' - ', {_product_sql("Title")}, nullif(concat_ws(' / ', {_OPTIONS}), ''))"""

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
                # the e-mail address alone identifies a customer; it is hashed, because visitor ids are published
                "visitor_id": f"sha256(lower({_order_sql('Email')}))",
                "item_id": _LINE_ITEM,
                "event_type": f"case when {_order_sql('Cancelled at')} is null then 'purchase' else 'cancellation' end",
                "event_at": _order_sql("Created at"),
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
            # a row without a price is no variant: it adds a picture to a product
            where="""trim("Variant Price") <> ''""",
            columns={
                "item_id": f"""coalesce(nullif(trim("Variant SKU"), ''), {_VARIANT_NAME})""",
                "title": _VARIANT_NAME,
                "brand": _product_sql("Vendor"),
                "category": f"coalesce({_product_sql('Product Category')}, {_product_sql('Type')})",
                "description": _product_sql("Body (HTML)"),
                "price": '"Variant Price"',
                "available": f"case when lower({_product_sql('Status')}) <> 'active' then {_product_sql('Status')} "
                f"when lower({_product_sql('Published')}) = 'false' then 'unpublished' "
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
                "updated_at": _order_sql("Created at"),
            },
        ),
    ),
)
