"""The table ``[attach.NAME]`` of ``nextmart.toml``: a database beside the warehouse, and how DuckDB connects to it.

A path in ``nextmart.toml`` names environment variables, such as ``${SHOP_PASSWORD}``, in place of passwords. Their
values are put in only when a connection is made, so that no secret is printed or stored.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, model_validator

from jobs.errors import UsageError

VARIABLE = re.compile(r"\$\{(\w+)\}")
"""A pattern of ``${NAME}`` in a setting, which stands for an environment variable; its group is the variable's name."""
_PARAMETER = re.compile(r"""\s*(\w+)\s*=\s*('(?:[^'\\]|\\.)*'|(?:[^\s'\\]|\\.)*)(?=\s|$)""")
_PASSWORD_NAMES = ("password", "passwd", "sslpassword")
"""Names of parameters that hold a password: those of PostgreSQL's libpq, and `passwd` of DuckDB's MySQL extension."""
_PASSWORD_IN_URI = re.compile(rf"^\s*\w+://[^/@:?]*:([^/@]*)@|[?&](?:{'|'.join(_PASSWORD_NAMES)})=([^&#]*)")


class AttachedDatabase(BaseModel):
    """A database that nextmart attaches to the warehouse, under the name of its table ``[attach.NAME]``."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    type: Literal["duckdb", "sqlite", "postgres", "mysql", "ducklake"]
    """The kind of database."""
    path: str = ""
    """The file of `duckdb` and `sqlite`. For `postgres` a connection text (`host=db dbname=shop user=reader
    password=${SHOP_PASSWORD}`) or a URI, for `mysql` a connection text (`host=db database=shop user=reader`); what it
    leaves out is read from `PGHOST`, `PGPASSWORD`, `MYSQL_PWD` and so on. For `ducklake` what stands behind
    `ducklake:`, such as `lake.ducklake` or `postgres:dbname=lake`. `${NAME}` is the value of an environment variable; a
    password can't stand there in any other way."""
    read_only: bool = True
    """Whether SQL of yours may only read there. nextmart itself never writes there."""

    @model_validator(mode="after")
    def _require_valid_path_without_password(self) -> "AttachedDatabase":
        server_type, text = self.server_type_and_location()
        if not self.path and self.type not in ("postgres", "mysql"):
            raise ValueError("path is missing: it names the file")
        if VARIABLE.fullmatch(text.strip()):
            return self
        if _is_uri(text) and server_type == "mysql":
            raise ValueError("path of MySQL is a connection text, such as host=db database=shop user=reader, no URI")
        passwords = passwords_in_location(text) if server_type or _is_uri(text) else []
        if not all(map(VARIABLE.fullmatch, passwords)):
            raise ValueError(
                "path holds a password: put the password into an environment variable, such as SHOP_PASSWORD, and "
                "write ${SHOP_PASSWORD} here"
            )
        return self

    def server_type_and_location(self) -> tuple[Literal["postgres", "mysql"] | None, str]:
        """Return the kind of server in the path (None for a file), and the connection text or the file's path."""
        if self.type == "postgres" or self.type == "mysql":
            return self.type, self.path
        if self.type == "ducklake" and self.path.startswith("postgres:"):
            return "postgres", self.path.removeprefix("postgres:")
        if self.type == "ducklake" and self.path.startswith("mysql:"):
            return "mysql", self.path.removeprefix("mysql:")
        return None, self.path

    def with_absolute_path(self, folder: Path) -> "AttachedDatabase":
        """Return the database with an absolute path; a relative path of a file is relative to ``folder``."""
        server_type, _ = self.server_type_and_location()
        prefix, colon, file = self.path.rpartition(":") if self.type == "ducklake" else ("", "", self.path)
        if server_type or not file or "://" in self.path or VARIABLE.match(file) or Path(file).is_absolute():
            return self
        return self.model_copy(update={"path": f"{prefix}{colon}{folder.absolute() / file}"})


@dataclass(frozen=True)
class ConnectionDetails:
    """The connection text, the kind of server and the secrets with which DuckDB attaches a database.

    Attributes
    ----------
    connection_text : str
        The connection text for ``attach``, without a password, because DuckDB shows it in errors and in
        ``duckdb_databases()``.
    server_type : str, optional
        ``postgres`` or ``mysql``; None for a file.
    secret_options : option of DuckDB's ``create secret`` -> value
        What DuckDB must not show: a password, or (as ``uri``) a URI or a connection text with a password in it.
    """

    connection_text: str
    server_type: str | None = None
    secret_options: Mapping[str, str] = field(default_factory=dict, repr=False)


