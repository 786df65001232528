"""Running an experiment: each model is fitted with each seed and measured on the test part of the history."""

import hashlib
import json
import time
from dataclasses import dataclass, field, replace

from jobs.core.arrays import Floats
from jobs.core.catalog import Catalog
from jobs.core.metrics import case_values_from_ranks, target_ranks
from jobs.evaluation.measure import CUT_OFFS, measure_lists
from jobs.experiments import records
from jobs.experiments.evaluation_data import EvaluationData, hash_arrays
from jobs.experiments.records import ExperimentRun, RunOutcome
from jobs.experiments.spec import ExperimentSpec
from jobs.language_models.paid_services import PaidServices
from jobs.models.base import FitOptions, Model
from jobs.models.fusion import Fusion
from jobs.models.registry import FAMILIES, make_model
from jobs.models.scorer import recommend
from jobs.nightly.checkpoints import drop_checkpoints
from jobs.nightly.model_store import MODEL_FORMAT_VERSION
from jobs.progress import say


@dataclass(frozen=True)
class PlannedRun:
    """A run to make, with its seed and the catalogue that has the vectors of the run's embedding model.

    Attributes
    ----------
    seed : int
        The seed to fit with; ``experiment_run.seed`` is None for a model without randomness.
    embedding_model : str or None
        The embedding model of the catalogue's vectors; None: the one that the warehouse serves.
    """

    experiment_run: ExperimentRun
    catalog: Catalog
    seed: int
    embedding_model: str | None


@dataclass
class FittedModels:
    """Fitted models that later runs can reuse, each with the run that fitted it.

    A run reuses a model only if the run would otherwise fit exactly the same model. So a run's result depends only on
    its parameters, its seed and the data, whatever other models the experiment has.
    """

    runs_and_models: list[tuple[ExperimentRun, Model]] = field(default_factory=list)

    def add_and_drop_unneeded(
        self, fitting_run: ExperimentRun, fitted_model: Model, later_runs: list[ExperimentRun]
    ) -> None:
        """Add a fitted model, and drop the models that none of the later runs can reuse."""
        candidates = [*self.runs_and_models, (fitting_run, fitted_model)]
        self.runs_and_models = [
            (candidate_run, candidate_model)
            for candidate_run, candidate_model in candidates
            if any(_can_reuse(later_run, candidate_run, candidate_model) for later_run in later_runs)
        ]

    def models_reusable_by(self, later_run: ExperimentRun) -> dict[str, Model]:
        """Return the models that a run can reuse, by family."""
        return {
            model.family: model
            for fitting_run, model in self.runs_and_models
            if _can_reuse(later_run, fitting_run, model)
        }


def _can_reuse(later_run: ExperimentRun, fitting_run: ExperimentRun, fitted_model: Model) -> bool:
    """Tell whether ``later_run`` would fit exactly the model that ``fitting_run`` has fitted, and can reuse it."""
    has_same_seed = fitting_run.seed in (None, later_run.seed)
    has_same_embeddings = fitting_run.embedding_model in (None, later_run.embedding_model)
    return (
        has_same_seed
        and has_same_embeddings
        and fitting_run.training_sequences == later_run.training_sequences
        and make_model(later_run.family, later_run.given_parameters).can_reuse(fitted_model)
    )


def plan_runs(
    experiment_spec: ExperimentSpec,
    evaluation_data: EvaluationData,
    embedding_name_and_vectors_by_label: dict[str, tuple[str, Floats]],
) -> list[PlannedRun]:
    """Return the runs of an experiment, in the order in which they are made.

    A model without randomness has one run, other models one for each seed. A run's ``model_version`` contains a hash of
    all that determines its results: family, parameters, seed, protocol, data, test cases, embeddings, and the version
    of the weights.

    Parameters
    ----------
    embedding_name_and_vectors_by_label : label -> (name, float32 array (items, dimensions))
        The name and the vectors of each variant's embeddings, in the order of the catalogue.
    """
    planned_runs = []
    # a fusion comes last, because it reuses models of earlier runs
    variants = sorted(experiment_spec.variants(), key=lambda variant: issubclass(FAMILIES[variant.family], Fusion))
    data_hash, cases_hash = evaluation_data.data_hash, evaluation_data.cases_hash
    # each array of vectors is hashed once, because most variants share one array
    hashes = {id(array): hash_arrays([array]) for _, array in embedding_name_and_vectors_by_label.values()}
    hash_of_prices = hash_arrays([evaluation_data.catalog.prices])
    for seed_number, seed in enumerate(experiment_spec.seeds):
        for variant in variants:
            model = make_model(variant.family, variant.parameters)
            if seed_number and not model.depends_on_seed:
                continue
            name, array = (
                embedding_name_and_vectors_by_label[variant.label]
                if model.uses_embeddings
                else (None, evaluation_data.catalog.embeddings)
            )
            run_seed = seed if model.depends_on_seed else None
            training_sequences = variant.training_sequences or evaluation_data.training_sequences
            recipe = {
                "family": variant.family,
                "parameters": model.parameters,
                "chosen_by_fit": model.parameters_to_choose,
                "seed": run_seed,
                "protocol": experiment_spec.protocol,
                "data": data_hash,
                # cases_hash includes the ids of cases: no model sees the ids, but ranks of two runs are matched by them
                "cases": cases_hash,
                "embeddings": [name, hashes[id(array)]] if model.uses_embeddings else None,
                "schema_version": MODEL_FORMAT_VERSION,
                # a run without a limit keeps the hash that it had before there were limits
                **({"training_sequences": training_sequences} if training_sequences else {}),
                # a run of a model that reads no prices keeps its hash when prices change
                **({"prices": hash_of_prices} if model.uses_prices else {}),
            }
            run = ExperimentRun(
                experiment=experiment_spec.name,
                label=variant.label,
                family=variant.family,
                parameters=model.parameters,
                given_parameters=model.given_parameters,
                seed=run_seed,
                protocol=experiment_spec.protocol,
                embedding_model=name,
                recipe_hash=hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest(),
                training_sequences=training_sequences,
            )
            catalog = replace(evaluation_data.catalog, embeddings=array)
            planned_runs.append(PlannedRun(run, catalog, seed, variant.embedding_model))
    return planned_runs


