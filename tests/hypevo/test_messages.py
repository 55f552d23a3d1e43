"""Passwords of addresses: neither shown nor recorded."""

import sys

import pytest

from hypevo.cli import app as cli
from hypevo.messages import hidden
from hypevo.tracking.provenance import provenance


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql+psycopg://anna:s3cr:t@db:5432/x", "postgresql+psycopg://anna:***@db:5432/x"),
        ("http://anna:p@ss@host and mysql://b:c@d/e", "http://anna:***@host and mysql://b:***@d/e"),
        ("redis://:secret@host", "redis://:***@host"),
        ("http://host:5000/a@b", "http://host:5000/a@b"),
        ("sqlite:///a.db", "sqlite:///a.db"),
        ("a: b@c", "a: b@c"),
    ],
)
def test_the_password_of_an_address_is_hidden(text, shown):
    assert hidden(text) == shown


def test_a_recorded_command_has_no_password(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["hypevo", "evolve", "--storage", "postgresql://anna:s3cret@db/x"])
    command = provenance()["hypevo.command"]
    assert "s3cret" not in command
    assert "postgresql://anna:" in command


def test_an_error_shows_no_password(monkeypatch, capfd):
    monkeypatch.setenv("COLUMNS", "200")
    address = "nonsense://anna:s3cret@db/x"
    monkeypatch.setattr(sys, "argv", ["hypevo", "status", "--storage", address])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    said = "".join(capfd.readouterr())
    assert "nonsense://anna:***@db/x" in said
    assert "s3cret" not in said
