"""Takes what visitors choose.

Granting needs the ledger and a secret. Refusing and withdrawing work whatever fails, also if something else stays
granted.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Collection
from http import HTTPStatus
from urllib.parse import urlencode

from starlette.responses import Response

from centtrack.consent.ledger.ledger import Ledger
from centtrack.consent.ledger.records import ShownText
from centtrack.consent.paths import safe_path
from centtrack.consent.token import Choice
from centtrack.consent.web import answers
from centtrack.consent.web.call import Call
from centtrack.consent.web.decisions import Method, Question, decide, make_record
from centtrack.consent.web.desk import Desk, gate_for
from centtrack.consent.web.posts import JSON, Posted, media_type, read_body, read_posted, refuse_other_sites
from centtrack.consent.web.views import preference_page
from centtrack.logs import report

logger = logging.getLogger(__name__)

_REASONS = {
    "no_secret": "this site can't remember choices, so nothing is granted",
    "not_saved": "the choice can't be kept at the moment; refusing works",
    "policy_changed": "the policy isn't the one that the visitor was asked under: ask again; policy is what GET state "
    "has as policy.consent_hash, or the field of that name in the page; refusing works",
}
_TOO_MANY = "too many choices came from this address; try again later; refusing works at once"
_LIMITED = (
    "more choices came from one address than the ledger takes (grants are answered with 429, the rest isn't proved); "
    "if it is a proxy's, name it in trusted_proxies="
)


class _Handed:
    """A choice as it was handed in.

    Args:
        call: the request.
        posted: its fields.
        is_json: whether it was posted as JSON.
        granted: the categories that it grants.
    """

    def __init__(self, call: Call, posted: Posted, *, is_json: bool, granted: Collection[str]) -> None:
        self.call = call
        self.moment = dt.datetime.now(dt.UTC)
        self.language = call.language(posted.lang)
        self.back = safe_path(posted.back)
        self._policy = posted.policy
        self.method: Method = "banner" if posted.via == "banner" else "api" if is_json else "form"
        self.decision = decide(
            call.choice(),
            granted,
            given=[category for category in call.notice.asked if call.visit.consent.allows(category)],
            policy_hash=call.policy.consent_hash,
            moment=self.moment,
        )

    @property
    def is_informed(self) -> bool:
        """Whether the visitor was shown the policy in force. An API's client may leave it open."""
        if self._policy is None:
            return self.method == "api"
        return self._policy == self.call.policy.consent_hash

    def keep(self, ledger: Ledger) -> bool:
        """Write the record of it."""
        call, shown = self.call, self._shown()
        text_hash = shown.hash if shown else ""
        question = Question(call.notice.asked, text_hash, self.language, self.method, call.base)
        ledger.append(make_record(self.decision, call.policy, question, self.moment), shown)
        return True

    def _shown(self) -> ShownText | None:
        """What this visitor has read. What an API's client has shown isn't ours to know."""
        if self.method == "api":
            return None
        call, kind = self.call, "banner" if self.method == "banner" else "page"
        return call.notice.shown(
            kind, self.language, consent=call.visit.consent, signal=call.has_signal, back=self.back or ""
        )


async def decide_posted(call: Call, desk: Desk) -> Response:
    """Take a choice, category by category."""
    posted, kind = await _read(call)
    granted = posted.granted(call.notice.asked) & call.grantable
    return await _settle(_Handed(call, posted, is_json=kind == JSON, granted=granted), desk, "saved")


async def withdraw_posted(call: Call, desk: Desk) -> Response:
    """Take back whatever was granted."""
    posted, kind = await _read(call)
    return await _settle(_Handed(call, posted, is_json=kind == JSON, granted=()), desk, "withdrawn")


async def _read(call: Call) -> tuple[Posted, str]:
    refuse_other_sites(call.request.scope["headers"], call.scheme)
    body = await read_body(call.request.stream())
    kind = media_type(call.request.headers.get("content-type", ""), body)
    return read_posted(body, kind), kind


async def _settle(handed: _Handed, desk: Desk, status: str) -> Response:
    visit, decision = handed.call.visit, handed.decision
    if visit.tokens is None:  # nothing can be remembered
        return _not_kept(handed, "no_secret") if decision.grants else _taken(handed, decision.choice, "no_secret")
    if decision.grants and not handed.is_informed:
        return _not_kept(handed, "policy_changed")
    wait_s = desk.limit.take(visit.client)
    is_kept = not wait_s and bool(handed.call.notice.asked) and await desk.call(visit, handed.keep)
    if is_kept:
        return _taken(handed, decision.choice, status)
    if wait_s:
        report(logger, logging.WARNING, "ledger_limited", _LIMITED)
    if decision.is_wider:
        return _not_kept(handed, "not_saved", wait_s)
    if wait_s:
        visit.note("ledger_limited")
    return _taken(handed, decision.unproved, status)


def _taken(handed: _Handed, choice: Choice, status: str) -> Response:
    """The choice counts from now on: the cookie says so, and cookies that it doesn't grant go."""
    call = handed.call
    lines = call.cookie_lines(choice)
    gone = gate_for(call.policy).expire(
        handed.decision.refused,
        cookies=call.cookies,
        host=call.host,
        scheme=call.scheme,
        path=call.request.scope["path"],
    )
    if answers.wants_json(call.request):
        response = answers.data(call.state(call.consent_with(lines)) | handed.decision.parting)
    else:
        response = answers.go_on(_next_page(handed, status))
    return answers.with_cookies(response, [*lines, *gone])


def _next_page(handed: _Handed, status: str) -> str:
    """Where the visitor came from, unless there is something to read first."""
    if handed.back and status != "no_secret":
        return handed.back
    said = {"status": status, "lang": handed.language} | ({"back": handed.back} if handed.back else {})
    return f"{handed.call.base}?{urlencode(said)}"


def _not_kept(handed: _Handed, said: str, wait_s: int = 0) -> Response:
    """Nothing changes, and the visitor can read that, and refuse.

    Args:
        handed: what was handed in.
        said: as `Notice.page` has it.
        wait_s: seconds after which it would be taken, if there were too many.
    """
    call = handed.call
    status = HTTPStatus.CONFLICT if said == "policy_changed" else HTTPStatus.SERVICE_UNAVAILABLE
    status = HTTPStatus.TOO_MANY_REQUESTS if wait_s else status
    headers = answers.PERSONAL | ({"Retry-After": str(wait_s)} if wait_s else {})
    if answers.wants_json(call.request):
        return answers.problem(call.request, status, _TOO_MANY if wait_s else _REASONS[said], headers)
    return answers.page(preference_page(call, said, handed.language, handed.back or ""), status, headers)
