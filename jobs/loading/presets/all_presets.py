"""Lists all presets, and returns a preset by its name."""

from typing import Final

from jobs.errors import UsageError, nearest_name_hint
from jobs.loading.presets.ga4 import GA4
from jobs.loading.presets.layout import Preset
from jobs.loading.presets.movielens import MOVIELENS
from jobs.loading.presets.recbole import RECBOLE
from jobs.loading.presets.segment import SEGMENT
from jobs.loading.presets.shopify import SHOPIFY_ORDERS
from jobs.loading.presets.snowplow import SNOWPLOW
from jobs.loading.presets.woocommerce import WOOCOMMERCE_ORDERS

PRESETS: Final = {
    preset.name: preset for preset in (GA4, SEGMENT, SNOWPLOW, SHOPIFY_ORDERS, WOOCOMMERCE_ORDERS, MOVIELENS, RECBOLE)
}


def find_preset(preset_name: str) -> Preset:
    """Return the preset with the given name.

    Raises
    ------
    UsageError
        If no preset has that name; the message says which names are similar, or which names there are.
    """
    if preset_name not in PRESETS:
        raise UsageError(f"there is no preset '{preset_name}'; {nearest_name_hint(preset_name, PRESETS)}")
    return PRESETS[preset_name]
