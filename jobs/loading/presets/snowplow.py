"""The preset for Snowplow: enriched events, in the tab-separated files that its pipeline writes, without a header.

https://docs.snowplow.io/docs/pipeline/enriched-tsv-format/. Products are read from the entities and actions of
Snowplow's e-commerce schemas, or from the transaction items of its older trackers.
"""

from jobs.loading.presets.layout import FileLayout, Preset
from jobs.loading.sources import ReadOptions

_COLUMN_LINES = """
app_id platform etl_tstamp collector_tstamp dvce_created_tstamp event event_id txn_id name_tracker v_tracker
v_collector v_etl user_id user_ipaddress user_fingerprint domain_userid domain_sessionidx network_userid
geo_country geo_region geo_city geo_zipcode geo_latitude geo_longitude geo_region_name ip_isp ip_organization
ip_domain ip_netspeed page_url page_title page_referrer page_urlscheme page_urlhost page_urlport page_urlpath
page_urlquery page_urlfragment refr_urlscheme refr_urlhost refr_urlport refr_urlpath refr_urlquery
refr_urlfragment refr_medium refr_source refr_term mkt_medium mkt_source mkt_term mkt_content mkt_campaign
contexts se_category se_action se_label se_property se_value unstruct_event tr_orderid tr_affiliation tr_total
tr_tax tr_shipping tr_city tr_state tr_country ti_orderid ti_sku ti_name ti_category ti_price ti_quantity
pp_xoffset_min pp_xoffset_max pp_yoffset_min pp_yoffset_max useragent br_name br_family br_version br_type
br_renderengine br_lang br_features_pdf br_features_flash br_features_java br_features_director
br_features_quicktime br_features_realplayer br_features_windowsmedia br_features_gears
br_features_silverlight br_cookies br_colordepth br_viewwidth br_viewheight os_name os_family os_manufacturer
os_timezone dvce_type dvce_ismobile dvce_screenwidth dvce_screenheight doc_charset doc_width doc_height
tr_currency tr_total_base tr_tax_base tr_shipping_base ti_currency ti_price_base base_currency geo_timezone
mkt_clickid mkt_network etl_tags dvce_sent_tstamp refr_domain_userid refr_device_tstamp derived_contexts
domain_sessionid derived_tstamp event_vendor event_name event_format event_version event_fingerprint
true_tstamp
"""
_COLUMNS = tuple(_COLUMN_LINES.split())
_JSON_COLUMNS = ("contexts", "unstruct_event")
_REQUIRED_COLUMNS = (
    "event",
    "event_id",
    "collector_tstamp",
    "derived_tstamp",
    "domain_userid",
    "contexts",
    "unstruct_event",
)
_OPTIONAL_COLUMNS = (
    *("user_id", "network_userid", "domain_sessionid", "useragent", "event_name"),
    *("ti_sku", "ti_name", "ti_category", "ti_price"),
)
_FIRST_LINE = r"(?!app_id\t)[^\t]*(?:\t[^\t]*){130}"

_EVENT_DATA = "json_extract(unstruct_event, '$.data.data')"
_PRODUCTS = (
    "list_filter(json_extract(contexts, '$.data[*]'), "
    "lambda entity: regexp_matches(entity ->> 'schema', '^iglu:[^/]*ecommerce/product/'))"
)
_ITEM_ID = f"coalesce(element ->> '$.data.id', ti_sku, {_EVENT_DATA} ->> 'sku')"
_ACTION = (
    f"coalesce(case event_name when 'snowplow_ecommerce_action' then {_EVENT_DATA} ->> 'type' end, event_name, event)"
)
_EVENT_TYPES = {
    "product_view": "view",
    "list_click": "click",
    "add_to_cart": "cart",
    "transaction": "purchase",
    "transaction_item": "purchase",
}
_ACTION_NAMES = ", ".join(f"'{name}'" for name in _EVENT_TYPES)
_IS_OF_PRODUCT = f"{_ACTION} in ({_ACTION_NAMES}) and event <> 'transaction'"
_EVENT_TIME = "coalesce(nullif(trim(derived_tstamp), ''), collector_tstamp)"


def _event_and_item_layouts(
    usual_file_name: str, first_line_pattern: str | None, read_options: ReadOptions
) -> tuple[FileLayout, FileLayout]:
    events = FileLayout(
        table="events",
        usual_file_name=usual_file_name,
        required_columns=_REQUIRED_COLUMNS,
        optional_columns=_OPTIONAL_COLUMNS,
        json_columns=_JSON_COLUMNS,
        unnested_list_sql=_PRODUCTS,
        # older trackers send an event `transaction` for an order, and an event `transaction_item` for each of its items
        where_sql=_IS_OF_PRODUCT,
        first_line_pattern=first_line_pattern,
        read_options=read_options,
        column_map={
            "event_id": "case when element_number > 1 then event_id || '-' || element_number else event_id end",
            "visitor_id": "coalesce(nullif(trim(domain_userid), ''), network_userid)",
            "user_id": "user_id",
            "item_id": _ITEM_ID,
            "event_type": f"case {_ACTION} "
            + " ".join(f"when '{name}' then '{event_type}'" for name, event_type in _EVENT_TYPES.items())
            + " end",
            "event_at": _EVENT_TIME,
            "source_session_id": "domain_sessionid",
            "user_agent": "useragent",
        },
    )
    items = FileLayout(
        table="items",
        usual_file_name=usual_file_name,
        required_columns=_REQUIRED_COLUMNS,
        optional_columns=_OPTIONAL_COLUMNS,
        json_columns=_JSON_COLUMNS,
        unnested_list_sql=_PRODUCTS,
        where_sql=f"{_ITEM_ID} is not null",
        first_line_pattern=first_line_pattern,
        read_options=read_options,
        column_map={
            "item_id": _ITEM_ID,
            "title": f"coalesce(element ->> '$.data.name', ti_name, {_EVENT_DATA} ->> 'name')",
            "brand": "element ->> '$.data.brand'",
            "category": f"coalesce(element ->> '$.data.category', ti_category, {_EVENT_DATA} ->> 'category')",
            "price": f"coalesce(element ->> '$.data.price', ti_price, {_EVENT_DATA} ->> 'unitPrice')",
            "updated_at": _EVENT_TIME,
        },
    )
    return events, items


SNOWPLOW = Preset(
    "snowplow",
    "Snowplow, enriched events",
    (
        *_event_and_item_layouts("enriched events", _FIRST_LINE, ReadOptions(delimiter="\t", columns=_COLUMNS)),
        *_event_and_item_layouts("enriched events with a header", None, ReadOptions()),
    ),
)
