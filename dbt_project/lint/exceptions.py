"""dbt's ``exceptions`` for sqlfluff, under which every var has a made-up value."""


def raise_compiler_error(message: str) -> str:  # noqa: ARG001
    """Let a check of a var pass."""
    return "checked"
