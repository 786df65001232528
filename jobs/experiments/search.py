"""Hyper-parameter search on forward folds of the training part; the test part is never looked at."""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy.typing as npt

from jobs.core.cases import Cases
from jobs.core.sequences import Sequences
from jobs.errors import NextmartError, UsageError, redact
from jobs.evaluation.splits import forward_folds
from jobs.experiments import records as store
from jobs.experiments.evaluation_data import EvaluationData, hash_of, held_out
from jobs.experiments.records import Run
from jobs.experiments.spec import Experiment, Range, Variant
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

RANDOM_TRIALS = 20  # before the sampler goes by what it has seen; the paper's
KEPT_PERCENT = 80.0  # of the trials after each fold; the paper prunes the worst fifth


@dataclass(frozen=True)
class Fold:
    """One fold in arrays: what is fitted on, what decides when to stop, and what the fit is judged by."""

    train: Sequences
    validation: Cases
    judged: Cases

    def arrays(self) -> list[npt.NDArray[Any]]:
        """Return all of it, to be hashed."""
        rows = (self.train, self.validation.inputs, self.judged.inputs)
        flat = [array for each in rows for array in (each.items, each.offsets)]
        return [*flat, self.validation.targets, self.judged.targets]


@dataclass(frozen=True)
class Best:
    """What a search found: a family's best model, and its mean nDCG@20 over the folds."""

    model: Variant
    value: float
    trials: int


def search(
    services: Services, experiment: Experiment, data: EvaluationData, max_cost: float = 0.0
) -> tuple[list[Best], dict[str, str]]:
    """Search each family of ``[search.space]``; return what was found, and why those failed that did, by label.

    Trials are kept in a file of the work folder: a search that was killed goes on, with the very trials that it would
    have made, and one that is given more trials goes on from those it has made. A trial fails for good by its
    parameters alone; any other error ends the family's search, with which the next call goes on. The sampler is TPE
    (Bergstra et al. 2011), the objective the mean nDCG@20 over the folds of the training part, as in arXiv 2309.09261.

    Raises
    ------
    NextmartError
        If Optuna is not installed, the training part is too short, or an entry's embeddings are not there
        (:func:`read_vectors`).
    """
    if experiment.search is None:
        return [], {}
    _optuna()  # without it nothing is to be fitted
    connection, settings = services.connection, services.settings
    folds = make_folds(data, settings)
    done = store.finished(connection, experiment.name)
    found, failed = [], {}
    for family in experiment.search.space:
        base = experiment.base(family)
        name, vectors = read_vectors(connection, settings, [base], data.catalog, max_cost)[base.label]
        own = replace(data, catalog=replace(data.catalog, embeddings=vectors))
        run = _run(experiment, base, name, own, folds)
        study = _study(settings, run)
        if run.model_version in done and len(_made(study)) >= experiment.search.trials:
            found.append(_best(base, study))  # its record stays as it is
            continue
        store.start(connection, run)
        try:
            _try_all(services, experiment, base, own, folds, run, study)
            best = _best(base, study)
        except Exception as error:  # whatever is wrong with one search, the others go on
            failed[run.label] = store.fail(connection, run, error)
            continue
        seconds = sum(trial.duration.total_seconds() for trial in _made(study))
        store.close(connection, replace(run, parameters=best.model.parameters), seconds, None, best.value)
        found.append(best)
    return found, failed


def make_folds(data: EvaluationData, settings: Settings) -> list[Fold]:
    """Cut the training part into folds, each with sequences held out to decide when to stop.

    Raises
    ------
    NextmartError
        If the training part has too few sequences.
    """
    found = []
    try:
        splits = forward_folds(data.split.train, allow_repeats=data.allow_repeats)
    except ValueError as error:
        raise NextmartError(f"the training part is too short for a search: {error}") from error
    for split in splits:
        train, validation = held_out(split, settings)
        found.append(
            Fold(
                index_items(train["items"], data.catalog),
                index_cases(validation, data.catalog),
                index_cases(split.test, data.catalog),
            )
        )
    return found


def toml(found: list[Best]) -> str:
    """Return the best parameters as entries of an experiment's file."""
    entries = []
    for best in found:
        keys = {"family": best.model.family, **vars(best.model)}  # the family first
        lines = [f"{name} = {_inline(value)}\n" for name, value in keys.items() if value is not None]
        head = f"# nDCG@20 {best.value:.4f}, the mean of the folds; the best of {best.trials} trials\n[[models]]\n"
        entries.append("".join([head, *lines]))
    return "\n".join(entries)


def _inline(value: Any) -> str:
    """Return a value as TOML on one line; the names of tables' entries are families' and parameters'."""
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{name} = {_inline(each)}' for name, each in value.items())} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_inline, value))}]"
    return json.dumps(value, ensure_ascii=False)  # JSON's texts, numbers and truth values are TOML's too


