"""Running an experiment: each model is fitted with each seed, measured on the test part, and committed."""

import hashlib
import json
import time
from dataclasses import dataclass, field, replace

from jobs.core.arrays import Floats
from jobs.core.catalog import Catalog
from jobs.evaluation.measure import CUT_OFFS, measure_lists
from jobs.experiments import records
from jobs.experiments.evaluation_data import EvaluationData, hash_arrays
from jobs.experiments.records import ExperimentRun, Outcome
from jobs.experiments.spec import Experiment
from jobs.language_models.services import Services
from jobs.models.base import FitContext, Model
from jobs.models.registry import make
from jobs.models.scorer import ndcg_at_20, recommend
from jobs.nightly.checkpoints import drop_checkpoints
from jobs.nightly.model_store import SCHEMA_VERSION
from jobs.progress import say

FUSION = "fusion"  # runs of this family come last, because they reuse models that were fitted before


@dataclass(frozen=True)
class PlannedRun:
    """A run to make, with its seed and the catalogue that has the vectors of the run's embedding model.

    Attributes
    ----------
    seed : int
        The seed to fit with; ``run.seed`` is None for a model without randomness.
    """

    run: ExperimentRun
    catalog: Catalog
    seed: int


@dataclass
class FittedModels:
    """Fitted models that later runs can reuse, each with the run that fitted it.

    A run reuses a model only if it would fit exactly this model itself. So its result depends only on its parameters,
    its seed and the data, whatever other models the experiment has.
    """

    models: list[tuple[ExperimentRun, Model]] = field(default_factory=list)

    def keep(self, run: ExperimentRun, model: Model, later: list[ExperimentRun]) -> None:
        """Add a fitted model, and drop the models that none of the later runs can reuse."""
        candidates = [*self.models, (run, model)]
        self.models = [
            (fitting_run, fitted)
            for fitting_run, fitted in candidates
            if any(_can_reuse(later_run, fitting_run, fitted) for later_run in later)
        ]

    def reusable_by(self, run: ExperimentRun) -> dict[str, Model]:
        """Return the models that a run can reuse, by family."""
        return {model.family: model for fitting_run, model in self.models if _can_reuse(run, fitting_run, model)}


def _can_reuse(run: ExperimentRun, fitting_run: ExperimentRun, model: Model) -> bool:
    """Tell whether ``run`` can reuse ``model`` of ``fitting_run``, because it would fit the same model itself."""
    has_same_seed = fitting_run.seed in (None, run.seed)
    has_same_embeddings = fitting_run.embedding_model in (None, run.embedding_model)
    return has_same_seed and has_same_embeddings and make(run.family, run.parameters).can_reuse(model)


def plan_runs(experiment: Experiment, data: EvaluationData, vectors: dict[str, tuple[str, Floats]]) -> list[PlannedRun]:
    """Return the runs of an experiment, in the order in which they are made.

    A model without randomness has one run, other models one for each seed. A run's ``model_version`` contains a hash of
    all that determines its results: family, parameters, seed, protocol, data, test cases, embeddings, and the version
    of the weights.

    Parameters
    ----------
    vectors : label -> (name, float32 array (items, dimensions))
        The name and the vectors of each variant's embeddings, in the order of ``data.catalog``.
    """
    planned = []
    variants = sorted(experiment.variants(), key=lambda variant: variant.family == FUSION)
    data_hash, cases_hash = data.data_hash, data.cases_hash
    hashes = {id(array): hash_arrays([array]) for _, array in vectors.values()}  # most variants share one array
    for seed_number, seed in enumerate(experiment.seeds):
        for variant in variants:
            model = make(variant.family, variant.parameters)
            if seed_number and not model.is_random:
                continue
            name, array = vectors[variant.label] if model.uses_embeddings else (None, data.catalog.embeddings)
            run_seed = seed if model.is_random else None
            recipe = {
                "family": variant.family,
                "parameters": model.parameters,
                "seed": run_seed,
                "protocol": experiment.protocol,
                "data": data_hash,
                "cases": cases_hash,  # includes the ids of cases, which no model sees, but by which ranks are matched
                "embeddings": [name, hashes[id(array)]] if model.uses_embeddings else None,
                "schema_version": SCHEMA_VERSION,
            }
            run = ExperimentRun(
                experiment=experiment.name,
                label=variant.label,
                family=variant.family,
                parameters=model.parameters,
                seed=run_seed,
                protocol=experiment.protocol,
                embedding_model=name,
                recipe_hash=hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest(),
            )
            planned.append(PlannedRun(run, replace(data.catalog, embeddings=array), seed))
    return planned


