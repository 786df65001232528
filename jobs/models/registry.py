"""The registry of model families: it makes a model from a family's name and hyper-parameters."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from jobs.errors import UsageError, nearest_name_hint
from jobs.families import CLASS_OF_FAMILY
from jobs.language_models.paid_services import PaidServices
from jobs.models.base import Model
from jobs.models.fusion import Fusion
from jobs.models.llmseqprompt.model import LLMSeqPrompt


def _import_class(class_path: str) -> type[Model]:
    module, _, name = class_path.rpartition(".")
    model_class: type[Model] = getattr(import_module(f"jobs.models.{module}"), name)
    return model_class


FAMILIES: dict[str, type[Model]] = {family: _import_class(path) for family, path in CLASS_OF_FAMILY.items()}
"""Family name -> model class."""


def make_model(
    family: str, hyperparameters: Mapping[str, Any] | None = None, paid_services: PaidServices | None = None
) -> Model:
    """Return an unfitted model of a family; hyper-parameters that are not given keep the family's defaults.

    Parameters
    ----------
    family : str
        A key of ``FAMILIES``.
    hyperparameters : mapping, optional
        Hyper-parameter name -> value.
    paid_services : PaidServices, optional
        Paid language-model services. Only LLMSeqPrompt uses them, by itself or as a part of a fusion.

    Raises
    ------
    UsageError
        If the family lacks a given hyper-parameter, or its value is not allowed.
    """
    hyperparameters = hyperparameters or {}
    model_class = FAMILIES[family]
    if issubclass(model_class, Fusion):
        return _make_fusion(model_class, hyperparameters, paid_services)
    if family == LLMSeqPrompt.family:
        return LLMSeqPrompt(hyperparameters, paid_services)
    return model_class(hyperparameters)


def require_valid_hyperparameter(family: str, name: str, value: Any) -> None:
    """Raise UsageError if a family has no hyper-parameter ``name``, or ``value`` is not allowed for it.

    The hyper-parameter is checked by itself. Combinations of hyper-parameters are checked when a model is made.
    """
    FAMILIES[family].require_valid_hyperparameter(name, value)
    if issubclass(FAMILIES[family], Fusion) and name == "parts":
        fusible = [other for other, model_class in FAMILIES.items() if not issubclass(model_class, Fusion)]
        for part in value:
            if part not in fusible:
                raise UsageError(
                    f"{family}'s parts: {part!r} is no family to fuse; {nearest_name_hint(str(part), fusible)}"
                )


def _make_fusion(
    model_class: type[Fusion], hyperparameters: Mapping[str, Any], paid_services: PaidServices | None
) -> Fusion:
    for name, value in hyperparameters.items():
        require_valid_hyperparameter(model_class.family, name, value)
    with_defaults = {**model_class.defaults, **hyperparameters}
    part_families, part_parameters = with_defaults["parts"], with_defaults["parameters"]
    for family in part_parameters:
        if family not in part_families:
            hint = nearest_name_hint(family, part_families)
            raise UsageError(f"{model_class.family}'s parameters name '{family}': {hint}")
    parts = [make_model(family, part_parameters.get(family), paid_services) for family in part_families]
    return model_class(hyperparameters, parts)
