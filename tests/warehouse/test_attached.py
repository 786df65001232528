"""Databases of ``[attach]``: what a path may be, and who refuses it, without a password in any message."""

import json
import sqlite3

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.attached_database_settings import (
    AttachedDatabase,
    _parse_connection_text,
    _quoted_parameter,
    read_connection_details,
)
from jobs.errors import NextmartError, UsageError, redact
from jobs.settings import load_settings
from jobs.warehouse import extensions
from jobs.warehouse.attached_databases import attach_databases, attach_needed_databases, attached_database_names
from jobs.warehouse.warehouse_tables import is_warehouse_table

SECRET = "it's a \\ s3cret"


@pytest.fixture(scope="module")
def connection():
    """A connection with DuckDB's extensions, each of which takes a moment to load."""
    with duckdb.connect() as connection:
        yield connection


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHOP_PASSWORD", SECRET)
    return tmp_path


# --- settings ---


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ('[attach.shop]\ntype = "postgres"\npath = "host=db password=hush"', "[attach.shop]: path holds a password"),
        ('[attach.shop]\ntype = "postgres"\npath = "postgresql://u:hush@db/shop"', "write ${SHOP_PASSWORD}"),
        ('[attach.shop]\ntype = "ducklake"\npath = "postgres:password=hush"', "[attach.shop]: path holds a password"),
        ('[attach.shop]\ntype = "postgres"\npath = " postgresql://u:hush@db/shop"', "path holds a password"),
        (
            '[attach.shop]\ntype = "postgres"\npath = "postgresql://db/shop?user=u&password=hush"',
            "path holds a password",
        ),
        ('[attach.shop]\ntype = "postgres"\npath = "host=db sslpassword=hush"', "path holds a password"),
        ('[attach.shop]\ntype = "mysql"\npath = "host=db user=u passwd=hush"', "path holds a password"),
        ('[attach.shop]\ntype = "duckdb"\npath = "https://u:hush@host/shop.duckdb"', "path holds a password"),
        ('[attach.shop]\npath = "password=hush"', "[attach.shop] type: Field required"),
        ('[attach.shop]\ntype = "postgre"\npath = "password=hush"', "[attach.shop] type: Input should be"),
        ('[attach.shop]\ntype = "postgres"\npth = "password=hush"', "unknown key 'pth'; did you mean 'path'?"),
        ('[attach.shop]\ntype = "postgres"\npath = "hush hush"', "path is no connection text"),
        ('[attach.shop]\ntype = "mysql"\npath = "mysql://u:${SHOP_PASSWORD}@db"', "[attach.shop]: path of MySQL"),
        ('[attach.shop]\ntype = "duckdb"', "[attach.shop]: path is missing"),
        ('[attach."my shop"]\ntype = "duckdb"\npath = "a"', "'my shop' is no name of a database"),
        ('[attach.a]\ntype = "duckdb"\npath = "a"\n[attach.A]\ntype = "duckdb"\npath = "a"', "have the same name"),
    ],
)
def test_a_wrong_table_is_refused_by_name_and_its_text_is_not_repeated(folder, settings, says):
    (folder / "nextmart.toml").write_text(settings)
    with pytest.raises(UsageError) as error:
        load_settings()
    assert says in str(error.value)
    assert "hush" not in f"{error.value}{error.value.__cause__}"


def test_child_processes_get_the_variables_names_and_whole_paths(folder):
    (folder / "nextmart.toml").write_text(
        '[attach.shop]\ntype = "postgres"\npath = "host=db password=${SHOP_PASSWORD}"\n'
        '[attach.lite]\ntype = "sqlite"\npath = "data/shop.db"\n'
        '[attach.lake]\ntype = "ducklake"\npath = "sqlite:a.db"\n'
    )
    passed_on = load_settings().as_environment()
    assert SECRET not in str(passed_on)
    paths = {name: database["path"] for name, database in json.loads(passed_on["NEXTMART_ATTACH"]).items()}
    assert paths == {
        "shop": "host=db password=${SHOP_PASSWORD}",
        "lite": f"{folder}/data/shop.db",
        "lake": f"sqlite:{folder}/a.db",
    }


def test_dbt_reads_the_settings_of_the_folder_in_which_it_was_started(folder, monkeypatch):
    (folder / "nextmart.toml").write_text('[attach.lite]\ntype = "sqlite"\npath = "shop.db"\n')
    project = folder / "project"
    project.mkdir()
    monkeypatch.setenv("PWD", str(folder))
    monkeypatch.chdir(project)
    assert load_settings().attach == {}
    (project / "dbt_project.yml").touch()
    assert load_settings().attach["lite"].path == f"{folder}/shop.db"


