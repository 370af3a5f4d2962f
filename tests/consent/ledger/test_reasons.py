"""Why a database failed: in plain words that tell no secret."""

from __future__ import annotations

import psycopg
import pytest

from centtrack.consent.ledger.ledger import Ledger
from centtrack.consent.ledger.reasons import describe_failure
from centtrack.errors import LedgerError
from ledgers import SECRET, TABLES, record

WEAK = "centtrack_test_weak"


def refusal(url):
    ledger = Ledger(url, [SECRET], timeout_s=30)
    with pytest.raises(LedgerError) as refused:
        ledger.append(record())
    ledger.close()
    return str(refused.value).partition("PostgreSQL at ")[2]


@pytest.fixture
def weak(postgresql_url):
    """The URL of a user who may connect, and do nothing."""
    from sqlalchemy import make_url

    with psycopg.connect(postgresql_url) as connection:
        for table in TABLES:
            connection.execute(f"drop table if exists {table}")
        connection.execute(f"create role {WEAK} login password 'hunter2'")
    yield make_url(postgresql_url).set(username=WEAK, password="hunter2").render_as_string(hide_password=False)
    with psycopg.connect(postgresql_url) as connection:
        connection.execute(f"drop role {WEAK}")


def test_a_database_that_is_not_there(postgresql_url):
    from sqlalchemy import make_url

    url = make_url(postgresql_url)
    missing = url.set(database="no_such_database").render_as_string(hide_password=False)
    assert refusal(missing) == f"{url.host}:{url.port}: the server has no database of this name"


def test_a_user_who_may_nothing(weak):
    refused = refusal(weak)
    assert ": permission denied: its user must be allowed" in refused
    assert WEAK not in refused


def test_a_host_that_nobody_knows():
    assert refusal("postgresql://officer:hunter2@nowhere.invalid/db") == "nowhere.invalid: the host isn't known"


WORDS = [
    ('connection to server at "127.0.0.1", port 5432 failed: Connection refused', "no server listens there"),
    ('could not translate host name "db" to address: Name or service not known', "the host isn't known"),
    ("connection timeout expired", "no answer in time"),
    ('FATAL:  password authentication failed for user "officer"', "refuses the user or the password"),
    ("connection failed: fe_sendauth: no password supplied", "refuses the user or the password"),
    ('FATAL:  role "officer" does not exist', "refuses the user or the password"),
    ('FATAL:  no pg_hba.conf entry for host "192.0.2.1", user "officer"', "lets nobody in from this host"),
    ('FATAL:  database "officer" does not exist', "no database of this name"),
    ("FATAL:  the database system is starting up", "is starting, or was stopped"),
    ("FATAL:  sorry, too many clients already", "no free connection"),
    ("server closed the connection unexpectedly", "the connection was lost"),
    ("officer's words, hunter2's words", "doesn't say why in words that are known here"),
]


@pytest.mark.parametrize(("words", "expected"), WORDS)
def test_a_failure_without_a_code(words, expected):
    reason = describe_failure(psycopg.OperationalError(words))
    assert expected in reason
    assert "officer" not in reason
    assert "Error" not in reason


CODES = [
    ("28P01", "refuses the user or the password"),
    ("28000", "refuses the user or the password"),
    ("3D000", "no database of this name"),
    ("42501", "permission denied"),
    ("08006", "the connection was lost"),
    ("57P01", "is starting, or was stopped"),
    ("57014", "it took too long"),
    ("55P03", "somebody else holds a lock"),
    ("53100", "disk is full"),
    ("53200", "out of memory"),
    ("40P01", "at the same time"),
    ("23505", "don't fit together"),
    ("25006", "can only be read"),
    ("22021", "PostgreSQL refuses it, with the code 22021"),
]


@pytest.mark.parametrize(("code", "expected"), CODES)
def test_a_failure_with_a_code(code, expected):
    error = psycopg.errors.lookup(code)("officer wrote hunter2")
    reason = describe_failure(error)
    assert expected in reason
    assert "officer" not in reason


def test_the_system_refuses():
    assert describe_failure(PermissionError(13, "Permission denied", "/srv/x")) == "Permission denied: /srv/x"
    assert describe_failure(OSError("?")) == "the system refuses it"
