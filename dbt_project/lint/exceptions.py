"""Stand-in for dbt's ``exceptions`` in sqlfluff, which gives every var a made-up value."""


def raise_compiler_error(message: str) -> str:  # noqa: ARG001
    """Return text instead of an error, so that the check of a made-up value passes."""
    return "checked"
