"""Hyper-parameter search on forward folds of the training part; no test case has any influence."""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy.typing as npt

from jobs.core.cases import Cases
from jobs.core.sequences import Sequences
from jobs.errors import NextmartError, UsageError, redact
from jobs.evaluation.validation import forward_folds
from jobs.experiments import records
from jobs.experiments.evaluation_data import EvaluationData, hash_arrays, hold_out_validation
from jobs.experiments.records import Run
from jobs.experiments.spec import Experiment, Range, Search, Variant
from jobs.experiments.vectors import read_vectors
from jobs.language_models.services import Services
from jobs.models.base import FitContext
from jobs.models.registry import make
from jobs.models.scorer import ndcg_at_20
from jobs.nightly.checkpoints import drop_checkpoints
from jobs.nightly.model_store import SCHEMA_VERSION
from jobs.progress import say
from jobs.settings import Settings
from jobs.warehouse.reading import index_cases, index_items

RANDOM_TRIALS = 20
"""Trials with random parameters, before the sampler uses the results of earlier trials; as in arXiv 2309.09261."""

KEPT_PERCENT = 80.0
"""Percentage of trials that go on after each fold: the worst fifth is pruned, as in arXiv 2309.09261."""


@dataclass(frozen=True)
class Fold:
    """One fold of the training part, as arrays of catalogue indices.

    Attributes
    ----------
    train : Sequences
        The sequences to fit on.
    validation : Cases
        The cases that decide when training stops.
    test : Cases
        The cases on which the fit is measured; they are a part of the training part, too.
    """

    train: Sequences
    validation: Cases
    test: Cases

    def arrays(self) -> list[npt.NDArray[Any]]:
        """Return all arrays of the fold, to be hashed."""
        parts = (self.train, self.validation.inputs, self.test.inputs)
        flat = [array for sequences in parts for array in (sequences.items, sequences.offsets)]
        return [*flat, self.validation.targets, self.test.targets]


@dataclass(frozen=True)
class Best:
    """The result of a search: a family's best parameters, and their mean nDCG@20 over the folds.

    Attributes
    ----------
    trials : int
        The number of finished trials, the failed and the pruned ones included.
    """

    model: Variant
    value: float
    trials: int


def search(
    services: Services, experiment: Experiment, data: EvaluationData, max_cost: float = 0.0
) -> tuple[list[Best], dict[str, str]]:
    """Search the best parameters of each family in ``[search.space]``.

    Trials are kept in a file of the work folder. So a search that was killed continues with exactly the trials that it
    would have made, and a search that is given more trials continues after the trials that it has. Only parameters that
    do not go together make a trial fail for good; any other error ends the family's search, and the next call continues
    it. The sampler is TPE (Bergstra et al. 2011), the objective is the mean nDCG@20 over the folds of the training
    part, as in arXiv 2309.09261.

    Parameters
    ----------
    max_cost : float
        The most that vectors of other item texts may cost, in US dollars.

    Returns
    -------
    list of Best
        One for each search that succeeded.
    dict
        The reason of each search that failed, by label.

    Raises
    ------
    NextmartError
        If Optuna is not installed, the training part is too short, or an entry's embeddings are not there
        (:func:`read_vectors`).
    """
    if experiment.search is None:
        return [], {}
    _optuna()  # if Optuna is missing, fail before anything is fitted
    connection, settings = services.connection, services.settings
    folds = make_folds(data, settings)
    done = records.finished_runs(connection, experiment.name)
    results, failed = [], {}
    for family in experiment.search.space:
        base = experiment.base(family)
        name, vectors = read_vectors(connection, settings, [base], data.catalog, max_cost)[base.label]
        data_of_family = replace(data, catalog=replace(data.catalog, embeddings=vectors))
        run = _search_run(experiment, base, name, data_of_family, folds)
        study = _open_study(settings, run)
        if run.model_version in done and len(_finished_trials(study)) >= experiment.search.trials:
            results.append(_best(base, study))  # the record of the search stays as it is
            continue
        records.start_run(connection, run)
        try:
            _make_trials(services, experiment.search, base, data_of_family, folds, run, study)
            best = _best(base, study)
        except Exception as error:  # whatever is wrong with one search, the others go on
            failed[run.label] = records.fail_run(connection, run, error)
            continue
        seconds = sum(trial.duration.total_seconds() for trial in _finished_trials(study))
        records.record_done(connection, replace(run, parameters=best.model.parameters), seconds, None, best.value)
        results.append(best)
    return results, failed


