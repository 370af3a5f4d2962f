"""URLs of sinks: strict, and nothing secret in any error."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from centtrack.errors import ConfigurationError
from centtrack.sinks.url import SinkUrl, filled, identifier, read_options, read_url


def read(url, *options):
    return read_url(url, schemes=("kafka",), port=9092, options=options)


@pytest.mark.parametrize(
    ("url", "hosts", "path"),
    [
        ("kafka://one/topic", [("one", 9092)], "topic"),
        ("kafka://one:1,two,three:3/topic", [("one", 1), ("two", 9092), ("three", 3)], "topic"),
        ("kafka://[::1]:5/a/b", [("::1", 5)], "a/b"),
        ("kafka://[2001:db8::1]", [("2001:db8::1", 9092)], ""),
        ("kafka://10.0.0.1:65535/", [("10.0.0.1", 65535)], ""),
        ("kafka://user:p%40ss%2F@one/%C3%A9", [("one", 9092)], "é"),
        ("kafka://One.Example:1/Topic", [("one.example", 1)], "Topic"),  # else it had two names, and two entries
        ("kafka://[2001:DB8:0:0::1]", [("2001:db8::1", 9092)], ""),
        ("kafka://münchen.example/t", [("xn--mnchen-3ya.example", 9092)], "t"),
        ("kafka://１２７.0.0.1/t", [("127.0.0.1", 9092)], "t"),  # noqa: RUF001 - so that checks of addresses see it
    ],
)
def test_hosts_and_path(url, hosts, path):
    parts = read(url)
    assert (list(parts.hosts), parts.path) == (hosts, path)


@pytest.mark.parametrize(
    "url",
    [
        "kafka:",
        "kafka:/one",
        "kafka://",
        "kafka:///topic",
        "http://one/topic",
        "kafka://one:0/t",
        "kafka://one:65536/t",
        "kafka://one:/t",
        "kafka://one:+1/t",
        "kafka://one:٣/t",  # a digit, but not one of ours
        f"kafka://one:{'9' * 5_000}/t",  # more digits than int() takes
        "kafka://one,,two/t",
        "kafka://one two/t",
        "kafka://one\n/t",
        "kafka://one/t%0Aevil line",
        "kafka://one/t%0Aevil",
        "kafka://one/%E2%80%AEabc",  # writes from right to left
        "kafka://one/%00",
        "kafka://[::1/t",
        "kafka://::1/t",
        "kafka://one%0A/t",
        "kafka://one;rm/t",
        "kafka://one\\@two/t?x=1",
        "kafka://\u202eabc/t",
        "kafka://one/t#fragment",
    ],
)
def test_no_url_of_ours(url):
    with pytest.raises(ConfigurationError):
        read(url)


# Passwords in which somebody forgot to write characters as %XX. None may be taken for a host, a port, a path or an
# option, as these are shown.
PASSWORDS = [
    "hunter2/x",
    "12/hunter2",
    "hunter2?a=b",
    "12?hunter2",
    "hunter2#x",
    "12#hunter2",
    "hun ter2",
    "a@hunter2/x",
]


@pytest.mark.parametrize("password", PASSWORDS)
def test_error_shows_no_part_of_a_password(password):
    with pytest.raises(ConfigurationError) as caught:
        read(f"kafka://user:{password}@one/topic")
    assert "hunter2" not in str(caught.value)


@given(st.text(st.characters(codec="ascii"), max_size=20))
def test_password_is_never_a_host_or_a_path(password):
    secret = f"s3cr3t{password}s3cr3t"
    shown = ""
    try:
        parts = read(f"kafka://user:{secret}@one:9/topic")
    except ConfigurationError as error:
        shown = str(error)
    else:
        assert parts.hosts == (("one", 9),)
        shown = parts.name() + repr(parts) + parts.servers
    assert "s3cr3t" not in shown


def test_name_and_repr_show_neither_credentials_nor_options():
    parts = read("kafka://root:hunter2@one/topic?compression=zstd&key=k4y", "compression", "key")
    assert (parts.user, parts.password) == ("root", "hunter2")
    assert parts.name(compression="none", acks="all") == "kafka://one:9092/topic?compression=zstd"
    assert not any(secret in parts.name() + repr(parts) for secret in ("root", "hunter2", "k4y", "zstd"))


def test_variables_of_the_environment(monkeypatch):
    """Taken as they are: what looks like a URL's syntax in them is none."""
    monkeypatch.setenv("SECRET", "p@ss/w%41rd?#${OTHER}")
    parts = read("kafka://u-${SECRET}:${SECRET}@one/topic?key=${SECRET}", "key")
    secret = "p@ss/w%41rd?#${OTHER}"
    assert (parts.user, parts.password, parts.options) == (f"u-{secret}", secret, {"key": secret})
    assert parts.hosts == (("one", 9092),)


def test_missing_variable_is_named():
    with pytest.raises(ConfigurationError, match=r"\$\{NOT_THERE\}"):
        read("kafka://user:${NOT_THERE}@one/topic")


def test_filled_quotes_values(monkeypatch):
    monkeypatch.setenv("KEY", "a&b")
    assert filled("https", "code=${KEY}&x=1", lambda value: value.replace("&", "%26")) == "code=a%26b&x=1"


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("", {}),
        ("a=1&b=2", {"a": "1", "b": "2"}),
        ("a=x%26y%3D1", {"a": "x&y=1"}),
        ("a=pk+/4==", {"a": "pk+/4=="}),  # base64 stays what it is
        ("a", {"a": ""}),
        ("&&a=1&", {"a": "1"}),
    ],
)
def test_options(text, options):
    assert read_options("kafka", text, ("a", "b")) == options


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tables=x", "Did you mean"),
        ("x=hunter2", "has no option 'x'"),
        ("table=1&table=2", "given twice"),
        ("table=a%0Ahunter2", "control character"),
    ],
)
def test_options_that_are_wrong(text, said):
    with pytest.raises(ConfigurationError, match=said) as caught:
        read_options("kafka", text, ("table",))
    assert "hunter2" not in str(caught.value)


def test_choices():
    parts = SinkUrl("kafka", (("one", 1),), "t", options={"create": "no", "mode": "hunter2"})
    assert not parts.is_on("create", default=True)
    assert parts.choice("absent", "first", "second") == "first"
    with pytest.raises(ConfigurationError, match="option mode is one of a, b") as caught:
        parts.choice("mode", "a", "b")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", ["event", "_e1", "x" * 63])
def test_identifiers(name):
    assert identifier(name, "tables") == name


@pytest.mark.parametrize(
    "name", ["", "Event", "1event", "x" * 64, "event\n", "event;drop table x", 'e"', "e'", "e.e", "é", "e-e", "e e"]
)
def test_no_identifiers(name):
    with pytest.raises(ConfigurationError, match="small letters"):
        identifier(name, "tables")
