"""The exception that ends a campaign: it names the rule that does not hold, and shows the evidence."""

from collections.abc import Iterable
from datetime import datetime


class BrokenRule(Exception):
    """The error that is raised when a rule that the campaign checks does not hold.

    Attributes
    ----------
    rule : str
        The rule in words. Two histories count as showing the same error if they break the same rule.
    evidence : str
        What was found: rows, or the output of a command.
    """

    def __init__(self, rule: str, evidence: object = "") -> None:
        super().__init__(f"{rule}\n{evidence}")
        self.rule, self.evidence = rule, str(evidence)


def require_equal_rows(rule: str, found_rows: Iterable, expected_rows: Iterable) -> None:
    """Raise BrokenRule if two tables hold different rows; the evidence shows the first rows that differ.

    The order of rows does not matter, but the number of equal rows does.
    """
    found_rows, expected_rows = sorted(map(_row_as_text, found_rows)), sorted(map(_row_as_text, expected_rows))
    if found_rows != expected_rows:
        missing, unexpected = list(expected_rows), []
        for row in found_rows:
            if row in missing:
                missing.remove(row)
            else:
                unexpected.append(row)
        lines = [f"{len(found_rows)} rows, expected {len(expected_rows)}"]
        lines += [f"  lacks {row}" for row in missing[:3]] + [f"  should not hold {row}" for row in unexpected[:3]]
        raise BrokenRule(rule, "\n".join(lines))


def _row_as_text(row: Iterable) -> str:
    return repr([value.isoformat() if isinstance(value, datetime) else value for value in row])