def _run(experiment: Experiment, base: Variant, embedding_model: str, data: EvaluationData, folds: list[Fold]) -> Run:
    assert experiment.search is not None  # noqa: S101 - for the type checker
    family, model = base.family, make(base.family, base.parameters)
    space = experiment.search.model_dump(mode="json")["space"][family]
    arrays: list[npt.NDArray[Any]] = [data.catalog.item_ids, data.catalog.titles, data.catalog.categories]
    arrays += [array for fold in folds for array in fold.arrays()]
    arrays += [data.catalog.embeddings] if model.uses_embeddings else []
    recipe = [family, model.parameters, space, experiment.search.seed, data.allow_repeats, SCHEMA_VERSION]
    recipe_hash = hashlib.sha256(json.dumps([recipe, hash_of(arrays)]).encode()).hexdigest()
    return Run(
        experiment.name, f"search {family}", family, model.parameters, experiment.search.seed, experiment.protocol,
        embedding_model if model.uses_embeddings else None, recipe_hash,
    )  # fmt: skip


def _study(settings: Settings, run: Run) -> Any:
    optuna = _optuna()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study(
        storage=f"sqlite:///{_file(settings.work_folder, run)}",
        study_name=run.recipe_hash,
        pruner=optuna.pruners.PercentilePruner(KEPT_PERCENT),
        direction="maximize",
        load_if_exists=True,
    )


def _made(study: Any) -> list[Any]:
    """Return the trials that count, so not those that a kill or an error left."""
    return [trial for trial in study.trials if trial.state.is_finished()]


def _try_all(
    services: Services,
    experiment: Experiment,
    base: Variant,
    data: EvaluationData,
    folds: list[Fold],
    run: Run,
    study: Any,
) -> None:
    optuna = _optuna()
    assert experiment.search is not None  # noqa: S101 - for the type checker
    family = base.family
    wanted, space = experiment.search, experiment.search.space[family]

    def objective(trial: Any) -> float:
        suggested = {name: _suggested(trial, family, name, values) for name, values in space.items()}
        parameters = {**base.parameters, **suggested}
        values: list[float] = []
        for number, fold in enumerate(folds):
            values.append(_judged(services, family, parameters, wanted.seed, data, fold, f"{run.recipe_hash}{number}"))
            trial.report(sum(values) / len(values), number)
            if number + 1 < len(folds) and trial.should_prune():
                raise optuna.TrialPruned
        return sum(values) / len(values)

    while (made := len(_made(study))) < wanted.trials:
        # a sampler of its own for each trial: one that went on from a seed would repeat itself after a kill
        study.sampler = optuna.samplers.TPESampler(n_startup_trials=RANDOM_TRIALS, seed=wanted.seed * 1_000_003 + made)
        trial = study.ask()
        # not study.optimize: it counts a trial that was interrupted as one that failed
        try:
            study.tell(trial, objective(trial))
        except optuna.TrialPruned:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        except ValueError as error:  # parameters that do not go together; after anything else the trial is made again
            why = redact(str(error))
            say(f"search {family}: failed: {why}")
            trial.set_user_attr("error", why)
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        last = study.trials[trial.number]
        value = f" {last.value:.4f}" if last.value is not None else ""
        say(f"search {family}: trial {made + 1} of {wanted.trials}: {last.state.name.lower()}{value}")


def _best(base: Variant, study: Any) -> Best:
    family, made = base.family, _made(study)
    if not any(trial.state.name == "COMPLETE" for trial in made):
        reasons = [trial.user_attrs["error"] for trial in made if "error" in trial.user_attrs]
        raise NextmartError(
            f"each of the {len(made)} trials of {family} failed, the last with: {' '.join(reasons[-1:])}"
        )
    found = replace(base, label=f"{family} tuned", parameters={**base.parameters, **study.best_params})
    return Best(found, float(study.best_value), len(made))


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise NextmartError("a search needs Optuna: pip install 'nextmart[experiments]' brings it") from error
    return optuna


def _file(folder: Path, run: Run) -> Path:
    path = folder.absolute() / "experiments" / f"{run.experiment}-search.sqlite"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _suggested(trial: Any, family: str, name: str, values: Range | list[Any]) -> Any:
    if isinstance(values, list):
        return trial.suggest_categorical(name, values)
    if isinstance(make(family).parameters[name], float):
        return trial.suggest_float(name, values.low, values.high, log=values.log)
    return trial.suggest_int(name, values.low, values.high, log=values.log)


def _judged(
    services: Services, family: str, parameters: dict[str, Any], seed: int, data: EvaluationData, fold: Fold, key: str
) -> float:
    """Fit on a fold, going on from the checkpoint of a trial that was killed, and judge by its later sequences."""
    named = hashlib.sha256(json.dumps([key, parameters], sort_keys=True).encode()).hexdigest()
    checkpoint = services.settings.work_folder / "checkpoints" / f"{named[:32]}.safetensors"
    try:
        model = make(family, parameters, services)
    except UsageError as error:  # those of a fit have other reasons: money that is spent, a package that is missing
        raise ValueError(str(error)) from error
    context = FitContext(seed, checkpoint, allow_repeats=data.allow_repeats)
    model.fit(fold.train, fold.validation, data.catalog, context)
    value = 0.0
    if len(fold.judged.targets):
        value = ndcg_at_20(model.scorer(data.catalog), fold.judged, data.allow_repeats)
    drop_checkpoints(checkpoint)
    return value
