"""Checks how a command of a night has ended: it fails only as the night's faults permit, and says what to do then."""

import re
from collections.abc import Collection
from pathlib import Path

from benchmarks.chaos.broken_rule import BrokenRule
from benchmarks.chaos.commands import CommandResult
from benchmarks.chaos.fault_kinds import FAULTS
from benchmarks.chaos.publication_checks import file_hash
from tests.embedding.fake_openai import KEY

ALLOW_SHRINK_OPTION = "--allow-shrink"
PUBLISHED_LINE = r"^ *publish +[0-9,]+ rows, verified|is published, but "
"""Pattern of the lines by which `nextmart run` says that it has published."""


def check_command_result(
    command_result: CommandResult,
    fault_names: Collection[str],
    *,
    has_fault_happened: bool,
    has_unpublished_setting: bool,
    published_file: Path,
    published_hash_before: str | None,
) -> None:
    """Check the output and the exit code of a command, and that a failed run leaves the published file as it was.

    Parameters
    ----------
    fault_names : collection of str
        The night's faults.
    has_fault_happened : bool
        Whether a fault has hit the processes of this command.
    has_unpublished_setting : bool
        Whether a setting has changed since the last publication: the gate may then hold a run's publication.
    published_hash_before : str or None
        Hash of the published file before the command; None if there was no file.

    Raises
    ------
    BrokenRule
        If a rule does not hold.
    """
    if "Traceback (most recent call last)" in command_result.output:
        raise BrokenRule("nobody has to read a traceback", command_result)
    if KEY in command_result.output:
        raise BrokenRule("no secret is printed", command_result)
    if command_result.left_orphan_processes:
        raise BrokenRule("no child works on without its owner", command_result)
    if command_result.exit_code < 0 and not has_fault_happened:
        raise BrokenRule("no command dies by itself", command_result)
    if command_result.exit_code > 0:
        command = command_result.arguments[0]
        permitted = [FAULTS[name].permitted_failures.get(command) for name in fault_names]
        permitted += [ALLOW_SHRINK_OPTION] if has_unpublished_setting and command == "run" else []
        if not any(words and re.search(words, command_result.output) for words in permitted):
            raise BrokenRule(f"`{command}` needs no person, or says what to type", command_result)
        # a run may fail after it has published: when it records the publication, or in its last step, the upkeep
        was_published = re.search(PUBLISHED_LINE, command_result.output, re.MULTILINE)
        if command == "run" and not was_published and file_hash(published_file) != published_hash_before:
            raise BrokenRule("a failed run leaves the published file as it was", command_result)


def require_failure(command_result: CommandResult, fault_name: str) -> None:
    """Require that a command has failed, so that a fault of the night has prevented the publication.

    Raises
    ------
    BrokenRule
        If the command has not failed.
    """
    if command_result.exit_code == 0:
        raise BrokenRule(f"no publication that a gate should hold: {FAULTS[fault_name].description}", command_result)
