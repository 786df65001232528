"""Takes a forgotten person out of publish targets, which hold copies of the published tables."""

from typing import Any

from jobs.publish_targets import targets_by_setting
from jobs.publishing.targets.copying import copy_to_targets
from jobs.settings import Settings


def withdraw_person_from_targets(
    settings: Settings, *, was_ever_published: bool, is_published_file_clean: bool
) -> dict[str, dict[str, Any]]:
    """Write all targets anew from the published file, and delete the files that targets keep of earlier publications.

    Parameters
    ----------
    was_ever_published : bool
        Whether the warehouse records a publication. Without one, and without a published file, there is
        nothing in targets to withdraw, and the result is empty.
    is_published_file_clean : bool
        Whether the published file can be read and no longer holds the forgotten person; if not, no target is written,
        and each gets a problem.

    Returns
    -------
    What :func:`~jobs.publishing.targets.copying.copy_to_targets` returns
    """
    publish_targets = targets_by_setting(settings.publish)
    if not (was_ever_published or settings.published.exists()):
        return {}
    if publish_targets and not (is_published_file_clean and settings.published.exists()):
        return {setting: {"problem": f"{settings.published} is missing or damaged"} for setting in publish_targets}
    return copy_to_targets(settings.published.resolve(), publish_targets, may_keep_previous_files=False)


def names_of_ducklake_targets(settings: Settings) -> list[str]:
    """Return the settings' names of the targets of type ``ducklake``, which keep earlier snapshots of their tables."""
    return [setting for setting, target in targets_by_setting(settings.publish).items() if target.type == "ducklake"]
