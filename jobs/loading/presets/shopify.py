"""The preset for Shopify: the CSV files of orders and products that its admin pages export.

https://help.shopify.com/en/manual/fulfillment/managing-orders/exporting-orders and
https://help.shopify.com/en/manual/products/import-export/using-csv.
Values of a whole order, or of a whole product, stand only in its first row. An item is a variant of a product: an
order's line names a variant by its SKU or, where the shop has no SKUs, by `title - variant`.
"""

from dataclasses import dataclass

from jobs.loading.presets.layout import FileLayout, Preset

_TIME_FORMATS = ("%Y-%m-%d %H:%M:%S %z",)


def _value_of_whole_order_sql(column: str) -> str:
    """Return the SQL of a column's value for the whole order, which stands only in the order's first row."""
    return f"""max(nullif(trim("{column}"), '')) over (partition by "Name")"""


_LINE_ITEM = """coalesce(nullif(trim("Lineitem sku"), ''), "Lineitem name")"""


@dataclass(frozen=True)
class _ProductColumns:
    """The names of columns in Shopify's product export; there are two sets of them, because Shopify renamed columns."""

    handle: str
    description: str
    published_online: str
    sku: str
    price: str
    inventory_tracker: str
    inventory_quantity: str
    sells_without_stock: str


_PRESENT_PRODUCT_COLUMNS = _ProductColumns(
    *("URL handle", "Description", "Published on online store", "SKU", "Price"),
    *("Inventory tracker", "Inventory quantity", "Continue selling when out of stock"),
)
_EARLIER_PRODUCT_COLUMNS = _ProductColumns(
    *("Handle", "Body (HTML)", "Published", "Variant SKU", "Variant Price"),
    *("Variant Inventory Tracker", "Variant Inventory Qty", "Variant Inventory Policy"),
)


def _products_layout(usual_file_name: str, product_columns: _ProductColumns) -> FileLayout:
    """Return the layout of a product export with the given names of columns."""

    def value_of_whole_product_sql(column: str) -> str:
        # a value of a whole product stands only in the product's first row
        return f"""max(nullif(trim("{column}"), '')) over (partition by "{product_columns.handle}")"""

    options = ", ".join(
        f"""nullif(nullif(trim("Option{number} Value"), ''), 'Default Title')""" for number in (1, 2, 3)
    )
    variant_name = (
        f"""concat_ws(' - ', {value_of_whole_product_sql("Title")}, nullif(concat_ws(' / ', {options}), ''))"""
    )
    return FileLayout(
        table="items",
        usual_file_name=usual_file_name,
        required_columns=(
            product_columns.handle,
            "Title",
            product_columns.description,
            "Vendor",
            "Option1 Value",
            product_columns.sku,
            product_columns.price,
        ),
        optional_columns=(
            *("Product Category", "Type", "Option2 Value", "Option3 Value", "Status", product_columns.published_online),
            *(
                product_columns.inventory_tracker,
                product_columns.inventory_quantity,
                product_columns.sells_without_stock,
            ),
        ),
        # a row without a price is no variant: it only adds a picture
        where_sql=f"""trim("{product_columns.price}") <> ''""",
        column_map={
            "item_id": f"""coalesce(nullif(trim("{product_columns.sku}"), ''), {variant_name})""",
            "title": variant_name,
            "brand": value_of_whole_product_sql("Vendor"),
            "category": (
                f"coalesce({value_of_whole_product_sql('Product Category')}, {value_of_whole_product_sql('Type')})"
            ),
            "description": value_of_whole_product_sql(product_columns.description),
            "price": f'"{product_columns.price}"',
            "available": f"case when lower({value_of_whole_product_sql('Status')}) <> 'active' "
            f"then {value_of_whole_product_sql('Status')} "
            f"when lower({value_of_whole_product_sql(product_columns.published_online)}) = 'false' then 'unpublished' "
            f"""when "{product_columns.inventory_tracker}" <> '' """
            f"""and lower("{product_columns.sells_without_stock}") not in ('continue', 'true') """
            f"""then "{product_columns.inventory_quantity}" else 'active' end""",
        },
    )


SHOPIFY_ORDERS = Preset(
    "shopify_orders",
    "Shopify, exported orders and products",
    (
        FileLayout(
            table="events",
            usual_file_name="orders_export.csv",
            required_columns=("Name", "Email", "Created at", "Lineitem name", "Lineitem sku"),
            optional_columns=("Cancelled at",),
            time_formats=_TIME_FORMATS,
            column_map={
                # the e-mail address alone identifies a customer; it is hashed, because visitor ids are published
                "visitor_id": f"sha256(lower({_value_of_whole_order_sql('Email')}))",
                "item_id": _LINE_ITEM,
                "event_type": (
                    f"case when {_value_of_whole_order_sql('Cancelled at')} is null then 'purchase' "
                    "else 'cancellation' end"
                ),
                "event_at": _value_of_whole_order_sql("Created at"),
                "source_session_id": '"Name"',
            },
        ),
        _products_layout("products_export.csv", _PRESENT_PRODUCT_COLUMNS),
        _products_layout("products_export.csv with the earlier names of columns", _EARLIER_PRODUCT_COLUMNS),
        FileLayout(
            table="items",
            usual_file_name="orders_export.csv",
            required_columns=("Name", "Created at", "Lineitem name", "Lineitem sku", "Lineitem price"),
            optional_columns=("Vendor",),
            time_formats=_TIME_FORMATS,
            column_map={
                "item_id": _LINE_ITEM,
                "title": '"Lineitem name"',
                "brand": '"Vendor"',
                "price": '"Lineitem price"',
                "updated_at": _value_of_whole_order_sql("Created at"),
            },
        ),
    ),
)
