"""Model families by name: the one place where models are made."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from jobs import families
from jobs.errors import UsageError, nearest
from jobs.language_models.services import Services
from jobs.models.base import Model
from jobs.models.fusion import Fusion
from jobs.models.llmseqprompt.model import LLMSeqPrompt


def _class_of(family: str) -> type[Model]:
    module, _, name = families.FAMILIES[family].rpartition(".")
    found: type[Model] = getattr(import_module(f"jobs.models.{module}"), name)
    return found


FAMILIES: dict[str, type[Model]] = {family: _class_of(family) for family in families.FAMILIES}


def make(family: str, parameters: Mapping[str, Any] | None = None, services: Services | None = None) -> Model:
    """Return an unfitted model of a family, with ``parameters`` over the family's defaults.

    Parameters
    ----------
    services : Services, optional
        For LLMSeqPrompt alone, by itself or as a part of a fusion: what it buys from.

    Raises
    ------
    UsageError
        If a parameter is none of the family's, or can't be what it is.
    """
    parameters = parameters or {}
    if family == Fusion.family:
        return _make_fusion(parameters, services)
    if family == LLMSeqPrompt.family:
        return LLMSeqPrompt(parameters, services)
    return FAMILIES[family](parameters)


def check(family: str, name: str, value: Any) -> None:
    """Raise UsageError for a value that a family's parameter can't have, whatever the other parameters are."""
    FAMILIES[family].check(name, value)
    if family == Fusion.family and name == "parts":
        known = [each for each in FAMILIES if each != Fusion.family]
        for part in value:
            if part not in known:
                raise UsageError(f"fusion's parts: {part!r} is no family to fuse; {nearest(str(part), known)}")


def _make_fusion(parameters: Mapping[str, Any], services: Services | None) -> Fusion:
    for name, value in parameters.items():
        check(Fusion.family, name, value)
    chosen = {**Fusion.defaults, **parameters}
    families_of_parts, their_parameters = chosen["parts"], chosen["parameters"]
    for family in their_parameters:
        if family not in families_of_parts:
            raise UsageError(f"fusion's parameters name '{family}': {nearest(family, families_of_parts)}")
    parts = [make(family, their_parameters.get(family), services) for family in families_of_parts]
    return Fusion(parameters, parts)
