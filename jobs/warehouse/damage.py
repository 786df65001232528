"""Recognizes DuckDB's errors that mean a damaged file, such as after a power cut."""

import re

SIGNS_OF_DAMAGE = re.compile("checksum|corrupt|not a valid DuckDB database file|failed to deserialize", re.IGNORECASE)


def damage_advice(error_text: str) -> str:
    """Return advice to add to an error that means a damaged warehouse; an empty text for other errors."""
    if not SIGNS_OF_DAMAGE.search(error_text):
        return ""
    return (
        "\nThe warehouse file is damaged, perhaps by a power cut. `nextmart restore` puts the newest good copy in its "
        "place, and keeps the damaged file beside it."
    )
