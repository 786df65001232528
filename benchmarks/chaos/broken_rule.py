"""What the campaign stops at: a rule that a night broke, with the evidence."""

from collections.abc import Iterable
from datetime import datetime


class BrokenRule(Exception):
    """A rule that does not hold.

    Attributes
    ----------
    rule : str
        The rule's name: two histories show the same fault if they break the same rule.
    evidence : str
    """

    def __init__(self, rule: str, evidence: object = "") -> None:
        super().__init__(f"{rule}\n{evidence}")
        self.rule, self.evidence = rule, str(evidence)


def require_equal_rows(rule: str, found_rows: Iterable, expected_rows: Iterable) -> None:
    """Raise a BrokenRule that shows the first rows which only one of two tables holds.

    Rows count as often as they come; their order does not matter.
    """
    found_rows, expected_rows = sorted(map(_text, found_rows)), sorted(map(_text, expected_rows))
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


def _text(row: Iterable) -> str:
    return repr([value.isoformat() if isinstance(value, datetime) else value for value in row])
