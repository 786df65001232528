"""What people are told about a wrong value in the settings."""

from collections.abc import Collection, Mapping
from typing import Any

from pydantic_settings import BaseSettings

from jobs.allowed_setting_values import allowed_values_in_words
from jobs.arm_settings import ArmsSettings
from jobs.attached_database_settings import AttachedDatabase
from jobs.dbt_vars import default_vars
from jobs.errors import nearest_name_hint
from jobs.language_model_prices import LanguageModelPrices
from jobs.placement_settings import ExcludeSettings, PlacementSettings
from jobs.publish_targets import PublishTarget
from jobs.settings_file import FILE_NAME, origin_of_value, settings_file


def describe_setting_error(
    pydantic_error: Mapping[str, Any], overrides: Collection[str], settings_class: type[BaseSettings]
) -> str:
    """Return the message on one error in the settings: where the value stands, and which values are allowed.

    Parameters
    ----------
    pydantic_error : mapping
        One of the errors that pydantic's ``ValidationError.errors`` returns.
    overrides : collection of str
        Names of the settings that a command's options, or dbt, have given.
    settings_class : type
        The class of the settings, whose fields are the known settings.
    """
    location, message = pydantic_error["loc"], str(pydantic_error["msg"]).removeprefix("Value error, ")
    name = ".".join(str(part) for part in location)
    origin = origin_of_value(str(location[0]), overrides) if location else ""
    if location[:1] in (("attach",), ("publish",)):
        return _describe_database_error(location, pydantic_error["type"], message)
    if location[:1] == ("placements",) and len(location) > 1:
        return _describe_placement_error(pydantic_error, origin, message)
    if pydantic_error["type"] == "extra_forbidden" and len(location) == 1:
        hint = (
            "it is a dbt var: write it below [vars]"
            if name in default_vars()
            else nearest_name_hint(name, settings_class.model_fields)
        )
        return f"unknown setting '{name}' in {settings_file()}: {hint}"
    if not location:
        return message
    of_price = location[0] == "prompt_prices" and len(location) == 3
    if pydantic_error["type"] == "extra_forbidden" and of_price:
        return (
            f"{origin}unknown setting '{name}': {nearest_name_hint(str(location[2]), LanguageModelPrices.model_fields)}"
        )
    if pydantic_error["type"] == "extra_forbidden" and location[0] == "arms":
        return f"{origin}unknown setting '{name}': {nearest_name_hint(str(location[1]), ArmsSettings.model_fields)}"
    says_what_is_allowed = pydantic_error["type"] == "value_error"
    words = allowed_values_in_words(
        *((LanguageModelPrices, location[2:]) if of_price else (settings_class, location)), mention_null=False
    )
    allowed = "" if says_what_is_allowed else f"; allowed: {words}"
    return f"{origin}setting '{name}': {message} (got {pydantic_error['input']!r}){allowed}"


def _describe_database_error(location: tuple[int | str, ...], error_type: str, message: str) -> str:
    """Return the message on an error in ``[attach.NAME]`` or ``[publish.NAME]``, without values that may be secret."""
    table, key = f"[{'.'.join(map(str, location[:2]))}]", ".".join(map(str, location[2:]))
    if error_type == "extra_forbidden":
        known = (AttachedDatabase if location[0] == "attach" else PublishTarget).model_fields
        return f"{table} in {FILE_NAME}: unknown key '{key}'; {nearest_name_hint(key, known)}"
    return f"{table}{' ' if key else ''}{key}: {message.removeprefix('Value error, ')}"


def _describe_placement_error(pydantic_error: Mapping[str, Any], origin: str, message: str) -> str:
    """Return the message on an error in ``[placements.NAME]``, with the key and its value, or the nearest known key."""
    # for a wrong rank in `pins` or `slots`, pydantic's location holds the text of the rank and then "[key]"
    name, *keys = (str(part) for part in pydantic_error["loc"][1:] if part != "[key]")
    where, key = f"{origin}[placements.{name}]", ".".join(keys)
    if pydantic_error["type"] == "extra_forbidden":
        known = ExcludeSettings.model_fields if keys[:-1] == ["exclude"] else PlacementSettings.model_fields
        return f"{where}: unknown key '{key}': {nearest_name_hint(keys[-1], known)}"
    if pydantic_error["type"] == "missing":
        return f"{where}: the key '{key}' is missing"
    if not key or pydantic_error["type"] == "value_error":
        return f"{where}{' ' if key else ''}{key}: {message}"
    return f"{where} {key} = {pydantic_error['input']!r}: {message[0].lower()}{message[1:]}"