def make_folds(data: EvaluationData, settings: Settings) -> list[Fold]:
    """Cut the training part into forward folds, each with validation cases that decide when training stops.

    Raises
    ------
    NextmartError
        If the training part has too few sequences.
    """
    folds = []
    try:
        splits = forward_folds(data.split.train, allow_repeats=data.allow_repeats)
    except ValueError as error:
        raise NextmartError(f"the training part is too short for a search: {error}") from error
    for split in splits:
        train, validation = hold_out_validation(split, settings)
        folds.append(
            Fold(
                index_items(train["items"], data.catalog),
                index_cases(validation, data.catalog),
                index_cases(split.test, data.catalog),
            )
        )
    return folds


def toml(results: list[Best]) -> str:
    """Return the best parameters as ``[[models]]`` entries of an experiment file."""
    entries = []
    for best in results:
        keys = {"family": best.model.family, **vars(best.model)}  # the family first
        lines = [f"{name} = {_inline_toml(value)}\n" for name, value in keys.items() if value is not None]
        head = f"# nDCG@20 {best.value:.4f}, the mean of the folds; the best of {best.trials} trials\n[[models]]\n"
        entries.append("".join([head, *lines]))
    return "\n".join(entries)


def _inline_toml(value: Any) -> str:
    """Return a value as TOML on one line; keys of tables are names of families or parameters, which need no quotes."""
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{name} = {_inline_toml(entry)}' for name, entry in value.items())} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_inline_toml, value))}]"
    return json.dumps(value, ensure_ascii=False)  # texts, numbers and truth values are spelt the same in JSON and TOML


def _search_run(
    experiment: Experiment, base: Variant, embedding_model: str, data: EvaluationData, folds: list[Fold]
) -> Run:
    """Return the run under which a family's search is recorded; its hash covers all that determines the result."""
    assert experiment.search is not None  # noqa: S101 - for the type checker
    family, model = base.family, make(base.family, base.parameters)
    space = experiment.search.model_dump(mode="json")["space"][family]
    arrays: list[npt.NDArray[Any]] = [data.catalog.item_ids, data.catalog.titles, data.catalog.categories]
    arrays += [array for fold in folds for array in fold.arrays()]
    arrays += [data.catalog.embeddings] if model.uses_embeddings else []
    recipe = [family, model.parameters, space, experiment.search.seed, data.allow_repeats, SCHEMA_VERSION]
    recipe_hash = hashlib.sha256(json.dumps([recipe, hash_arrays(arrays)]).encode()).hexdigest()
    return Run(
        experiment=experiment.name,
        label=f"search {family}",
        family=family,
        parameters=model.parameters,
        seed=experiment.search.seed,
        protocol=experiment.protocol,
        embedding_model=embedding_model if model.uses_embeddings else None,
        recipe_hash=recipe_hash,
    )


def _open_study(settings: Settings, run: Run) -> Any:
    """Open the Optuna study of a search, with the trials that earlier calls made."""
    optuna = _optuna()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study(
        storage=f"sqlite:///{_study_file(settings.work_folder, run)}",
        study_name=run.recipe_hash,
        pruner=optuna.pruners.PercentilePruner(KEPT_PERCENT),
        direction="maximize",
        load_if_exists=True,
    )


def _finished_trials(study: Any) -> list[Any]:
    """Return the trials of a study that are complete, pruned or failed, without those that a kill or an error left."""
    return [trial for trial in study.trials if trial.state.is_finished()]


