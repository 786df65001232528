"""Hyper-parameter search on forward folds of the training part; test cases do not influence the search."""

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any

import numpy.typing as npt

from jobs.errors import NextmartError
from jobs.experiments import records
from jobs.experiments.evaluation_data import EvaluationData, hash_arrays
from jobs.experiments.folds import Fold, make_folds
from jobs.experiments.records import ExperimentRun
from jobs.experiments.spec import ExperimentSpec, ModelVariant
from jobs.experiments.trials import finished_trials, import_optuna, measure_trials, open_study
from jobs.experiments.vectors import Allowance, read_variant_vectors
from jobs.language_models.paid_services import PaidServices
from jobs.models.registry import make_model
from jobs.nightly.model_store import MODEL_FORMAT_VERSION


@dataclass(frozen=True)
class SearchResult:
    """The result of a hyper-parameter search: a family's best parameters, and their mean nDCG@20 over the folds.

    Attributes
    ----------
    trial_count : int
        The number of finished trials, including failed and pruned ones.
    """

    best_variant: ModelVariant
    mean_ndcg: float
    trial_count: int


def search_hyperparameters(
    paid_services: PaidServices,
    experiment_spec: ExperimentSpec,
    evaluation_data: EvaluationData,
    allowance: Allowance,
) -> tuple[list[SearchResult], dict[str, str]]:
    """Search for the best hyper-parameters of each family in the table ``[search.space]`` of the experiment file.

    Trials are kept in a file of the work folder. So a search that was killed continues with exactly the trials that it
    would have made. A finished search continues if the experiment file asks for more trials. A trial fails only if its
    parameters can't be combined, or the model can't be fitted with them on this data. Any other error ends the family's
    search, and the next call continues it. The objective is the mean nDCG@20 over the folds of the training part
    (:mod:`jobs.experiments.trials`).

    Parameters
    ----------
    allowance : Allowance
        Money for vectors of item texts that the warehouse lacks; their cost is taken off.

    Returns
    -------
    list of SearchResult
        One for each search that succeeded.
    dict
        Label of a failed search -> the reason why it failed.

    Raises
    ------
    NextmartError
        If Optuna is not installed, the training part is too short, or vectors of the embeddings are missing
        (:func:`read_variant_vectors`).
    """
    if experiment_spec.search is None:
        return [], {}
    import_optuna()  # if Optuna is missing, fail before anything is fitted
    connection, settings = paid_services.connection, paid_services.settings
    folds = make_folds(evaluation_data, settings)
    done = records.mark_killed_and_list_finished_runs(connection, experiment_spec.name)
    results, failed = [], {}
    for family in experiment_spec.search.space:
        starting_variant = experiment_spec.starting_variant(family)
        name, vectors = read_variant_vectors(
            connection, settings, [starting_variant], evaluation_data.catalog, allowance
        )[starting_variant.label]
        data_of_family = replace(evaluation_data, catalog=replace(evaluation_data.catalog, embeddings=vectors))
        search_run = _make_search_run(experiment_spec, starting_variant, name, data_of_family, folds)
        study = open_study(settings, search_run)
        if search_run.model_version in done and len(finished_trials(study)) >= experiment_spec.search.trials:
            # a finished search is not recorded again: ml.experiment_runs has its row
            results.append(_best_result(starting_variant, study))
            continue
        records.record_start(connection, search_run)
        paid_services.embedding_model = starting_variant.embedding_model
        try:
            measure_trials(
                paid_services,
                experiment_spec.search,
                starting_variant,
                data_of_family,
                folds,
                search_run,
                study,
            )
            best_result = _best_result(starting_variant, study)
        except Exception as error:  # an error in one search must not stop the other searches
            failed[search_run.label] = records.record_failure(connection, search_run, error)
            continue
        seconds = sum(trial.duration.total_seconds() for trial in finished_trials(study))
        records.record_done(
            connection,
            replace(search_run, parameters=best_result.best_variant.parameters),
            seconds,
            None,
            best_result.mean_ndcg,
        )
        results.append(best_result)
    return results, failed


