"""Statements to a ClickHouse over its HTTP interface, and what its error codes mean for a batch."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from typing import TYPE_CHECKING

from centtrack.errors import ConfigurationError, Rejected, RetryLater
from centtrack.schema.clickhouse import quote
from centtrack.sinks.http_calls import HttpCaller, authorization, raise_for_answer
from centtrack.sinks.tls import Tls
from centtrack.sinks.url import SinkUrl

if TYPE_CHECKING:
    import httpx

_BAD_REQUEST = 400
_HEADERS = "x-clickhouse-"
_CODE_HEADER = "x-clickhouse-exception-code"
_SETTINGS = {
    "wait_end_of_query": "1",  # else a status of 200 may be sent before it is known
    "async_insert": "0",  # buffered inserts are recognised by other rules
    "insert_deduplicate": "1",
    "input_format_parallel_parsing": "0",  # it cuts a body of 10 MB and more into parts
    "max_partitions_per_insert_block": "0",  # a batch of what was imported may be of many months
    "input_format_allow_errors_num": "0",  # else rows that don't fit are lost in silence
    "input_format_allow_errors_ratio": "0",
    "date_time_input_format": "best_effort",
    "input_format_null_as_default": "1",
    "input_format_skip_unknown_fields": "1",
    "input_format_json_read_objects_as_strings": "1",
}
# Codes of the server's ErrorCodes.cpp. What isn't here may work later: too many parts, too little memory, a replica.
_VALUES = {6, 25, 26, 27, 38, 41, 69, 72, 117, 128, 130, 131, 321, 376, 407, 441, 467, 469, 563, 632}
_MENDED = {
    8: "the table has not all columns",
    16: "the table has not all columns",
    47: "the table has not all columns",
    48: "nothing can be inserted into it",
    53: "a column has another type than events need",
    60: "the table is gone",
    70: "a column has another type than events need",
    115: "the server is too old, it doesn't know a setting",
    164: "the user may only read, or may not change settings",
    192: "user or password is wrong",
    193: "user or password is wrong",
    194: "user or password is wrong",
    291: "the user may not use the database",
    452: "the user may not change settings",
    516: "user or password is wrong",
    774: "the table can only be read",
}
_NO_DATABASE, _DENIED = 81, 497


class MissingError(ConfigurationError):
    """Something isn't there.

    Attributes:
        problem: what is missing.
        statements: what makes it.
    """

    def __init__(self, name: str, problem: str, *statements: str) -> None:
        self.problem, self.statements = problem, statements
        is_short = len(statements) == 1 and "\n" not in statements[0]
        super().__init__(
            f"{name}: {problem}: {statements[0] if is_short else '`centtrack sink check` shows what makes it'}"
        )

    @property
    def fix(self) -> str:
        """The statements, to be copied."""
        return ";\n".join(self.statements)


class DeniedError(ConfigurationError):
    """The user lacks a right.

    Attributes:
        problem: what it may not do.
    """

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(f"{problem}: `centtrack sink check` shows the statement that permits it")


class ClickHouseCalls:
    """Sends statements to one database. Errors never hold what the server says: it quotes rows.

    Args:
        name: of the sink, for errors.
        url: where it is.
        database: that statements are about.
        timeout_s: for a statement, in seconds.
    """

    def __init__(self, name: str, url: SinkUrl, database: str, timeout_s: float) -> None:
        is_tls = url.is_on("tls", default=False)
        self._name, self._database = name, database
        self._url = f"{'https' if is_tls else 'http'}://{url.servers}/"
        self._caller = HttpCaller(name, Tls.read(url.scheme, url.options), timeout_s)
        self._credentials = authorization(url)
        self.open, self.close = self._caller.open, self._caller.close

    def ask(self, statement: str, doing: str, **values: str) -> list[list[str]]:
        """Run a statement; its rows, if it has any.

        Args:
            statement: one.
            doing: what it does, after "may not".
            **values: what stands for `{name:Type}` in it.

        Raises:
            RetryLater: if it may work later.
            ConfigurationError: if somebody must mend something.
        """
        # The statement is the body: one that makes a table is longer than proxies take in an address.
        parameters = {f"param_{name}": value for name, value in values.items()}
        lines = self._post(parameters, statement.encode(), {}, doing).text.split("\n")
        return [line.split("\t") for line in lines if line]

    def insert(self, statement: str, lines: bytes, token: str | None) -> None:
        """Insert rows.

        Args:
            statement: as in `insert into event (event_id, time) format JSONEachRow`.
            lines: a JSON object each.
            token: the same one is inserted once.

        Raises:
            RetryLater: if it may work later.
            Rejected: if a value doesn't fit the table.
            ConfigurationError: if somebody must mend something.
        """
        parameters = {"query": statement, **_SETTINGS}
        if token:
            parameters["insert_deduplication_token"] = token
        body = gzip.compress(lines, compresslevel=1, mtime=0)
        response = self._post(parameters, body, {"Content-Encoding": "gzip"}, "insert into the table")
        if response.content:  # an insert answers nothing; what comes after a status of 200 is an error
            raise RetryLater(f"{self._name} failed after it had answered {response.status_code}")

    def _post(
        self, parameters: Mapping[str, str], content: bytes, headers: Mapping[str, str], doing: str
    ) -> httpx.Response:
        parameters = {"database": self._database, **parameters}
        response = self._caller.post(self._url, content, {**self._credentials, **headers}, params=parameters)
        code = response.headers.get(_CODE_HEADER, "")
        if code.isdecimal() and code != "0":
            self._raise_for_code(int(code), doing)
        is_clickhouse = any(name.startswith(_HEADERS) for name in response.headers)
        if not is_clickhouse and (response.is_success or response.status_code == _BAD_REQUEST):
            # Else any web server would seem to take events, or to reject them.
            raise ConfigurationError(f"{self._name}: what answers there is no ClickHouse")
        raise_for_answer(self._name, response)
        return response

    def _raise_for_code(self, code: int, doing: str) -> None:
        if code in _VALUES:
            raise Rejected(f"{self._name}: a value does not fit the table (error {code})")
        if code == _NO_DATABASE:
            missing = quote(self._database)
            raise MissingError(self._name, f"there is no database {missing}", f"create database {missing}")
        if code == _DENIED:
            raise DeniedError(f"{self._name}: the user may not {doing} (error {code})")
        if code in _MENDED:
            raise ConfigurationError(f"{self._name}: {_MENDED[code]} (error {code})")
        raise RetryLater(f"{self._name} can't {doing} now (error {code})")
