"""Telling an error of DuckDB that means a damaged file, as a power cut leaves one, from other errors."""

import re

SIGNS_OF_DAMAGE = re.compile("checksum|corrupt|not a valid DuckDB database file|failed to deserialize", re.IGNORECASE)


def damage_advice(error_text: str) -> str:
    """Return what to do if an error means a damaged warehouse, to be added to its text; nothing if it means none."""
    if not SIGNS_OF_DAMAGE.search(error_text):
        return ""
    return (
        "\nThe warehouse file is damaged, perhaps by a power cut. `nextmart restore` puts the newest good copy in its "
        "place, and keeps the damaged file beside it."
    )
