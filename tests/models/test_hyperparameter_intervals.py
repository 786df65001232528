"""Allowed values of hyper-parameters: in every family, every number has an interval, and every word a list of words."""

import math
import tomllib
from pathlib import Path

import pytest

from jobs.errors import UsageError
from jobs.models.hyperparameter_intervals import INTERVALS
from jobs.models.registry import FAMILIES, make_model
from jobs.nightly.train import make_configured_model
from jobs.settings import Settings

EXAMPLES = sorted((Path(__file__).resolve().parents[2] / "examples").glob("*/nextmart.toml"))
NUMBERS = [
    (family, name, type(value))
    for family, model in FAMILIES.items()
    for name, value in model.defaults.items()
    if type(value) in (int, float)
]
WORDS = [
    (family, name)
    for family, model in FAMILIES.items()
    for name, value in model.defaults.items()
    if type(value) is str and name != "language_model"  # any folder, or any model of a service
]


@pytest.mark.parametrize(("family", "name", "kind"), NUMBERS, ids=lambda value: getattr(value, "__name__", value))
def test_a_number_may_be_what_lies_between_its_bounds(family, name, kind):
    bounds = FAMILIES[family].allowed_values.get(name) or INTERVALS[name]
    assert FAMILIES[family].defaults[name] in bounds
    has_least, step = math.isfinite(bounds.at_least), 1 if kind is int else 0.01
    least = kind(bounds.at_least if has_least else bounds.above + step)
    inside, outside = [least], [kind(least - step)]
    if math.isfinite(bounds.below):
        inside, outside = [*inside, bounds.below - step], [*outside, kind(bounds.below)]
    for value in inside:
        FAMILIES[family].require_valid_hyperparameter(name, value)
    for value in [*outside, *([math.nan, math.inf] if kind is float else [])]:
        with pytest.raises(UsageError, match=f"{family}'s {name} must be {bounds}, not {value}"):
            make_model(family, {name: value})


@pytest.mark.parametrize(("family", "name"), WORDS)
def test_a_word_that_is_not_known_is_refused_with_those_that_are(family, name):
    for word in FAMILIES[family].allowed_values[name]:
        FAMILIES[family].require_valid_hyperparameter(name, word)
    known = f"one of .*{FAMILIES[family].defaults[name]}.*, not 'jaccard'"
    with pytest.raises(UsageError, match=f"{family}'s {name} must be {known}"):
        make_model(family, {name: "jaccard"})


@pytest.mark.parametrize("family", ["sasrec", "llm2sasrec", "bert4rec", "llm2bert4rec"])
def test_heads_must_divide_the_width(family):
    assert make_model(family, {"heads": 3, "width": 96}).parameters["heads"] == 3
    with pytest.raises(UsageError, match=f"{family}'s heads must divide its width, as 3 doesn't 128"):
        make_model(family, {"heads": 3})


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_the_parameters_of_examples_are_allowed(path):
    settings = Settings(**tomllib.loads(path.read_text(encoding="utf-8")))
    for family in {*settings.models, *settings.parameters}:
        make_configured_model(settings, family)


def test_a_part_keeps_the_parameters_of_its_family_that_the_fusion_does_not_replace():
    settings = Settings(
        models=["vsknn", "fusion"],
        parameters={
            "vsknn": {"decay": "last", "neighbours": 200},
            "ease": {"l2": 300.0},
            "sknn": {"neighbours": 7},
            "fusion": {"parts": ["vsknn", "ease", "markov"], "parameters": {"vsknn": {"neighbours": 50}}},
        },
    )
    fusion = make_configured_model(settings, "fusion")
    assert [part.given_parameters for part in fusion.part_models] == [
        {"decay": "last", "neighbours": 50}, {"l2": 300.0}, {},
    ]  # fmt: skip
    assert fusion.parameters["parameters"].keys() == {"vsknn", "ease"}


def test_the_parameters_of_a_part_may_need_those_of_its_family():
    own = {"parts": ["sasrec", "ease"], "parameters": {"sasrec": {"heads": 3}}}
    settings = Settings(models=["fusion"], parameters={"sasrec": {"width": 96}, "fusion": own})
    assert make_configured_model(settings, "fusion").part_models[0].given_parameters == {"width": 96, "heads": 3}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"vsknn": 3}, "vsknn's parameters must be a table of names and values, not 3"),
        ({"vsknn": [1]}, "vsknn's parameters must be a table"),
        ({"sknn": {"decay": "last"}}, "fusion's parameters name 'sknn'"),
        (3, "parameter 'parameters' of fusion must be of type dict, not 3"),
    ],
)
def test_wrong_parameters_of_parts_are_refused(parameters, message):
    of_fusion = {"parts": ["vsknn", "ease"], "parameters": parameters}
    with pytest.raises(UsageError, match=message):
        make_model("fusion", of_fusion)
    with pytest.raises(UsageError, match=message):
        make_configured_model(Settings(parameters={"fusion": of_fusion}), "fusion")


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_an_unknown_parameter_is_refused_with_a_hint(family):
    with pytest.raises(UsageError, match="unknown parameter 'widht'"):
        make_model(family, {"widht": 3})


@pytest.mark.parametrize(
    ("family", "name", "value"),
    [
        ("llmseqsim", "decay", 3),
        ("bert4rec", "width", "64"),
        ("bert4rec", "width", 64.0),
        ("bert4rec", "epochs", True),
        ("llm2bert4rec", "learning_rate", "fast"),
        ("llm2bert4rec", "dropout", False),
        ("llm2bert4rec", "dropout", None),
    ],
)
def test_a_parameter_of_the_wrong_type_is_refused(family, name, value):
    with pytest.raises(UsageError, match=f"parameter '{name}' of {family} must be of type"):
        make_model(family, {name: value})


def test_a_whole_number_will_do_where_a_float_is_wanted():
    assert make_model("bert4rec", {"dropout": 0}).parameters["dropout"] == 0


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_parameters_not_given_keep_their_defaults(family):
    assert make_model(family).parameters == FAMILIES[family].defaults
