"""The preset for WooCommerce: orders and products from its REST API (wc/v3), and its product export as CSV.

https://woocommerce.github.io/woocommerce-rest-api-docs/#order-properties and
https://woocommerce.com/document/product-csv-importer-exporter/. Orders as CSV come from plugins, each with columns of
its own, whose layouts are in ``woocommerce_csv.py``.
"""

from jobs.loading.presets.layout import FileLayout, Preset
from jobs.loading.presets.woocommerce_csv import ORDERS_AS_CSV

_TEXTS_OF_TERMS = "nullif(array_to_string({terms} ->> '$[*].name', ' > '), '')"
_LINE_ITEM = "coalesce(nullif(element ->> 'product_id', '0'), nullif(element ->> 'sku', ''))"
# the column in UTC is read, because `date_created` is in the shop's time zone, which the file doesn't name
_TIME = "date_created_gmt || 'Z'"

WOOCOMMERCE_ORDERS = Preset(
    "woocommerce_orders",
    "WooCommerce, orders and products",
    (
        FileLayout(
            table="events",
            usual_file_name="orders of the REST API",
            required_columns=("id", "status", "date_created_gmt", "customer_id", "line_items"),
            optional_columns=("billing", "customer_user_agent"),
            json_columns=("line_items", "billing"),
            unnested_list_sql="json_extract(line_items, '$[*]')",
            column_map={
                "event_id": "concat_ws('-', id, element ->> 'id')",
                # guests have the customer_id 0, so the e-mail address identifies them; it is hashed, because visitor
                # ids are published
                "visitor_id": "coalesce(nullif(customer_id, '0'), "
                "sha256(lower(nullif(trim(billing ->> 'email'), ''))))",
                "user_id": "nullif(customer_id, '0')",
                "item_id": _LINE_ITEM,
                "event_type": "case when status in ('cancelled', 'refunded', 'failed', 'trash') then 'cancellation' "
                "when status in ('pending', 'checkout-draft') then 'checkout' else 'purchase' end",
                "event_at": _TIME,
                "source_session_id": "id",
                "user_agent": "customer_user_agent",
            },
        ),
        FileLayout(
            table="items",
            usual_file_name="products of the REST API",
            required_columns=("id", "name", "description", "price", "stock_status", "categories"),
            optional_columns=("status", "brands", "date_modified_gmt"),
            json_columns=("categories", "brands"),
            column_map={
                "item_id": "id",
                "title": "name",
                "brand": _TEXTS_OF_TERMS.format(terms="brands"),
                "category": _TEXTS_OF_TERMS.format(terms="categories"),
                "description": "description",
                "price": "price",
                "available": "case when status <> 'publish' then status else stock_status end",
                "updated_at": "date_modified_gmt || 'Z'",
            },
        ),
        FileLayout(
            table="items",
            usual_file_name="the product export (CSV)",
            required_columns=(
                "ID",
                "Type",
                "Name",
                "Published",
                "Description",
                "In stock?",
                "Regular price",
                "Categories",
            ),
            optional_columns=("Sale price", "Brands"),
            column_map={
                "item_id": '"ID"',
                "title": '"Name"',
                "brand": '"Brands"',
                "category": '"Categories"',
                "description": '"Description"',
                "price": """coalesce(nullif(trim("Sale price"), ''), "Regular price")""",
                # WooCommerce's column `published` is 1 for published products, 0 for private ones and -1 for drafts
                "available": """case when "Published" <> '1' then 'unpublished' else "In stock?" end""",
            },
        ),
        FileLayout(
            table="items",
            usual_file_name="orders of the REST API",
            required_columns=("id", "status", "date_created_gmt", "line_items"),
            json_columns=("line_items",),
            unnested_list_sql="json_extract(line_items, '$[*]')",
            where_sql=f"{_LINE_ITEM} is not null",
            column_map={
                "item_id": _LINE_ITEM,
                "title": "coalesce(element ->> 'parent_name', element ->> 'name')",
                "price": "element ->> 'price'",
                "updated_at": _TIME,
            },
        ),
        *ORDERS_AS_CSV,
    ),
)
