"""How long the fit of a family should take: as long as its fits of before, in proportion to the training sequences."""

from collections.abc import Mapping, Sequence
from statistics import median_low

from jobs.models.base import Model
from jobs.models.fusion import Fusion
from jobs.nightly.past_trainings import PastFit

FITS_THAT_COUNT = 3
"""The newest fits of a family, whose median is expected: one slow night, or one clock that jumped, counts little."""


class ExpectedFitTimes:
    """The time that the next fit of each family should take.

    Parameters
    ----------
    models : family -> Model
        The unfitted model of each family of the setting ``models``.
    recipe_fingerprints : family -> str
        The hash of all that determines a family's model except the data.
    past_fits : sequence of PastFit
        All fits of before, newest first.
    training_rows : int
        The number of training sequences of the next fit.
    """

    def __init__(
        self,
        models: Mapping[str, Model],
        recipe_fingerprints: Mapping[str, str],
        past_fits: Sequence[PastFit],
        training_rows: int,
    ) -> None:
        self._models = models
        self._fingerprints = recipe_fingerprints
        self._past_fits = past_fits
        self._training_rows = training_rows

    def seconds(self, family: str, *, count_cut_fits: bool = False) -> float | None:
        """Return the time that a fit should take, without a fusion's reusable parts; None if no fit tells.

        That is the median of the newest fits, if possible of those of the present recipe.

        Parameters
        ----------
        count_cut_fits : bool
            Whether fits count that were cut short, and so took less time than a whole fit.
        """
        fits = [fit for fit in self._past_fits if fit.family == family and (count_cut_fits or not fit.was_cut_short)]
        same_recipe = [fit for fit in fits if fit.recipe_fingerprint == self._fingerprints[family]]
        newest = (same_recipe or fits)[:FITS_THAT_COUNT]
        return median_low(map(self._seconds_without_reusable_parts, newest)) if newest else None

    def has_whole_fit(self, family: str) -> bool:
        """Tell whether a fit of the family's present recipe was not cut short."""
        return any(
            fit.recipe_fingerprint == self._fingerprints[family] and not fit.was_cut_short for fit in self._past_fits
        )

    def _seconds_without_reusable_parts(self, fit: PastFit) -> float:
        """Return the time of a fit with this run's number of sequences, less that of parts which a fusion can reuse.

        A fusion that was not trained in one run with such a part has fitted the part itself.
        """
        seconds = self._training_rows * fit.seconds_per_row
        if isinstance(fusion := self._models[fit.family], Fusion):
            parts = {part.family for part in fusion.part_models} & self._models.keys() - set(fit.families_of_run)
            reusable = [part for part in sorted(parts) if fusion.can_reuse(self._models[part])]
            seconds -= sum(self.seconds(part) or 0.0 for part in reusable)
        return max(0.0, seconds)