# --- connection texts ---


@pytest.mark.parametrize(
    ("kind", "path", "text", "secret"),
    [
        ("postgres", "host=db  port = 5", "host=db port=5", {}),
        ("postgres", "host='my db' password=${SHOP_PASSWORD}", "host='my db'", {"password": SECRET}),
        ("postgres", "${SHOP_TEXT}", "host=db", {"password": SECRET}),
        ("postgres", "postgresql://u:${SHOP_PASSWORD}@db/shop", "",
         {"uri": "postgresql://u:it%27s%20a%20%5C%20s3cret@db/shop"}),
        ("postgres", "host=db password=${SHOP_PASSWORD} sslpassword=${SHOP_PASSWORD}", "",
         {"uri": r"host=db password='it\'s a \\ s3cret' sslpassword='it\'s a \\ s3cret'"}),
        ("ducklake", "postgres:dbname=lake sslpassword=${SHOP_PASSWORD}", "ducklake:postgres:",
         {"uri": r"dbname=lake sslpassword='it\'s a \\ s3cret'"}),
        ("mysql", "host=db passwd=${SHOP_PASSWORD}", "host=db", {"password": SECRET}),
        ("mysql", "host=db database=${SHOP_NAME}", "host=db database=\"${SHOP_PASSWORD} of x\"", {}),
        ("ducklake", "postgres:dbname=lake password=${SHOP_PASSWORD}", "ducklake:postgres:dbname=lake",
         {"password": SECRET}),
        ("sqlite", "/data/${SHOP_NAME}.db", "/data/${SHOP_PASSWORD} of x.db", {}),
    ],
)  # fmt: skip
def test_passwords_stand_apart_from_the_text_and_values_are_quoted(folder, monkeypatch, kind, path, text, secret):
    monkeypatch.setenv("SHOP_TEXT", r"host=db password='it\'s a \\ s3cret'")
    monkeypatch.setenv("SHOP_NAME", "${SHOP_PASSWORD} of x")  # a value is not looked into again
    found = read_connection_details("[attach.shop]", AttachedDatabase(type=kind, path=path))
    assert (found.connection_text, dict(found.secret_options)) == (text, secret)
    assert SECRET not in repr(found)


@given(
    st.dictionaries(
        st.sampled_from(["host", "dbname", "user", "password", "options"]),
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    )
)
def test_a_text_that_is_written_is_read_back(parameters):
    """Also with blanks, quotes, backslashes and what looks like a variable, in values and in the password."""
    written = " ".join(f"{key}={_quoted_parameter(value)}" for key, value in parameters.items())
    assert _parse_connection_text(written) == parameters
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SHOP_TEXT", written)
        found = read_connection_details("[attach.shop]", AttachedDatabase(type="postgres", path="${SHOP_TEXT}"))
    if not parameters.get("password"):
        parameters.pop("password", None)  # an empty password is none
    assert _parse_connection_text(found.connection_text) | dict(found.secret_options) == parameters


# --- attaching ---


@pytest.mark.parametrize(
    ("kind", "path", "says"),
    [
        ("sqlite", "missing.sqlite", "there is no file"),
        ("duckdb", "missing.duckdb", "there is no file"),
        ("ducklake", "sqlite:missing.sqlite", "there is no file"),
        ("sqlite", "text.txt", "text.txt is no SQLite database"),
        ("duckdb", "text.txt", "not a valid DuckDB database file"),
        ("mysql", "host=127.0.0.1 port=1 user=u password=${SHOP_PASSWORD}", "Can't connect to server"),
        ("ducklake", "postgres:host=127.0.0.1 port=1 password=${SHOP_PASSWORD}", "Connection refused"),
        ("postgres", "host=127.0.0.1 port=1 user=u password=${SHOP_PASSWORD}", "Connection refused"),
        ("postgres", "postgresql://u:${SHOP_PASSWORD}@127.0.0.1:1/shop", "Connection refused"),
        ("postgres", "postgresql://127.0.0.1:1/shop?password=${SHOP_PASSWORD}", "Connection refused"),
        ("mysql", r"host='a \"b\" c\\d' user=u", r"""Unknown server host 'a "b" c\d'"""),
        ("mysql", "host=127.0.0.1 port=1 user=u passwd=${SHOP_PASSWORD}", "Can't connect to server"),
        ("postgres", "host=127.0.0.1 hots=a password=${SHOP_PASSWORD}", 'invalid connection option "hots"'),
        ("postgres", "host=127.0.0.1 port=1 user=u sslpassword=${SHOP_PASSWORD}", "Connection refused"),
        ("postgres", "host=${NOT_SET}", "the environment variable NOT_SET, which is not set"),
    ],
)
def test_what_refuses_is_named_and_no_password_is_shown(folder, connection, kind, path, says):
    (folder / "text.txt").write_text("no database\n" * 1000)
    with pytest.raises(NextmartError) as error:
        attach_databases(connection, {"shop": AttachedDatabase(type=kind, path=path)})
    assert str(error.value).startswith("[attach.shop]: ")
    assert says in str(error.value)
    assert "s3cret" not in f"{error.value}{error.value.__cause__}"
    assert attached_database_names(connection) == set()