def run_all(
    paid_services: PaidServices, planned_runs: list[PlannedRun], evaluation_data: EvaluationData
) -> dict[str, str]:
    """Make the runs that are not done yet; return model_version -> reason for each run that failed.

    Each run is committed when it is done. A run that was killed continues from its checkpoint.
    """
    connection = paid_services.connection
    done = (
        records.mark_killed_and_list_finished_runs(connection, planned_runs[0].experiment_run.experiment)
        if planned_runs
        else set()
    )
    fitted_models, refitted_models = FittedModels(), FittedModels()
    failed = {}
    for number, next_run in enumerate(planned_runs, start=1):
        experiment_run, seed = next_run.experiment_run, next_run.seed
        checkpoint = (
            paid_services.settings.work_folder / "checkpoints" / f"{experiment_run.recipe_hash[:32]}.safetensors"
        )
        if experiment_run.model_version in done:
            drop_checkpoints(checkpoint)  # a process that is killed just after its commit leaves checkpoints
            continue
        say(f"{number} of {len(planned_runs)}: {experiment_run.label_and_seed}")
        records.record_start(connection, experiment_run)
        paid_services.embedding_model = next_run.embedding_model
        second_checkpoint = checkpoint.with_stem(f"{checkpoint.stem}-again")
        options_of_both_fits = (
            FitOptions(
                seed, checkpoint, fitted_models.models_reusable_by(experiment_run), evaluation_data.allow_repeats
            ),
            FitOptions(
                seed,
                second_checkpoint,
                refitted_models.models_reusable_by(experiment_run),
                evaluation_data.allow_repeats,
            ),
        )
        try:
            model, final, outcome = fit_and_measure(
                paid_services, experiment_run, next_run.catalog, evaluation_data, options_of_both_fits
            )
        except Exception as error:  # an error in one model must not stop the other runs
            failed[experiment_run.model_version] = records.record_failure(connection, experiment_run, error)
            say(f"failed: {failed[experiment_run.model_version]}")
            continue
        with_chosen = replace(experiment_run, parameters=final.parameters_in_use)
        records.store_outcome(connection, with_chosen, evaluation_data.cases_hash, outcome)
        drop_checkpoints(checkpoint)
        later_runs = [
            later_run.experiment_run
            for later_run in planned_runs[number:]
            if later_run.experiment_run.model_version not in done
        ]
        fitted_models.add_and_drop_unneeded(experiment_run, model, later_runs)
        refitted_models.add_and_drop_unneeded(experiment_run, final, later_runs)
    return failed


def fit_and_measure(
    paid_services: PaidServices,
    experiment_run: ExperimentRun,
    catalog: Catalog,
    evaluation_data: EvaluationData,
    options_of_both_fits: tuple[FitOptions, FitOptions],
) -> tuple[Model, Model, RunOutcome]:
    """Fit a run's model, fit it again on all training sequences, and measure the second fit on the test part.

    ``fit_seconds`` is the wall-clock time of both fits together. If a fit continues from a checkpoint, only the time
    since then counts.

    Parameters
    ----------
    options_of_both_fits : tuple of two FitOptions
        The options of the first and of the second fit.

    Returns
    -------
    tuple of Model, Model, RunOutcome
        The model of the first fit, that of the second fit (the same model if there is no second fit), and the results.
    """
    model = make_model(experiment_run.family, experiment_run.given_parameters, paid_services)
    started_at = time.perf_counter()
    train = evaluation_data.train.newest(experiment_run.training_sequences)
    model.fit(train, evaluation_data.validation, catalog, options_of_both_fits[0])
    final = model
    if evaluation_data.train_with_validation is not None:
        train_with_validation = evaluation_data.train_with_validation.newest(experiment_run.training_sequences)
        final = model.refit(train_with_validation, catalog, options_of_both_fits[1])
    fitted_at = time.perf_counter()
    scorer = final.scorer(catalog)
    _, lists = recommend(
        scorer, evaluation_data.test_cases.inputs, max(CUT_OFFS), allow_repeats=evaluation_data.allow_repeats
    )
    recommended_at = time.perf_counter()
    measurement = measure_lists(
        lists,
        evaluation_data.test_cases,
        catalog,
        evaluation_data.item_counts,
        evaluation_data.segment_masks,
        scorer.answer_fault_rates(),
    )
    validation_ndcg, validation = None, evaluation_data.validation
    if len(validation.targets):
        lists_of_validation, _ = model.rank_validation_cases(validation, 20, catalog, evaluation_data.allow_repeats)
        ranks = target_ranks(lists_of_validation, validation.targets)
        validation_ndcg = float(case_values_from_ranks(ranks, "ndcg", 20).mean())
    return model, final, RunOutcome(measurement, fitted_at - started_at, recommended_at - fitted_at, validation_ndcg)
