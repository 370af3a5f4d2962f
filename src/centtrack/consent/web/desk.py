"""What the consent routes work with: what a policy has visitors read, and the ledger, both made when first needed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

from centtrack.consent.gate import CookieGate
from centtrack.consent.ledger.ledger import Ledger, open_ledger
from centtrack.consent.ledger.place import default_place, read_place
from centtrack.consent.notice.notice import Notice
from centtrack.consent.notice.rendering import open_templates
from centtrack.consent.visit import Visit
from centtrack.consent.web.rate_limit import WriteLimit
from centtrack.errors import CenttrackError
from centtrack.logs import report
from centtrack.policy.policy import PrivacyPolicy

logger = logging.getLogger(__name__)

MAX_WAIT_S = 3.5  # the ledger's own limit is 3 s; this one holds even if it doesn't
_THREADS = 8
_limiter: RunVar[anyio.CapacityLimiter] = RunVar("centtrack_consent_threads")

T = TypeVar("T")

notice_for = lru_cache(maxsize=16)(Notice)
gate_for = lru_cache(maxsize=16)(CookieGate)


class Desk:
    """Where choices are handed in. One for all routes that were made together; it opens nothing before it must.

    Args:
        ledger: as in `open_ledger`.
        templates: folder of the site's own templates.

    Attributes:
        limit: of the writes of an address.

    Raises:
        ConfigurationError: if the URL is wrong, or the folder isn't there.
        MissingExtraError: if what they need isn't installed.
    """

    def __init__(self, ledger: str | Path | None, templates: Path | None) -> None:
        self.limit = WriteLimit()
        self._where = ledger or default_place()  # now: an app may change its working directory later
        self._templates = templates
        read_place(self._where)
        open_templates(templates)
        self._ledgers: dict[tuple[bytes, ...], Ledger] = {}
        self._lock = threading.Lock()

    def notice(self, policy: PrivacyPolicy) -> Notice:
        """What visitors read under a policy."""
        return notice_for(policy, templates=self._templates)

    async def call(self, visit: Visit, work: Callable[[Ledger], T]) -> T | None:
        """Do something with the ledger, in a thread, within about 3 s. A failure is logged, and counted.

        Args:
            visit: the request that it is for.
            work: what to do; it returns something that isn't None.

        Returns:
            What the work returns; None if it failed. It may still be done after nobody waits for it any more.
        """
        try:
            with anyio.fail_after(MAX_WAIT_S):
                return await anyio.to_thread.run_sync(
                    partial(self._with_ledger, visit.secrets, work),
                    abandon_on_cancel=True,
                    limiter=_own_threads(),
                )
        except Exception as error:  # noqa: BLE001 - whatever it is, refusing and withdrawing must work
            visit.note("ledger_failed")
            text = "the consent ledger failed (%s): refusing and withdrawing work, granting is answered with 503"
            report(logger, logging.ERROR, "ledger_failed", text, _reason_of(error))
            return None

    def _with_ledger(self, secrets: Sequence[bytes], work: Callable[[Ledger], T]) -> T:
        key = tuple(secrets)
        with self._lock:
            ledger = self._ledgers.get(key)
            if ledger is None:
                ledger = self._ledgers[key] = open_ledger(self._where, secrets=secrets)
        return work(ledger)


def _reason_of(error: Exception) -> str:
    cause = f", by {type(error.__cause__).__name__}" if error.__cause__ else ""
    reason = f": {error}" if isinstance(error, CenttrackError) else ""
    return f"{type(error).__name__}{cause}{reason}"


def _own_threads() -> anyio.CapacityLimiter:
    """A limit of its own for each event loop: the app's threads stay free however the ledger hangs."""
    try:
        return _limiter.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(_THREADS)
        _limiter.set(limiter)
        return limiter
