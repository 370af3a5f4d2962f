"""Object stores that a lake may be in: their URLs, what their errors mean, and whether commits are safe there.

Credentials, endpoint and region come from the environment's variables that the object stores' own tools know.
"""

from __future__ import annotations

import os
import re

from centtrack.errors import CenttrackError, ConfigurationError, RetryLater

RETRY_S = 30  # how long the client tries again by itself; then the delivery does, and says so
OPTIONS = {"retry_timeout": f"{RETRY_S}s"}  # for deltalake, which retries for 3 minutes by default

_CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "gs": "GOOGLE_SERVICE_ACCOUNT",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}
_MAKE_BUCKET = {
    "s3": "aws s3 mb s3://{}",
    "gs": "gcloud storage buckets create gs://{}",
    "az": "az storage container create --name {}",
}
_BUCKET = re.compile(r"[A-Za-z0-9._-]+")
_FOLDER = re.compile(r"[^\x00-\x20\x7f?#@\\]+")
_STATUS = re.compile(r"non-2xx status code\W+(?:\[\d+m\W*)*([1-5]\d\d)\b")
_CODE = re.compile(r"<Code>(\w{1,64})</Code>")
_OS_ERROR = re.compile(r"\(os error (\d{1,5})\)")
_NO_ANSWER = re.compile(r"error sending request|error reading a body|operation timed out")
_UNTRUSTED = re.compile(r"invalid peer certificate|InvalidCertificate")
_NO_BUCKET = {"NoSuchBucket", "ContainerNotFound"}
_NOT_ALLOWED = {"ExpiredToken", "InvalidToken", "AuthorizationHeaderMalformed", "RequestTimeTooSkewed"}
_NO_CREDENTIALS = ("169.254.169.254", "metadata.google.internal")  # where a client looks that was given none


def read_location(url: str) -> str:
    """The URL of a folder in an object store, without a slash at its end. No error shows more than its scheme.

    Raises:
        ConfigurationError: if it is none, or holds credentials or options.
    """
    scheme, _, rest = url.partition("://")
    if scheme not in _CREDENTIALS:
        there_are = ", ".join(f"{known}://" for known in _CREDENTIALS)
        raise ConfigurationError(f"delta: can't write to {scheme}://; there are folders, and {there_are}")
    bucket, _, folder = rest.partition("/")
    folder = folder.rstrip("/")
    if not _BUCKET.fullmatch(bucket) or not _FOLDER.fullmatch(folder):
        raise ConfigurationError(
            f"the URL of {scheme}:// is {scheme}://BUCKET/FOLDER, and no more. Credentials come from the environment: "
            f"{_CREDENTIALS[scheme]}"
        )
    return f"{scheme}://{bucket}/{folder}"


class MissingBucketError(ConfigurationError):
    """There is no such bucket, or container.

    Attributes:
        command: what makes it.
    """

    def __init__(self, name: str) -> None:
        scheme, _, rest = name.removeprefix("delta:").partition("://")
        bucket = rest.partition("/")[0]
        self.command = _MAKE_BUCKET[scheme].format(bucket)
        super().__init__(f"can't write {name}: there is no {bucket}. Make it: {self.command}")


def told(name: str, error: Exception, doing: str = "write") -> CenttrackError:
    """An error of a storage in our words: servers quote what they were sent, and addresses may hold signatures.

    Args:
        name: of the sink.
        error: what the client raised.
        doing: what can't be done.
    """
    text = str(error)
    status, code = _first(_STATUS, text), _first(_CODE, text)
    if code in _NO_BUCKET:
        return MissingBucketError(name)
    if any(place in text for place in _NO_CREDENTIALS):
        return ConfigurationError(f"can't {doing} {name}: there are no credentials. {_come_from(name)}")
    if _UNTRUSTED.search(text):
        return ConfigurationError(
            f"can't {doing} {name}: the store's certificate isn't trusted or names another host. SSL_CERT_FILE names "
            "the file of another authority"
        )
    if not status:
        return RetryLater(f"can't {doing} {name}: {_said_by_the_system(error) or _why_no_status(error)}")
    problem = f"can't {doing} {name}: the store answers {status} {code}".rstrip()
    means = _what_to_mend(name, status, code)
    return ConfigurationError(f"{problem}: {means}") if means else RetryLater(problem)


def _said_by_the_system(error: Exception) -> str | None:
    """As "No space left on device", which deltalake puts at the end of a text with paths and addresses."""
    number = _first(_OS_ERROR, str(error))
    return os.strerror(int(number)) if number else getattr(error, "strerror", None)


def _why_no_status(error: Exception) -> str:
    return "the store doesn't answer, or not to the end" if _NO_ANSWER.search(str(error)) else type(error).__name__


def _what_to_mend(name: str, status: str, code: str) -> str | None:
    if status in {"401", "403"} or code in _NOT_ALLOWED:
        return f"listing, reading and writing must be allowed there. {_come_from(name)}"
    if status in {"301", "307", "308"}:
        return "the bucket has another region or endpoint"
    return "a store with conditional writes is needed" if status == "501" else None


def _come_from(name: str) -> str:
    scheme = name.removeprefix("delta:").partition("://")[0]
    return f"Credentials come from {_CREDENTIALS.get(scheme, 'the environment')}"


def _first(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found[1] if found else ""