def _make_search_run(
    experiment_spec: ExperimentSpec,
    starting_variant: ModelVariant,
    embedding_model_name: str,
    evaluation_data: EvaluationData,
    folds: list[Fold],
) -> ExperimentRun:
    """Return the run under which a family's search is recorded; its hash covers all that determines the result."""
    assert experiment_spec.search is not None  # noqa: S101 - for the type checker
    family, model = (
        starting_variant.family,
        make_model(starting_variant.family, starting_variant.parameters),
    )
    space = experiment_spec.search.model_dump(mode="json")["space"][family]
    arrays: list[npt.NDArray[Any]] = [
        evaluation_data.catalog.item_ids,
        evaluation_data.catalog.titles,
        evaluation_data.catalog.categories,
    ]
    arrays += [array for fold in folds for array in fold.arrays_to_hash()]
    arrays += [evaluation_data.catalog.embeddings] if model.uses_embeddings else []
    arrays += [evaluation_data.catalog.prices] if model.uses_prices else []
    recipe = [
        family,
        model.parameters,
        model.parameters_to_choose,
        space,
        experiment_spec.search.seed,
        evaluation_data.allow_repeats,
        MODEL_FORMAT_VERSION,
    ]
    recipe_hash = hashlib.sha256(json.dumps([recipe, hash_arrays(arrays)]).encode()).hexdigest()
    return ExperimentRun(
        experiment=experiment_spec.name,
        label=f"search {family}",
        family=family,
        parameters=model.parameters,
        given_parameters=model.given_parameters,
        seed=experiment_spec.search.seed,
        protocol=experiment_spec.protocol,
        embedding_model=embedding_model_name if model.uses_embeddings else None,
        recipe_hash=recipe_hash,
        training_sequences=evaluation_data.training_sequences,
    )


def _best_result(starting_variant: ModelVariant, study: Any) -> SearchResult:
    """Return the result of a search: the best trial of its Optuna study.

    Raises
    ------
    NextmartError
        If every trial failed.
    """
    family, trials = starting_variant.family, finished_trials(study)
    if not any(trial.state.name == "COMPLETE" for trial in trials):
        reasons = [trial.user_attrs["error"] for trial in trials if "error" in trial.user_attrs]
        raise NextmartError(
            f"each of the {len(trials)} trials of {family} failed, the last with: {' '.join(reasons[-1:])}"
        )
    tuned = replace(
        starting_variant,
        label=f"{family} tuned",
        parameters={**starting_variant.parameters, **study.best_params},
    )
    return SearchResult(tuned, float(study.best_value), len(trials))


def parameters_as_toml(search_results: list[SearchResult]) -> str:
    """Return the best parameters as ``[[models]]`` entries of an experiment file."""
    entries = []
    for result in search_results:
        # the key `family` comes first in each entry of the TOML
        keys = {"family": result.best_variant.family, **vars(result.best_variant)}
        lines = [f"{name} = {_inline_toml(value)}\n" for name, value in keys.items() if value is not None]
        head = f"# nDCG@20 {result.mean_ndcg:.4f}, the mean of the folds; the best of {result.trial_count} trials\n"
        entries.append("".join([head, "[[models]]\n", *lines]))
    return "\n".join(entries)


def _inline_toml(toml_value: Any) -> str:
    """Return a value as TOML on one line; keys of tables are names of families or parameters, which need no quotes."""
    if isinstance(toml_value, dict):
        return f"{{ {', '.join(f'{name} = {_inline_toml(entry)}' for name, entry in toml_value.items())} }}"
    if isinstance(toml_value, list | tuple):
        return f"[{', '.join(map(_inline_toml, toml_value))}]"
    # texts, numbers and truth values are spelt the same in JSON and TOML
    return json.dumps(toml_value, ensure_ascii=False)