def read_connection_details(setting_name: str, database: AttachedDatabase) -> ConnectionDetails:
    """Return how DuckDB connects to a database, with the values of environment variables filled in.

    Parameters
    ----------
    setting_name : str
        Name of the setting that describes the database, for messages: ``[attach.shop]``.

    Raises
    ------
    UsageError
        If an environment variable is not set, or the database's path is no valid connection text.
    """
    server_type, text = database.server_type_and_location()
    prefix = "ducklake:" if database.type == "ducklake" else ""
    if server_type is None:
        return ConnectionDetails(prefix + _fill_in_variables(setting_name, text))
    prefix += f"{server_type}:" if prefix else ""
    is_template = not VARIABLE.fullmatch(text.strip())
    if not is_template:
        text = _fill_in_variables(setting_name, text.strip())
    if _is_uri(text) and server_type == "postgres":
        uri = _fill_in_variables(setting_name, text, escape_for_uri=True) if is_template else text
        return ConnectionDetails(prefix, server_type, {"uri": uri})
    try:
        parameters = _parse_connection_text(text)
    except ValueError as error:
        raise UsageError(f"{setting_name}: {error}") from None
    if is_template:
        parameters = {key: _fill_in_variables(setting_name, value) for key, value in parameters.items()}
    if server_type == "postgres" and parameters.get("sslpassword"):
        # DuckDB's secrets have no option for this password, so the secret holds the whole connection text
        return ConnectionDetails(prefix, server_type, {"uri": _connection_text(parameters)})
    mysql_password = parameters.pop("passwd", None) if server_type == "mysql" else None
    password = parameters.pop("password", None) or mysql_password
    written = _connection_text(parameters, quote_sign='"' if server_type == "mysql" else "'")
    return ConnectionDetails(prefix + written, server_type, {"password": password} if password else {})


def passwords_in_location(text: str) -> list[str]:
    """Return the passwords in a URI or a connection text; those of a URI are escaped, as they are written there.

    Raises
    ------
    ValueError
        If the text is neither.
    """
    if _is_uri(text):
        found = [before_host or parameter for before_host, parameter in _PASSWORD_IN_URI.findall(text)]
    else:
        parameters = _parse_connection_text(text)
        found = [parameters.get(name, "") for name in _PASSWORD_NAMES]
    return [password for password in found if password]


def _fill_in_variables(setting_name: str, text: str, *, escape_for_uri: bool = False) -> str:
    """Replace each ``${VARIABLE}`` in a text by the value of the environment variable.

    Raises
    ------
    UsageError
        If a variable is not set.
    """

    def variable_value(variable_match: re.Match[str]) -> str:
        name = variable_match[1]
        if name not in os.environ:
            raise UsageError(f"{setting_name}: path names the environment variable {name}, which is not set")
        return quote(os.environ[name], safe="") if escape_for_uri else os.environ[name]

    return VARIABLE.sub(variable_value, text)


def _is_uri(text: str) -> bool:
    return re.match(r"\s*\w+://", text) is not None


def _parse_connection_text(text: str) -> dict[str, str]:
    """Parse a connection text such as ``host=db user=me`` into its parameters, as PostgreSQL's library libpq does.

    Raises
    ------
    ValueError
        If the text has another form; the message doesn't repeat the text, which may hold a password.
    """
    parameters, end = {}, 0
    while found := _PARAMETER.match(text, end):
        value, end = found[2], found.end()
        parameters[found[1].lower()] = re.sub(r"\\(.)", r"\1", value[1:-1] if value.startswith("'") else value)
    if text[end:].strip():
        raise ValueError(
            "path is no connection text: write pairs of name=value with blanks between them, and a value with blanks "
            "in single quotes"
        )
    return parameters


def _connection_text(parameters: Mapping[str, str], quote_sign: str = "'") -> str:
    """Write a connection text that has these parameters."""
    return " ".join(f"{key}={_quoted_parameter(value, quote_sign)}" for key, value in parameters.items())


def _quoted_parameter(value: str, quote_sign: str = "'") -> str:
    """Quote and escape a parameter's value for a connection text.

    Parameters
    ----------
    quote_sign : str
        ``'`` for PostgreSQL's libpq, ``"`` for DuckDB's MySQL extension, which takes ``'`` for a plain character.
    """
    if value and not re.search(rf"[\s\\{quote_sign}]", value):
        return value
    escaped = value.replace("\\", "\\\\").replace(quote_sign, f"\\{quote_sign}")
    return f"{quote_sign}{escaped}{quote_sign}"