def run_all(services: Services, planned: list[PlannedRun], data: EvaluationData) -> dict[str, str]:
    """Make the runs that are not done yet; return the reason of each run that failed, by model_version.

    Each run is committed when it is done. A run that was killed continues from its checkpoint.
    """
    connection = services.connection
    done = records.finished_runs(connection, planned[0].run.experiment) if planned else set()
    fitted, refitted = FittedModels(), FittedModels()
    failed = {}
    for number, next_run in enumerate(planned, start=1):
        run, seed = next_run.run, next_run.seed
        checkpoint = services.settings.work_folder / "checkpoints" / f"{run.recipe_hash[:32]}.safetensors"
        if run.model_version in done:
            drop_checkpoints(checkpoint)  # a process that was killed just after its commit leaves checkpoints
            continue
        say(f"{number} of {len(planned)}: {run.label_and_seed}")
        records.start_run(connection, run)
        second_checkpoint = checkpoint.with_stem(f"{checkpoint.stem}-again")
        contexts = (
            FitContext(seed, checkpoint, fitted.reusable_by(run), data.allow_repeats),
            FitContext(seed, second_checkpoint, refitted.reusable_by(run), data.allow_repeats),
        )
        try:
            model, final, outcome = fit_and_measure(services, run, next_run.catalog, data, contexts)
        except Exception as error:  # an error in one model must not stop the other runs
            failed[run.model_version] = records.fail_run(connection, run, error)
            say(f"failed: {failed[run.model_version]}")
            continue
        records.finish_run(connection, run, data.cases_hash, outcome)
        drop_checkpoints(checkpoint)
        later = [later_run.run for later_run in planned[number:] if later_run.run.model_version not in done]
        fitted.keep(run, model, later)
        refitted.keep(run, final, later)
    return failed


def fit_and_measure(
    services: Services,
    run: ExperimentRun,
    catalog: Catalog,
    data: EvaluationData,
    contexts: tuple[FitContext, FitContext],
) -> tuple[Model, Model, Outcome]:
    """Fit a run's model, fit it again on all training sequences, and measure the second fit on the test part.

    ``fit_seconds`` is the wall-clock time of both fits together. If a fit continues from a checkpoint, only the time
    since then counts.

    Parameters
    ----------
    contexts : tuple of two FitContext
        The contexts of the first and of the second fit.

    Returns
    -------
    tuple of Model, Model, Outcome
        The model of the first fit, that of the second fit (the same model if there is no second fit), and the results.
    """
    model = make(run.family, run.parameters, services)
    started = time.perf_counter()
    model.fit(data.train, data.validation, catalog, contexts[0])
    final = model if data.everything is None else model.refit(data.everything, catalog, contexts[1])
    fitted = time.perf_counter()
    scorer = final.scorer(catalog)
    _, lists = recommend(scorer, data.cases.inputs, max(CUT_OFFS), allow_repeats=data.allow_repeats)
    recommended = time.perf_counter()
    measured = measure_lists(lists, data.cases, catalog, data.item_counts, data.segments, scorer.rates())
    validation_value = None
    if len(data.validation.targets):
        validation_value = ndcg_at_20(model.scorer(catalog), data.validation, allow_repeats=data.allow_repeats)
    return model, final, Outcome(measured, fitted - started, recommended - fitted, validation_value)
