"""No secret that the process was given stands in a message, in whatever form."""

import base64
import json
from urllib.parse import quote, quote_plus

import pytest

from jobs.errors import UsageError, redact, register_secret
from jobs.progress import print_result, say
from jobs.services.openai_client import make_openai_client
from jobs.warehouse.connection import connect, prepare_warehouse
from jobs.warehouse.job_runs import job_run

SECRET = "p4ss/w+rd&'x\\y"


@pytest.fixture
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    return SECRET


@pytest.mark.parametrize(
    "form",
    [
        str,
        quote,
        lambda text: quote(text, safe=""),
        quote_plus,
        lambda text: json.dumps(text)[1:-1],
        lambda text: text.replace("'", "''"),
        lambda text: base64.b64encode(text.encode()).decode(),
        *(
            lambda text, user=user: base64.b64encode(f"{user}:{text}".encode()).decode()
            for user in ("a", "ab", "abc", "user")
        ),
        lambda text: base64.urlsafe_b64encode(f"ab:{text}".encode()).decode(),
    ],
)
def test_every_form_of_a_secret_is_replaced(key, form):
    said = redact(f"Authorization: {form(key)} was refused")
    assert "<OPENAI_API_KEY>" in said
    assert form(key)[6:-6] not in said
    assert said.endswith(" was refused")


@pytest.mark.parametrize(
    ("variable", "value", "secret"),
    [
        ("SHOP_PASSWORD", "hunter22long", "hunter22long"),
        ("HF_TOKEN", "hf_abcdefgh", "hf_abcdefgh"),
        ("AWS_SECRET_ACCESS_KEY", "abcdefghijkl", "abcdefghijkl"),
        ("MYSQL_PWD", "abcd", "abcd"),
        ("HTTPS_PROXY", "http://me:s3cretword@proxy:80", "s3cretword"),
        ("DATABASE_URL", "postgres://me:s3%2Fword@db/shop", "s3/word"),
    ],
)
def test_secrets_are_known_by_the_names_of_variables_and_by_addresses(monkeypatch, variable, value, secret):
    monkeypatch.setenv(variable, value)
    assert redact(f"refused {secret} here") == f"refused <{variable}> here"


def test_other_variables_are_no_secrets(monkeypatch):
    monkeypatch.setenv("PWD", "/srv/shop-folder")
    monkeypatch.setenv("MONKEY", "chimpanzee")
    monkeypatch.setenv("USE_TOKENS", "true")
    text = "/srv/shop-folder chimpanzee true"
    assert redact(text) == text


def test_a_kept_secret_is_replaced_in_every_form():
    register_secret("kept-s3cret", "password of [attach.shop]")
    assert "kept" not in redact(base64.b64encode(b"user:kept-s3cret").decode())


def test_nothing_that_is_printed_or_recorded_holds_a_secret(key, capsys, tmp_path):
    say(f"progress {key}")
    print_result(f"report {key}")
    assert key not in "".join(capsys.readouterr())
    with connect(tmp_path / "w.duckdb") as connection:
        prepare_warehouse(connection)
        with job_run(connection, "embed") as run_record:
            run_record.detail["ended_by"] = f"refused {key}"
        [(detail,)] = connection.execute("select detail from ml.job_runs").fetchall()
    assert key not in json.loads(detail)["ended_by"]


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("http://me:hunter22@localhost/v1", "holds a user name or password"),
        ("http://hunter22@localhost/v1", "holds a user name or password"),
        ("http://localhost/v1?key=hunter22", r"ends with its path"),
        ("localhost:8000/v1", "begins with http"),
        ("http:///v1", "names no server"),
        (" http://localhost/v1", "blanks around it"),
    ],
)
def test_an_address_that_would_displace_the_key_is_refused_and_not_repeated(monkeypatch, key, address, says):
    monkeypatch.setenv("OPENAI_BASE_URL", address)
    with pytest.raises(UsageError, match=says) as refused:
        make_openai_client(1)
    assert "OPENAI_API_KEY" in str(refused.value)
    assert "hunter22" not in str(refused.value)