def _make_trials(
    services: Services,
    search: Search,
    base: Variant,
    data: EvaluationData,
    folds: list[Fold],
    run: Run,
    study: Any,
) -> None:
    """Make trials until the study has ``search.trials`` finished ones."""
    optuna = _optuna()
    family, space = base.family, search.space[base.family]

    def objective(trial: Any) -> float:
        """Return the mean nDCG@20 over the folds, unless the trial is pruned on the way."""
        suggested = {name: _suggest(trial, family, name, values) for name, values in space.items()}
        parameters = {**base.parameters, **suggested}
        values: list[float] = []
        for number, fold in enumerate(folds):
            key = f"{run.recipe_hash}{number}"
            values.append(_measure_on_fold(services, family, parameters, search.seed, data, fold, key))
            trial.report(sum(values) / len(values), number)
            if number + 1 < len(folds) and trial.should_prune():
                raise optuna.TrialPruned
        return sum(values) / len(values)

    while (made := len(_finished_trials(study))) < search.trials:
        # each trial has a sampler of its own: one sampler for all would repeat its random numbers after a kill
        study.sampler = optuna.samplers.TPESampler(n_startup_trials=RANDOM_TRIALS, seed=search.seed * 1_000_003 + made)
        trial = study.ask()
        # not study.optimize: it counts a trial that was interrupted as one that failed
        try:
            study.tell(trial, objective(trial))
        except optuna.TrialPruned:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        except ValueError as error:  # parameters that do not go together; after any other error the trial is repeated
            why = redact(str(error))
            say(f"search {family}: failed: {why}")
            trial.set_user_attr("error", why)
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        last = study.trials[trial.number]
        value = f" {last.value:.4f}" if last.value is not None else ""
        say(f"search {family}: trial {made + 1} of {search.trials}: {last.state.name.lower()}{value}")


def _best(base: Variant, study: Any) -> Best:
    """Return the best trial of a study.

    Raises
    ------
    NextmartError
        If every trial failed.
    """
    family, trials = base.family, _finished_trials(study)
    if not any(trial.state.name == "COMPLETE" for trial in trials):
        reasons = [trial.user_attrs["error"] for trial in trials if "error" in trial.user_attrs]
        raise NextmartError(
            f"each of the {len(trials)} trials of {family} failed, the last with: {' '.join(reasons[-1:])}"
        )
    tuned = replace(base, label=f"{family} tuned", parameters={**base.parameters, **study.best_params})
    return Best(tuned, float(study.best_value), len(trials))


def _optuna() -> Any:
    """Return the module optuna, which is an optional dependency."""
    try:
        import optuna
    except ImportError as error:
        raise NextmartError("a search needs Optuna: pip install 'nextmart[experiments]' brings it") from error
    return optuna


def _study_file(folder: Path, run: Run) -> Path:
    """Return the file of an experiment's studies, in a folder that exists."""
    path = folder.absolute() / "experiments" / f"{run.experiment}-search.sqlite"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _suggest(trial: Any, family: str, name: str, values: Range | list[Any]) -> Any:
    """Return the value of a parameter that the sampler suggests for a trial."""
    if isinstance(values, list):
        return trial.suggest_categorical(name, values)
    if isinstance(make(family).parameters[name], float):
        return trial.suggest_float(name, values.low, values.high, log=values.log)
    return trial.suggest_int(name, values.low, values.high, log=values.log)


def _measure_on_fold(
    services: Services, family: str, parameters: dict[str, Any], seed: int, data: EvaluationData, fold: Fold, key: str
) -> float:
    """Fit on a fold, and return the nDCG@20 of its test cases; a trial that was killed continues from its checkpoint.

    Parameters
    ----------
    key : str
        Names the search and the fold; with the parameters it names the checkpoint.

    Raises
    ------
    ValueError
        If the parameters do not go together.
    """
    checkpoint_name = hashlib.sha256(json.dumps([key, parameters], sort_keys=True).encode()).hexdigest()[:32]
    checkpoint = services.settings.work_folder / "checkpoints" / f"{checkpoint_name}.safetensors"
    try:
        model = make(family, parameters, services)
    except UsageError as error:  # a UsageError of a fit has other reasons: the money is spent, a package is missing
        raise ValueError(str(error)) from error
    context = FitContext(seed, checkpoint, allow_repeats=data.allow_repeats)
    model.fit(fold.train, fold.validation, data.catalog, context)
    value = 0.0
    if len(fold.test.targets):
        value = ndcg_at_20(model.scorer(data.catalog), fold.test, data.allow_repeats)
    drop_checkpoints(checkpoint)
    return value
