"""Running an experiment: each model and seed is fitted, measured on the test part and committed, one by one."""

import hashlib
import json
import time
from dataclasses import dataclass, field, replace

from jobs.core.arrays import Floats
from jobs.core.catalog import Catalog
from jobs.evaluation.measure import CUT_OFFS, measure_lists
from jobs.experiments import records as store
from jobs.experiments.evaluation_data import EvaluationData, hash_of
from jobs.experiments.records import Outcome, Run
from jobs.experiments.spec import Experiment
from jobs.language_models.services import Services
from jobs.models.base import FitContext, Model
from jobs.models.registry import make
from jobs.models.scorer import ndcg_at_20, recommend
from jobs.nightly.checkpoints import drop_checkpoints
from jobs.nightly.model_store import SCHEMA_VERSION
from jobs.progress import say

COMPOSITE = "fusion"  # takes models that were fitted before, so it comes last


@dataclass(frozen=True)
class Planned:
    """A run, with what it is run on: a catalogue whose vectors are the variant's."""

    run: Run
    catalog: Catalog
    seed: int


@dataclass
class FittedModels:
    """Fitted models that later ones may take, with the runs that made them.

    A run takes what it would fit itself: it is what its parameters, its seed and the data say, whatever else stands in
    the file.
    """

    models: list[tuple[Run, Model]] = field(default_factory=list)

    def keep(self, run: Run, model: Model, later: list[Run]) -> None:
        """Keep a model as long as a later run may take it."""
        self.models = [each for each in [*self.models, (run, model)] if any(_can_reuse(one, *each) for one in later)]

    def of(self, run: Run) -> dict[str, Model]:
        """Return what a run may take, by family."""
        return {model.family: model for made_by, model in self.models if _can_reuse(run, made_by, model)}


def _can_reuse(run: Run, made_by: Run, model: Model) -> bool:
    same = made_by.seed in (None, run.seed) and made_by.embedding_model in (None, run.embedding_model)
    return same and make(run.family, run.parameters).can_reuse(model)


def plan(experiment: Experiment, data: EvaluationData, vectors: dict[str, tuple[str, Floats]]) -> list[Planned]:
    """Return every run of an experiment, in the order in which they are run.

    A model without randomness is run once; else once a seed. A run's name is a hash of all that makes it: family,
    parameters, seed, protocol, data, test cases, embeddings, and the code's version.

    Parameters
    ----------
    vectors : label -> (name, float32 array (items, dimensions))
        Each variant's embeddings, in the order of the bench's catalogue, and what they are called.
    """
    found = []
    variants = sorted(experiment.variants(), key=lambda variant: variant.family == COMPOSITE)
    data_hash, cases_hash = data.data_hash, data.cases_hash
    hashes = {id(array): hash_of([array]) for _, array in vectors.values()}  # most variants share one array
    for number, seed in enumerate(experiment.seeds):
        for variant in variants:
            model = make(variant.family, variant.parameters)
            if number and not model.is_random:
                continue
            name, array = vectors[variant.label] if model.uses_embeddings else (None, data.catalog.embeddings)
            run_seed = seed if model.is_random else None
            recipe = {
                "family": variant.family,
                "parameters": model.parameters,
                "seed": run_seed,
                "protocol": experiment.protocol,
                "data": data_hash,
                "cases": cases_hash,  # ranks are read by it, and ids change it that no model sees
                "embeddings": [name, hashes[id(array)]] if model.uses_embeddings else None,
                "schema_version": SCHEMA_VERSION,
            }
            recipe_hash = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()
            run = Run(
                experiment.name, variant.label, variant.family, model.parameters, run_seed, experiment.protocol, name,
                recipe_hash,
            )  # fmt: skip
            found.append(Planned(run, replace(data.catalog, embeddings=array), seed))
    return found


def run_all(services: Services, planned: list[Planned], data: EvaluationData) -> dict[str, str]:
    """Run what is not done yet, and return why each of those failed that did, by model_version.

    Each run is committed when it is done; one that was killed goes on from its checkpoint.
    """
    connection = services.connection
    done = store.finished(connection, planned[0].run.experiment) if planned else set()
    runs = [each.run for each in planned]
    parts, refitted, failed = FittedModels(), FittedModels(), {}
    for number, each in enumerate(planned, start=1):
        run = each.run
        checkpoint = services.settings.work_folder / "checkpoints" / f"{run.recipe_hash[:32]}.safetensors"
        if run.model_version in done:
            drop_checkpoints(checkpoint)  # a kill after the commit leaves them
            continue
        say(f"{number} of {len(planned)}: {run.label}{'' if run.seed is None else f', seed {run.seed}'}")
        store.start(connection, run)
        again = checkpoint.with_stem(f"{checkpoint.stem}-again")
        contexts = (
            FitContext(each.seed, checkpoint, parts.of(run), data.allow_repeats),
            FitContext(each.seed, again, refitted.of(run), data.allow_repeats),
        )
        try:
            model, final, outcome = fit_and_measure(services, run, each.catalog, data, contexts)
        except Exception as error:  # whatever is wrong with one model, the others go on
            failed[run.model_version] = store.fail(connection, run, error)
            say(f"failed: {failed[run.model_version]}")
            continue
        store.finish(connection, run, data.cases_hash, outcome)
        drop_checkpoints(checkpoint)
        later = [planned_run for planned_run in runs[number:] if planned_run.model_version not in done]
        parts.keep(run, model, later)
        refitted.keep(run, final, later)
    return failed


def fit_and_measure(
    services: Services, run: Run, catalog: Catalog, data: EvaluationData, contexts: tuple[FitContext, FitContext]
) -> tuple[Model, Model, Outcome]:
    """Fit a run's model, fit it again with the validation part, and measure that on the test part.

    The seconds are of the wall clock, both fits together; where they go on from a checkpoint, only what came after.
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
    value = None
    if len(data.validation.targets):
        value = ndcg_at_20(model.scorer(catalog), data.validation, allow_repeats=data.allow_repeats)
    return model, final, Outcome(measured, fitted - started, recommended - fitted, value)
