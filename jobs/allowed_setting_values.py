"""Describes the allowed values of settings in words, from the types and ranges that pydantic checks."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

_BOUNDS = {
    "minimum": "at least {:,.15g}",
    "exclusiveMinimum": "above {:,.15g}",
    "maximum": "at most {:,.15g}",
    "exclusiveMaximum": "below {:,.15g}",
    "minLength": "not empty",
    "minItems": "not empty",
}


def allowed_values_in_words(
    settings_class: type[BaseModel], error_location: tuple[int | str, ...], *, mention_null: bool = True
) -> str:
    """Describe the allowed values of a field, as in ``number, above 0``; an empty text if there is no such field.

    Parameters
    ----------
    error_location : tuple
        The location of an error as pydantic gives it; only its first part, the field's name, is used.
    """
    field = settings_class.model_json_schema()["properties"].get(str(error_location[0])) if error_location else None
    return type_in_words(field, mention_null=mention_null) if field else ""


def type_in_words(field_schema: Mapping[str, Any], *, mention_null: bool = False) -> str:
    """Describe a JSON schema's type and range in words.

    Parameters
    ----------
    mention_null : bool
        Whether to add ``or null`` for a field that may be null.
    """
    if "anyOf" in field_schema:
        kinds = [type_in_words(part) for part in field_schema["anyOf"] if part.get("type") != "null"]
        may_be_null = mention_null and len(kinds) < len(field_schema["anyOf"])
        return " or ".join(kinds) + (", or null" if may_be_null else "")
    if "enum" in field_schema:
        return " or ".join(f"`{word if isinstance(word, str) else json.dumps(word)}`" for word in field_schema["enum"])
    limits = [words.format(field_schema[bound]) for bound, words in _BOUNDS.items() if bound in field_schema]
    return ", ".join([_type_name_in_words(field_schema), *limits])


def _type_name_in_words(field_schema: Mapping[str, Any]) -> str:
    if field_schema.get("type") == "array":
        return f"list of {_type_name_in_words(field_schema['items'])}s"
    if "$ref" in field_schema:  # pydantic describes a table with fixed keys by a reference
        return "table"
    if field_schema.get("type") == "object":
        values = field_schema.get("additionalProperties")
        if not isinstance(values, dict) or values.get("type") not in ("number", "boolean"):
            return "table"
        words = type_in_words(values)
        return f"table of {values['type']}s{words.removeprefix(values['type'])}"
    kind = str(field_schema.get("format", field_schema.get("type", "")))
    return {"string": "text", "date-time": "time"}.get(kind, kind)
