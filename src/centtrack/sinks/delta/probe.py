"""Whether an object store makes an object only if it isn't there yet: on that, commits to a lake rest."""

from __future__ import annotations

import datetime as dt
import os

from centtrack.errors import ConfigurationError, MissingExtraError
from centtrack.sinks.delta.object_store import RETRY_S, told

try:
    import obstore
    from obstore.exceptions import AlreadyExistsError, BaseError
    from obstore.store import ObjectStore, from_url
except ImportError:
    obstore = None  # type: ignore[assignment]

PROBE = "_centtrack_probe"  # Delta readers and vacuum pass over names that begin with an underscore

_ENDPOINTS = {"aws_endpoint", "aws_endpoint_url", "aws_endpoint_url_s3"}
_proven: set[str] = set()


def prove_conditional(location: str) -> None:
    """See that a store refuses to make an object that is there already. Once for a location in a process.

    A store that overwrites it instead loses commits of others, and says nothing. The probe object stays, so that one
    request is enough from the second time on.

    Raises:
        ConfigurationError: if the store doesn't, or this isn't permitted.
        MissingExtraError: if obstore isn't installed.
        RetryLater: if it doesn't answer.
    """
    if location in _proven or is_amazons(location):
        return
    if _make(location) and _make(location):
        raise ConfigurationError(
            f"delta:{location}: this store overwrites an object that it was told to make only if it isn't there yet "
            "(it ignores If-None-Match). Commits of one writer would be lost to another's without a word, so nothing "
            "is written. Use a store that has conditional writes"
        )
    _proven.add(location)


def is_amazons(location: str) -> bool:
    """Whether this is Amazon's own S3, with no endpoint set. It isn't asked.

    It is known to have conditional writes, and gives credentials in ways, as profiles, that only deltalake knows.
    """
    return location.startswith("s3://") and not any(name.lower() in _ENDPOINTS for name in os.environ)


def read_probe(location: str) -> bytes:
    """What the probe object holds. Not where Amazon's own isn't asked.

    Raises:
        ConfigurationError: if that isn't permitted.
        RetryLater: if the store doesn't answer.
    """
    try:
        return bytes(obstore.get(_store(location), PROBE).bytes())
    except (BaseError, OSError) as error:
        raise told(f"delta:{location}", error) from None


def _make(location: str) -> bool:
    """Make the probe object; whether the store says that it wasn't there."""
    store = _store(location)
    try:
        obstore.put(store, PROBE, b"centtrack", mode="create", use_multipart=False)
    except AlreadyExistsError:
        return False
    except (BaseError, OSError) as error:
        raise told(f"delta:{location}", error) from None
    return True


def _store(location: str) -> ObjectStore:
    if obstore is None:
        raise MissingExtraError("A lake in an object store", "delta")
    return from_url(location, retry_config={"retry_timeout": dt.timedelta(seconds=RETRY_S)})
