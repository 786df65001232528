"""What sqlfluff takes for dbt's ``exceptions`` when it renders macros without dbt, with made-up values of the vars."""


def raise_compiler_error(message: str) -> str:  # noqa: ARG001
    """Return a text instead of raising an error, because a macro would reject the made-up value of a var."""
    return "checked"
