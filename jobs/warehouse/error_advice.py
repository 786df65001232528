"""Advice on errors of DuckDB that a person can mend: a damaged file, as after a power cut, or too little memory."""

import re

SIGNS_OF_DAMAGE = re.compile("checksum|corrupt|not a valid DuckDB database file|failed to deserialize", re.IGNORECASE)
SIGN_OF_TOO_LITTLE_MEMORY = "Out of Memory Error"


def error_advice(error_text: str) -> str:
    """Return advice to add to an error of DuckDB; an empty text if there is none."""
    return damage_advice(error_text) or _memory_advice(error_text)


def damage_advice(error_text: str) -> str:
    """Return advice to add to an error that means a damaged warehouse; an empty text for other errors."""
    if not SIGNS_OF_DAMAGE.search(error_text):
        return ""
    return (
        "\nThe warehouse file is damaged, perhaps by a power cut. `nextmart restore` puts the newest good copy in its "
        "place, and keeps the damaged file beside it."
    )


def _memory_advice(error_text: str) -> str:
    """Return advice to add to an error that means too little memory; an empty text for other errors."""
    if SIGN_OF_TOO_LITTLE_MEMORY not in error_text:
        return ""
    return (
        "\nDuckDB got too little memory. End what else takes memory on this machine, then type the same command again: "
        "it goes on from what was committed."
    )
