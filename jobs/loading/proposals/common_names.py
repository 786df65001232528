"""Lists the names that other programs give to the columns that nextmart needs; the surest names come first."""

import re
from collections.abc import Collection
from typing import Final


def _split_words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


VISITOR_NAMES: Final = _split_words("""
    visitor_id visitor client_id user_pseudo_id anonymous_id anon_id domain_userid full_visitor_id fullvisitorid
    distinct_id cookie_id cookie device_id amplitude_id visitor_token client visitorid clientid anonymousid deviceid
    user_id userid customer_id customerid customer_no customer_number customer account_id member_id memberid shopper_id
    buyer_id subscriber_id reviewer_id reviewerid uid user account member person_id
    profile_id customer_key user_key kunde kunden_id kundennummer cust_id cid hhid household_key
    """)
SESSION_NAMES: Final = _split_words("""
    source_session_id session_id sessionid session domain_sessionid ga_session_id visit_id visitid session_token
    session_key sid
    """)
ITEM_NAMES: Final = _split_words("""
    item_id itemid product_id productid sku product_sku item_sku asin parent_asin article_id articleid article_no
    article_number artikelnummer artikel_id stock_code stockcode variant_id variant_sku product_code item_code
    item_no item_number product_key product_number style_id content_id movie_id movieid track_id song_id book_id isbn
    news_id listing_id offer_id ad_id recipe_id business_id gtin ean upc barcode product item article asset_id video_id
    """)
EVENT_NAMES: Final = {
    "user_id": _split_words(
        "user_id userid customer_id customerid account_id member_id login_id logged_in_user crm_id customer"
    ),
    "event_type": _split_words("""
        event_type eventtype event_name eventname event action action_type behavior_type behavior behaviour activity
        activity_type interaction_type interaction event_category type
        """),
    "event_at": _split_words("""
        event_at event_time eventtime event_timestamp event_ts event_date_time event_datetime timestamp time_stamp ts
        ts_ms timestamp_ms derived_tstamp collector_tstamp occurred_at happened_at client_time server_time datetime
        date_time time created_at createdat created created_on ordered_at order_date order_time order_timestamp
        order_purchase_timestamp purchased_at purchase_date purchase_time transaction_date transaction_time t_dat
        invoice_ts invoice_date invoicedate sale_date sold_at viewed_at clicked_at rated_at unix_review_time review_time
        review_date unixreviewtime date_created_gmt date_created date_added added_at day date datum zeitstempel zeit
        """),
    "event_id": _split_words(
        "event_id eventid message_id messageid insert_id event_uuid uuid hit_id row_id line_id log_id id"
    ),
    "user_agent": ("user_agent", "useragent", "context_user_agent", "browser_user_agent", "ua", "agent"),
}
ITEM_COLUMN_NAMES: Final = {
    "title": _split_words("""
        title name product_name productname product_title item_name item_title display_name article_name prod_name
        movie_title track_name book_title headline label bezeichnung titel produktname
        """),
    "brand": _split_words("""
        brand brand_name vendor manufacturer maker marke hersteller label_name publisher artist brand_id
        """),
    "category": _split_words("""
        category category_name categories main_category product_category category_path google_product_category
        product_type
        product_type_name category_code department department_name genre genres taxonomy kategorie warengruppe
        section_name group_name category_id class
        """),
    "description": _split_words("""
        description long_description product_description body_html body full_description detail_desc details
        short_description summary abstract overview features beschreibung content text
        """),
    "price": _split_words("""
        price sale_price unit_price current_price selling_price list_price regular_price retail_price price_eur
        price_usd price_gross preis amount
        """),
    "available": _split_words("""
        available availability is_available in_stock instock is_in_stock stock_status stock stock_quantity inventory
        inventory_quantity quantity_in_stock qty_in_stock is_active active status published verfügbar bestand
        """),
    "updated_at": _split_words("""
        updated_at updatedat updated modified_at last_modified modified date_modified date_modified_gmt last_updated
        last_update changed_at changed_on date_updated modification_date update_time
        """),
}
ORDER_NAMES: Final = _split_words("""
    order_id orderid order_no order_number order invoice_no invoiceno invoice_id invoice invoice_number transaction_id
    transactionid receipt_id receipt_no basket_id bon_id purchase_id bestellnummer
    """)
QUANTITY_NAMES: Final = ("quantity", "qty", "order_quantity", "item_quantity", "units", "menge", "anzahl")
RATING_NAMES: Final = ("rating", "stars", "overall", "score", "review_rating", "star_rating")

ALL_NAMES: Final = frozenset(
    {
        *VISITOR_NAMES,
        *SESSION_NAMES,
        *ITEM_NAMES,
        *ORDER_NAMES,
        *QUANTITY_NAMES,
        *RATING_NAMES,
        *(name for names in (*EVENT_NAMES.values(), *ITEM_COLUMN_NAMES.values()) for name in names),
    }
)


def snake_case_name(column: str) -> str:
    """Return a column's name in snake case, such as ``customer_id`` for ``CustomerID``."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", column.strip())
    # RecBole writes a column's type after its name, as in `item_id:token`
    without_type = re.sub(r":(token|float|token_seq|float_seq)$", "", spaced)
    return re.sub(r"\W+", "_", without_type.lower()).strip("_")


def columns_with_names(columns: Collection[str], common_names: Collection[str]) -> list[str]:
    """Return the columns that have one of the common names in any spelling, in the order of the common names."""
    by_plain_name: dict[str, str] = {}
    for column in columns:
        by_plain_name.setdefault(snake_case_name(column), column)
        by_plain_name.setdefault(snake_case_name(column).replace("_", ""), column)
    found = [
        by_plain_name[spelling]
        for name in common_names
        for spelling in (name, name.replace("_", ""))
        if spelling in by_plain_name
    ]
    return list(dict.fromkeys(found))
