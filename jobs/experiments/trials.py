"""Trials of a hyper-parameter search: Optuna suggests parameters, and a model with them is measured on each fold.

The sampler is TPE (Bergstra et al. 2011), the objective is the mean nDCG@20 over the folds, as in arXiv 2309.09261.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from jobs.errors import NextmartError, UnusableParametersError, UsageError, redact
from jobs.experiments.evaluation_data import EvaluationData
from jobs.experiments.folds import Fold
from jobs.experiments.records import ExperimentRun
from jobs.experiments.spec import ModelVariant, SearchSpec, ValueRange
from jobs.language_models.paid_services import PaidServices
from jobs.models.base import FitOptions
from jobs.models.registry import make_model
from jobs.models.scorer import ndcg_at_20
from jobs.nightly.checkpoints import drop_checkpoints
from jobs.progress import say
from jobs.settings import Settings

RANDOM_TRIALS = 20
"""The number of first trials, whose parameters are random; later ones use earlier results, as in arXiv 2309.09261."""

KEPT_PERCENT = 80.0
"""Percentage of trials that are continued after each fold: the worst fifth is pruned, as in arXiv 2309.09261."""


def import_optuna() -> Any:
    """Import Optuna, an optional dependency, and return the module."""
    try:
        import optuna
    except ImportError as error:
        raise NextmartError("a search needs Optuna: pip install 'nextmart[experiments]' brings it") from error
    return optuna


def open_study(settings: Settings, search_run: ExperimentRun) -> Any:
    """Open the Optuna study of a hyper-parameter search, with the trials that earlier calls made."""
    optuna = import_optuna()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study(
        storage=f"sqlite:///{_study_file(settings.work_folder, search_run)}",
        study_name=search_run.recipe_hash,
        pruner=optuna.pruners.PercentilePruner(KEPT_PERCENT),
        direction="maximize",
        load_if_exists=True,
    )


def _study_file(work_folder: Path, search_run: ExperimentRun) -> Path:
    """Return the path of the file with an experiment's Optuna studies; create its folder if it is missing."""
    path = work_folder.absolute() / "experiments" / f"{search_run.experiment}-search.sqlite"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def finished_trials(study: Any) -> list[Any]:
    """Return the complete, pruned and failed trials of a study, without trials that a kill or an error interrupted."""
    return [trial for trial in study.trials if trial.state.is_finished()]


def measure_trials(
    paid_services: PaidServices,
    search_spec: SearchSpec,
    starting_variant: ModelVariant,
    evaluation_data: EvaluationData,
    folds: list[Fold],
    search_run: ExperimentRun,
    study: Any,
) -> None:
    """Measure a family with sampled parameters, trial by trial, until the study has all trials that are asked for.

    Complete, pruned and failed trials count. Trials that a kill or an error interrupted do not.
    """
    optuna = import_optuna()
    family, space = starting_variant.family, search_spec.space[starting_variant.family]

    def objective(trial: Any) -> float:
        """Return the mean nDCG@20 of a trial over the folds; raise ``TrialPruned`` if the trial is pruned."""
        suggested_parameters = {name: _suggest_value(trial, family, name, values) for name, values in space.items()}
        hyperparameters = {**starting_variant.parameters, **suggested_parameters}
        values: list[float] = []
        for number, fold in enumerate(folds):
            search_and_fold_key = f"{search_run.recipe_hash}{number}"
            values.append(
                _measure_on_fold(
                    paid_services, family, hyperparameters, search_spec.seed, evaluation_data, fold, search_and_fold_key
                )
            )
            trial.report(sum(values) / len(values), number)
            if number + 1 < len(folds) and trial.should_prune():
                raise optuna.TrialPruned
        return sum(values) / len(values)

    while (finished_count := len(finished_trials(study))) < search_spec.trials:
        # each trial has its own sampler: after a kill, one sampler for all trials would repeat its random numbers
        study.sampler = optuna.samplers.TPESampler(
            n_startup_trials=RANDOM_TRIALS, seed=search_spec.seed * 1_000_003 + finished_count
        )
        trial = study.ask()
        # study.optimize is not used, because it counts an interrupted trial as failed
        try:
            study.tell(trial, objective(trial))
        except optuna.TrialPruned:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        # the trial's parameters can't be used; after other errors a trial is repeated
        except (UnusableParametersError, ValueError) as error:
            reason = redact(str(error))
            say(f"search {family}: failed: {reason}")
            trial.set_user_attr("error", reason)
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        finished_trial = study.trials[trial.number]
        value = f" {finished_trial.value:.4f}" if finished_trial.value is not None else ""
        outcome = f"{finished_trial.state.name.lower()}{value}"
        say(f"search {family}: trial {finished_count + 1} of {search_spec.trials}: {outcome}")


def _suggest_value(trial: Any, family: str, parameter_name: str, values_to_try: ValueRange | list[Any]) -> Any:
    """Return the value of a parameter that the sampler suggests for a trial."""
    if isinstance(values_to_try, list):
        return trial.suggest_categorical(parameter_name, values_to_try)
    if isinstance(make_model(family).parameters[parameter_name], float):
        return trial.suggest_float(parameter_name, values_to_try.low, values_to_try.high, log=values_to_try.log)
    return trial.suggest_int(parameter_name, values_to_try.low, values_to_try.high, log=values_to_try.log)


def _measure_on_fold(
    paid_services: PaidServices,
    family: str,
    hyperparameters: dict[str, Any],
    seed: int,
    evaluation_data: EvaluationData,
    fold: Fold,
    search_and_fold_key: str,
) -> float:
    """Fit a model on a fold and return the nDCG@20 of the test cases; a fit that was killed continues.

    Parameters
    ----------
    search_and_fold_key : str
        A text that identifies the search and the fold. The name of the checkpoint is a hash of it and the parameters.

    Raises
    ------
    UnusableParametersError
        If the parameters can't be combined, or the model can't be fitted with them on this data.
    """
    recipe = json.dumps([search_and_fold_key, hyperparameters], sort_keys=True)
    checkpoint_name = hashlib.sha256(recipe.encode()).hexdigest()[:32]
    checkpoint = paid_services.settings.work_folder / "checkpoints" / f"{checkpoint_name}.safetensors"
    # A UsageError of make_model means that the parameters can't be combined: then this trial fails, and the search
    # goes on. A UsageError of fit may have other reasons, such as spent money, and then has to end the search.
    try:
        model = make_model(family, hyperparameters, paid_services)
    except UsageError as error:
        raise UnusableParametersError(str(error)) from error
    fit_options = FitOptions(seed, checkpoint, allow_repeats=evaluation_data.allow_repeats)
    model.fit(fold.train, fold.validation, evaluation_data.catalog, fit_options)
    value = 0.0
    if len(fold.test.targets):
        value = ndcg_at_20(model.scorer(evaluation_data.catalog), fold.test, evaluation_data.allow_repeats)
    drop_checkpoints(checkpoint)
    return value
