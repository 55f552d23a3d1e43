"""What should stay secret in addresses, and what this process was given as such: neither shown nor recorded."""

import json
import os
import shlex
import sys
from unittest.mock import patch
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypevo.cli import app as cli
from hypevo.messages import hidden
from hypevo.tracking.provenance import provenance

ODD = st.text("/@%:?#&=+ '\"\\$é[]~a1", max_size=8).map(
    lambda odd: f"s3cr{odd}t9x"
)  # begins and ends as a word
FORMS = ("anna:{}@", ":{}@", "{}0123456789@", "{}0123456789:@", "{}0123456789:x-oauth-basic@")
SAYS = (
    "{}",
    "MLflow at {} does not answer: connection refused (5000/tcp)",
    "«{}»",
    "--storage={}",
    "'{}' and a@b",
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql+psycopg://anna:s3cr:t@db:5432/x", "postgresql+psycopg://***@db:5432/x"),
        ("http://anna:p@ss@host and mysql://b:c@d/e", "http://***@host and mysql://***@d/e"),
        ("redis://:secret@host", "redis://***@host"),
        ("https://ghp_token@host/x", "https://***@host/x"),
        ("postgresql://anna:pa/ss@db/x", "postgresql://***@db/x"),
        ("postgresql://anna:pa ss@db/x", "postgresql://***@db/x"),
        ("at postgresql://anna:pa/s?s@db/x: no", "at postgresql://***@db/x: no"),
        ("postgresql://db/x?user=anna&password=p@ss/w rd", "postgresql://db/x?user=anna&password=***"),
        ("see http://host/a?access_token=x1&b=2, then", "see http://host/a?access_token=***&b=2, then"),
        ("a://u:p@h,b://c:d@e", "a://***@h,b://***@e"),
        ("no: host=db password='it is' user=anna", "no: host=db password=*** user=anna"),
        ("see http://host:5000/a@b", "see http://host:5000/a@b"),
        ("http://host:5000/#/experiments/1?compare=x", "http://host:5000/#/experiments/1?compare=x"),
        ("sqlite:///a.db", "sqlite:///a.db"),
        ("sqlite:////srv/a.db?timeout=100", "sqlite:////srv/a.db?timeout=100"),
        ("a: b@c", "a: b@c"),
    ],
)
def test_what_is_secret_in_an_address_is_hidden(text, shown):
    assert hidden(text) == shown
    assert hidden(shown) == shown


@given(secret=ODD, form=st.sampled_from(FORMS), says=st.sampled_from(SAYS))
def test_a_secret_of_a_given_address_is_nowhere_however_it_is_quoted(secret, form, says):
    secret = (
        secret if "0" not in form else f"s3cr0123456789{secret.replace(':', '')}"
    )  # a user's name has no colon
    address = f"postgresql://{form.replace('0123456789', '').format(secret)}db.example/x"
    for given_as in ({"MLFLOW_TRACKING_URI": address}, {}):
        argv = ["hypevo", f"--storage={address}"] if not given_as else ["hypevo"]
        with patch.dict(os.environ, given_as), patch.object(sys, "argv", argv):
            for quoting in (
                str,
                quote,
                quote_plus,
                repr,
                json.dumps,
                shlex.quote,
                lambda one: quote(one, ""),
            ):
                for text in (says.format(quoting(address)), f"no such user: {quoting(secret)}; mend it"):
                    assert_gone(secret, hidden(text))


@given(
    secret=ODD, key=st.sampled_from(["password", "token", "access_token", "sslpassword", "api_key", "sig"])
)
def test_a_secret_of_a_given_query_is_nowhere(secret, key):
    secret = secret.replace("&", "")
    address = f"postgresql://db.example/x?user=anna&{key}={secret}&timeout=3"
    with patch.object(sys, "argv", ["hypevo", "--storage", address]):
        for text in (address, f"cannot connect to {address!r}: {secret}"):
            assert_gone(secret, hidden(text))


@given(secret=ODD, name=st.sampled_from(["MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "PGPASSWORD"]))
def test_a_secret_of_the_environment_is_nowhere(secret, name):
    with patch.dict(os.environ, {name: secret}):
        assert_gone(secret, hidden(f"401 for {secret}; {quote(secret, '')}"))


def assert_gone(secret, text):
    assert not {"s3cr", "t9x"} & {text[at : at + n] for n in (3, 4) for at in range(len(text))}, (
        secret,
        text,
    )


def test_numbers_and_short_words_stay_what_they_are(monkeypatch):
    monkeypatch.setenv("PGPASSWORD", "0.0100000")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://db:db@db/db")
    assert (
        hidden("lr0 0.0100000; the db postgresql://db:db@db/db")
        == "lr0 0.0100000; the db postgresql://***@db/db"
    )


def test_a_recorded_command_has_no_password(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["hypevo", "evolve", "--storage", "postgresql://anna:s3cret@db/x"])
    command = provenance()["hypevo.command"]
    assert "s3cret" not in command
    assert "postgresql://***@db/x" in command


def test_an_error_shows_no_password(monkeypatch, capfd):
    monkeypatch.setenv("COLUMNS", "200")
    address = "nonsense://anna:s3cret@db/x"
    monkeypatch.setattr(sys, "argv", ["hypevo", "status", "--storage", address])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    said = "".join(capfd.readouterr())
    assert "nonsense://***@db/x" in said
    assert "s3cret" not in said


def test_a_link_to_a_view_of_mlflow_stays_whole():
    link = "http://127.0.0.1:5000/#/experiments/1/runs?compareRunsMode=CHART&viewStateShareKey=a61daf8a"
    assert hidden(link) == link
    assert hidden(f"then {link}") == f"then {link}"
