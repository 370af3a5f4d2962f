"""What errors of Redis mean for a batch, in our own words."""

from __future__ import annotations

import contextlib
import re
import shlex
import ssl
from collections.abc import Iterator

import redis

from centtrack.errors import ConfigurationError, RetryLater
from centtrack.sinks.causes import find_cause
from centtrack.sinks.redis.settings import Settings

_ACL = (
    "ACL SETUSER {user} ~{stream} ~{batches} +ping +select +evalsha +script|load +xadd +hget +hset"
    " +xrange +xdel +type +info"  # these are for the check alone
)
_MENDED = {
    "WRONGPASS": "the server doesn't accept this user and password",
    "NOAUTH": "the server wants a password",
    "NOPERM": "this user may not do that",
    "WRONGTYPE": "{stream} or {batches} is something else than a stream and its hash: name another stream",
    "user executing the script": "this user may not do that",
    "MOVED": "this is a node of a cluster that doesn't have the stream: name the one that has it",
    "unknown command": "the server has no streams or no scripts: it needs Redis 5 or newer",
    "index is out of range": "the server doesn't have so many databases: see option db",
}
_PERMISSION = {"NOPERM", "user executing the script"}
_LATER = {
    "OOM": "its memory is full",
    "LOADING": "it is loading its data",
    "READONLY": "it is a replica",
    "BUSY": "it is busy with a script",
    "MISCONF": "it can't write to its disk",
    "NOREPLICAS": "too few replicas are there",
    "MASTERDOWN": "its master is away",
    "CLUSTERDOWN": "its cluster is down",
    "TRYAGAIN": "its cluster is moving the stream",
    "max number of clients": "it has too many clients",
}
# Of these the client cuts off what the server's text begins with.
_CLASSES = {
    redis.exceptions.NoPermissionError: "NOPERM",
    redis.AuthenticationError: "WRONGPASS",
    redis.exceptions.MovedError: "MOVED",
    redis.OutOfMemoryError: "OOM",
    redis.BusyLoadingError: "LOADING",
    redis.ReadOnlyError: "READONLY",
    redis.exceptions.MasterDownError: "MASTERDOWN",
    redis.exceptions.ClusterDownError: "CLUSTERDOWN",
    redis.exceptions.TryAgainError: "TRYAGAIN",
}
_KNOWN = re.compile("|".join(rf"\b{code}\b" for code in (*_MENDED, *_LATER)))


@contextlib.contextmanager
def told_safely(settings: Settings) -> Iterator[None]:
    """Errors as a sink raises them.

    Raises:
        ConfigurationError: for what somebody has to mend.
        RetryLater: for all else.
    """
    try:
        yield
    except (redis.RedisError, OSError) as error:
        what, fix = explain(settings, error)
        if fix is None:
            raise RetryLater(f"{settings.name}: {what}") from None
        raise ConfigurationError(f"{settings.name}: {what}" + (f": {fix}" if fix else "")) from None


def explain(settings: Settings, error: Exception) -> tuple[str, str | None]:
    """What an error means, and the command that mends it: "" if there is none, None if it goes away by itself."""
    code = _code_of(error)
    names = {"stream": settings.stream, "batches": settings.batches, "user": shlex.quote(settings.url.user or "NAME")}
    if code in _MENDED:
        return _MENDED[code].format(**names), _ACL.format(**names) if code in _PERMISSION else ""
    if code in _LATER:
        return _LATER[code], None
    if _is_untrusted(error):
        return "the server's certificate isn't trusted or names another host: see option ca", ""
    if isinstance(error, (redis.ConnectionError, redis.TimeoutError, OSError)):
        return f"the server doesn't answer: {find_cause(error)}", None
    return f"the server refuses ({type(error).__name__})", None


def _code_of(error: Exception) -> str:
    for kind, code in _CLASSES.items():
        if isinstance(error, kind):
            return code
    found = _KNOWN.search(str(error))
    return found[0] if found else ""


def _is_untrusted(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError) or "CERTIFICATE_VERIFY_FAILED" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False
