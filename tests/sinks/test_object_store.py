"""A lake in an object store: URLs, errors, the probe, and commits that are not lost."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple
from uuid import uuid4

import obstore
import pytest
import trustme
from deltalake import DeltaTable
from obstore.store import from_url

from centtrack.errors import ConfigurationError, RetryLater
from centtrack.reports.lake import fetch, open_lake
from centtrack.sinks import Batch, open_sink
from centtrack.sinks.delta import probe as store_probe
from centtrack.testing import SinkContract, make_event
from lakes import events_of
from s3 import SECRET, Front, make_bucket
from servers import free_port


class Lake(NamedTuple):
    location: str
    front: Front

    def sink(self):
        sink = open_sink(f"delta:{self.location}")
        sink.open()
        return sink

    def ids(self):
        return DeltaTable(self.location).to_pyarrow_table(columns=["event_id"])["event_id"].to_pylist()


@pytest.fixture
def bucket(s3_url):
    return make_bucket(s3_url)


@pytest.fixture
def lake(s3_url, bucket, monkeypatch):
    """A folder behind a front, that nothing was proven of yet."""
    with Front(s3_url) as front:
        monkeypatch.setenv("AWS_ENDPOINT_URL", front.url)
        yield Lake(f"s3://{bucket}/lake", front)


def batch(sequence, *events, stream="journal/sink"):
    return Batch(events or [make_event()], stream=stream, sequence=sequence)


class TestDeltaSinkOnS3(SinkContract):
    @pytest.fixture(autouse=True)
    def _bucket(self, bucket):
        self.location = f"s3://{bucket}/lake"

    def make_sink(self, folder):
        return open_sink(f"delta:{self.location}")

    def stored(self, folder):
        return events_of(self.location)


# URLs


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("delta:s3://bucket/lake", "delta:s3://bucket/lake"),
        ("delta:s3://bucket/team/lake/", "delta:s3://bucket/team/lake"),
        ("delta:gs://my_bucket.example/lake", "delta:gs://my_bucket.example/lake"),
        ("delta:az://container/lake", "delta:az://container/lake"),
    ],
)
def test_its_name_is_its_location(url, name):
    assert open_sink(url).name == name


@pytest.mark.parametrize(
    "url",
    [
        f"delta:s3://key:{SECRET}@bucket/lake",
        f"delta:s3://key:{SECRET}/x@bucket/lake",
        f"delta:s3://bucket/{SECRET}@lake",
        f"delta:s3://bucket/lake?secret={SECRET}",
        f"delta:s3://bucket/lake#{SECRET}",
        f"delta:az://:{SECRET}@container/lake",
        "delta:s3://bucket",
        "delta:s3://bucket/",
        "delta:s3:///lake",
        "delta:s3://bucket/la ke",
        "delta:s3://bucket/la\nke",
    ],
)
def test_credentials_and_options_stand_in_the_environment(url):
    with pytest.raises(ConfigurationError, match="BUCKET/FOLDER") as caught:
        open_sink(url)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("url", ["delta:http://host/lake", "delta:S3://bucket/lake", "delta:abfss://a@b/lake"])
def test_other_stores_are_refused(url):
    with pytest.raises(ConfigurationError, match=r"there are folders, and s3://, gs://, az://"):
        open_sink(url)


# The probe


def test_a_store_that_overwrites_is_refused(lake):
    """It would lose commits, and say nothing: see the next test."""
    lake.front.without.add("if-none-match")
    with pytest.raises(ConfigurationError, match=r"ignores If-None-Match.*conditional writes"):
        lake.sink()
    assert not [request for request in lake.front.requests if "_delta_log" in request]


@pytest.mark.parametrize(("without", "is_kept"), [(set(), True), ({"if-none-match"}, False)], ids=["whole", "stripped"])
def test_what_the_probe_guards_against(lake, monkeypatch, without, is_kept):
    """Two commits of the same version, under way at once. In the second case with the probe taken away."""
    monkeypatch.setattr(store_probe, "_proven", {lake.location})
    sinks, events = [lake.sink(), lake.sink()], [make_event(), make_event()]
    lake.front.without |= without
    lake.front.meeting = threading.Barrier(2, action=lambda: setattr(lake.front, "meeting", None))
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda n: sinks[n].write(batch(1, events[n], stream=f"writer-{n}")), range(2)))
    assert (sorted(lake.ids()) == sorted(event.event_id for event in events)) is is_kept


def test_it_is_asked_once_in_a_process(lake):
    """And by one request where another process asked before: what it made stays."""
    for _ in range(3):
        lake.sink()
    assert sum(store_probe.PROBE in request for request in lake.front.requests) == 2
    store_probe._proven.clear()
    lake.sink()
    assert sum(store_probe.PROBE in request for request in lake.front.requests) == 3


def test_amazons_own_is_not_asked(monkeypatch):
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    assert store_probe.is_amazons("s3://bucket/lake")
    assert not store_probe.is_amazons("gs://bucket/lake")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://store.example")
    assert not store_probe.is_amazons("s3://bucket/lake")


# Requests


def test_a_commit_takes_no_more_requests_the_longer_the_log_is(lake):
    """Asked for the end of a stream, deltalake reads the log; so it is asked once, while nobody else commits."""
    sink, taken = lake.sink(), []
    for sequence in range(5):
        before = len(lake.front.requests)
        sink.write(batch(sequence, stream=f"topic-{sequence % 2}"))
        taken.append(len(lake.front.requests) - before)
    assert max(taken[2:]) == min(taken[2:])


def test_its_batches_are_larger_than_those_on_disk(bucket, tmp_path):
    """Nobody joins the files there."""
    assert open_sink(f"delta:s3://{bucket}/lake").linger_s > open_sink(f"delta:{tmp_path}/lake").linger_s


# Trouble


def refusal(code):
    return f"<Error><Code>{code}</Code><Message>visitor-4711 of {SECRET}</Message></Error>".encode()


@pytest.mark.parametrize(
    ("status", "code", "error", "says"),
    [
        (
            403,
            "AccessDenied",
            ConfigurationError,
            "the store answers 403 AccessDenied: listing, reading and writing must",
        ),
        (403, "InvalidAccessKeyId", ConfigurationError, "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        (401, "", ConfigurationError, "the store answers 401: "),
        (400, "ExpiredToken", ConfigurationError, "400 ExpiredToken"),
        (400, "RequestTimeout", RetryLater, "400 RequestTimeout"),
        (404, "NoSuchBucket", ConfigurationError, "Make it: aws s3 mb s3://"),
        (501, "NotImplemented", ConfigurationError, "a store with conditional writes is needed"),
        (503, "SlowDown", RetryLater, "the store answers 503 SlowDown"),
    ],
)
@pytest.mark.parametrize("method", ["PUT", "GET"])
def test_what_a_store_refuses_is_told_in_our_words(lake, monkeypatch, method, status, code, error, says):
    """At the probe, and in deltalake. Servers quote what they were sent."""
    monkeypatch.setattr(store_probe, "RETRY_S", 0)
    sink = open_sink(f"delta:{lake.location}")
    sink._options = {"retry_timeout": "0s"}
    lake.front.answer[method] = (status, refusal(code))
    with pytest.raises(error) as caught:
        sink.open()
    assert says in str(caught.value)
    assert not any(text in str(caught.value) for text in ("geheim", "visitor"))


def test_a_bucket_that_is_not_there_is_for_somebody_to_make(s3_url):
    name = f"test-{uuid4().hex}"
    with pytest.raises(ConfigurationError, match=f"there is no {name}. Make it: aws s3 mb s3://{name}$"):
        open_sink(f"delta:s3://{name}/lake").open()


def test_a_server_that_is_away_is_tried_again(lake):
    sink = lake.sink()
    lake.front.answer["PUT"] = (503, refusal("SlowDown"))
    sink._table = DeltaTable(lake.location, storage_options={"retry_timeout": "0s"})
    with pytest.raises(RetryLater, match="503 SlowDown"):
        sink.write(batch(1))
    lake.front.answer.clear()
    sink.close()
    sink.write(batch(1))
    assert len(lake.ids()) == 1


def test_a_commit_whose_answer_is_lost_is_not_made_twice(lake):
    """The client sends it again, and finds its own commit in the way."""
    sink = lake.sink()
    lake.front.swallows = True
    sink.write(batch(1))
    assert not lake.front.swallows
    sink.write(batch(1))
    assert len(lake.ids()) == 1


def test_a_lake_that_was_removed_is_made_anew(lake):
    """When it is opened, as the delivery does after a failure."""
    sink = lake.sink()
    sink.write(batch(1))
    store = from_url(lake.location)
    obstore.delete(store, [item["path"] for item in obstore.list(store).collect()])
    with pytest.raises(RetryLater):
        sink.write(batch(2))
    sink.close()
    sink.open()
    sink.write(batch(2))
    assert len(lake.ids()) == 1


def test_a_server_that_is_gone_is_tried_again(lake, monkeypatch):
    monkeypatch.setattr(store_probe, "_proven", {lake.location})
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    sink = open_sink(f"delta:{lake.location}")
    sink._options = {"max_retries": "0"}
    with pytest.raises(RetryLater, match=f"^can't write delta:{lake.location}: Connection refused$"):
        sink.open()


def test_an_answer_that_breaks_off_is_said(lake, monkeypatch):
    """At the reading of the log, of which the end would be missing."""
    monkeypatch.setattr(store_probe, "_proven", {lake.location})
    monkeypatch.setattr(lake.front, "ask", lambda *_: (200, [("Content-Length", "1000")], b"<ListBucketResult>"))
    sink = open_sink(f"delta:{lake.location}")
    sink._options = {"retry_timeout": "0s", "timeout": "0.3s"}
    with pytest.raises(RetryLater, match=r"the store doesn't answer, or not to the end$"):
        sink.open()


def test_nothing_of_an_event_is_in_the_names_of_its_objects(lake):
    lake.sink().write(batch(1, make_event(path="/visitor-4711", city="Qostanay")))
    assert not [request for request in lake.front.requests if "visitor" in request or "Qostanay" in request]


# centtrack sink check


def found(location):
    return list(open_sink(f"delta:{location}").check())


IS_SAFE = "makes an object only if it isn't there yet, as commits need it"


def test_check_of_a_new_place(lake):
    assert found(lake.location) == [
        ("there is no table yet: it is made with the first delivery", None, None),
        (IS_SAFE, None, None),
        ("reads back what it wrote", None, None),
    ]
    lake.sink()
    assert found(lake.location)[0] == ("the table is there, with all columns", None, None)


def test_check_of_a_bucket_that_is_not_there(s3_url):
    [finding] = found("s3://nowhere-4711/lake")
    assert "there is no nowhere-4711" in finding.problem
    assert finding.fix == "aws s3 mb s3://nowhere-4711"


def test_check_of_a_store_that_overwrites(lake):
    lake.front.without.add("if-none-match")
    assert "If-None-Match" in found(lake.location)[-1].problem


def test_check_says_what_is_not_allowed(lake):
    lake.front.answer["PUT"] = (403, refusal("AccessDenied"))
    table, finding = found(lake.location)
    assert (table.problem, finding.what) == (None, IS_SAFE)
    assert "403 AccessDenied" in finding.problem
    assert SECRET not in json.dumps(finding)


# Reading, and joining files


def test_the_lake_is_read_with_sql(lake):
    lake.sink().write(batch(1, make_event(country_code="KZ"), make_event(country_code="DE")))
    rows = fetch(open_lake(f"delta:{lake.location}"), "select country_code from events order by 1").to_pylist()
    assert rows == [{"country_code": "DE"}, {"country_code": "KZ"}]


def test_files_are_joined_when_asked_to(lake):
    """By one process: nothing does it by itself there."""
    sink, other = lake.sink(), lake.sink()
    for sequence in (1, 2):
        other.write(batch(sequence))
    sink.compact()
    assert len(DeltaTable(lake.location).file_uris()) == 1
    for sequence in (2, 3):
        other.write(batch(sequence))
    assert len(lake.ids()) == 3


# TLS


def test_an_authority_of_ones_own_is_trusted_by_the_environment(s3_url, bucket, tmp_path, monkeypatch):
    authority = trustme.CA()
    with Front(s3_url, authority.issue_cert("localhost")) as front:
        monkeypatch.setenv("AWS_ENDPOINT_URL", front.url.replace("127.0.0.1", "localhost"))
        monkeypatch.delenv("AWS_ALLOW_HTTP")
        sink = open_sink(f"delta:s3://{bucket}/lake")
        monkeypatch.setattr(store_probe, "RETRY_S", 0)
        with pytest.raises(ConfigurationError, match=r"isn't trusted .* SSL_CERT_FILE"):
            sink.open()
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        sink.open()
        sink.write(batch(1))
        assert sink.last_sequence("journal/sink") == 1