@pytest.mark.parametrize("name", ["memory", "Memory", "raw", "temp", "main", "mine"])
def test_a_name_of_the_warehouse_is_refused(folder, connection, name):
    connection.execute("create schema if not exists mine")
    with pytest.raises(UsageError, match=rf"^\[attach\.{name}\]: in SQL, "):
        attach_databases(connection, {name: AttachedDatabase(type="duckdb", path="shop.duckdb")})


def test_only_what_views_read_is_attached_and_only_to_read(folder, connection):
    for name in ("one", "two"):
        with sqlite3.connect(folder / f"{name}.db") as database:
            database.execute("create table clicks (item_id text)")
        database.close()
    databases = {name: AttachedDatabase(type="sqlite", path=f"{name}.db") for name in ("one", "two")}
    attach_databases(connection, {"One": databases["one"]})
    connection.execute("create schema raw; create view raw.events as select * from one.clicks; detach one")
    attach_needed_databases(connection, databases)
    assert attached_database_names(connection) == {"one"}
    assert connection.execute("from raw.events").fetchall() == []
    attach_needed_databases(connection, databases, searched_view_schemas=("recommendations",), database_names=["two"])
    assert attached_database_names(connection) == {"one", "two"}
    with pytest.raises(duckdb.Error, match="read-only"):
        connection.execute("insert into one.clicks values ('a')")
    connection.execute("detach two")
    attach_databases(connection, {"two": databases["two"].model_copy(update={"read_only": False})})
    connection.execute("insert into two.clicks values ('a')")
    connection.execute("drop schema raw cascade; detach one; detach two")


def test_an_extension_that_is_nowhere_is_named_with_what_to_install(folder, monkeypatch):
    monkeypatch.setattr(extensions, "_packaged_extension_file", lambda name: None)
    (folder / "shop.db").touch()
    with duckdb.connect(config={"extension_directory": str(folder)}) as bare:
        bare.execute("set custom_extension_repository = 'http://127.0.0.1:1'")
        with pytest.raises(NextmartError) as error:
            attach_databases(bare, {"shop": AttachedDatabase(type="sqlite", path="shop.db")})
    assert str(error.value).startswith(
        f"[attach.shop]: DuckDB {duckdb.__version__} can't load its extension sqlite_scanner"
    )
    assert "pip install 'nextmart[databases]'" in str(error.value)


def test_secrets_of_databases_are_redacted_everywhere(folder, connection):
    with pytest.raises(NextmartError):
        attach_databases(
            connection,
            {"shop": AttachedDatabase(type="postgres", path="host=127.0.0.1 port=1 password=${SHOP_PASSWORD}")},
        )
    assert redact(f"dsn {SECRET}.") == "dsn <password of [attach.shop]>."


def test_a_table_of_an_attached_database_is_none_of_the_warehouse(folder):
    with duckdb.connect("other.duckdb") as other:
        other.execute("create schema raw; create table raw.events (item_id varchar)")
    with duckdb.connect("shop.duckdb") as warehouse:
        attach_databases(warehouse, {"other": AttachedDatabase(type="duckdb", path="other.duckdb")})
        warehouse.execute("create schema raw; create view raw.events as from other.raw.events")
        warehouse.execute("create table raw.items (item_id varchar)")
        assert not is_warehouse_table(warehouse, "raw", "events")
        assert is_warehouse_table(warehouse, "raw", "items")
