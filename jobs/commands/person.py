"""The person to forget, named by the id of a visitor or of a user."""

from dataclasses import dataclass
from typing import Literal

from jobs.errors import UsageError


@dataclass(frozen=True)
class Person:
    """The person to forget: a visitor, or a user.

    A user's events include those without a login on the user's devices.
    """

    id_type: Literal["visitor", "user"]
    id: str

    @classmethod
    def from_ids(cls, visitor_id: str | None, user_id: str | None) -> "Person":
        """Return the person whose id is given, either as a visitor or as a user.

        Raises
        ------
        UsageError
            If no id is given, or both are, or the id is blank.
        """
        if visitor_id is not None and user_id is None and visitor_id.strip():
            return cls("visitor", visitor_id)
        if user_id is not None and visitor_id is None and user_id.strip():
            return cls("user", user_id)
        raise UsageError("say whom to forget: either --visitor ID or --user ID, which can't be blank")
