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
from centtrack.consent.paths import safe_path
from centtrack.consent.token import Choice
from centtrack.consent.web import answers
from centtrack.consent.web.call import Call
from centtrack.consent.web.decisions import Method, decide, make_record
from centtrack.consent.web.desk import Desk, gate_for
from centtrack.consent.web.posts import JSON, Posted, media_type, read_body, read_posted, refuse_other_sites
from centtrack.consent.web.views import preference_page

_NOT_KEPT = "the choice can't be kept at the moment; refusing works"
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
        self.method: Method = "banner" if posted.via == "banner" else "api" if is_json else "form"
        self.decision = decide(
            call.choice(),
            granted,
            given=[category for category in call.notice.asked if call.visit.consent.allows(category)],
            policy_hash=call.policy.consent_hash,
            moment=self.moment,
        )

    def keep(self, ledger: Ledger) -> bool:
        """Write the record of it. What an API's client has shown isn't ours to know."""
        call = self.call
        kind = "banner" if self.method == "banner" else "page"
        shown = None if self.method == "api" else call.notice.shown(kind, self.language)
        record = make_record(
            self.decision,
            call.policy,
            asked=call.notice.asked,
            text_hash=shown.hash if shown else "",
            language=self.language,
            method=self.method,
            moment=self.moment,
            page=call.base,
        )
        ledger.append(record, shown)
        return True


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
    kind = media_type(call.request.headers.get("content-type", ""))
    return read_posted(await read_body(call.request.stream()), kind), kind


async def _settle(handed: _Handed, desk: Desk, status: str) -> Response:
    visit, decision = handed.call.visit, handed.decision
    if visit.tokens is None:  # nothing can be remembered
        return _not_kept(handed, "no_secret") if decision.grants else _taken(handed, decision.choice, status)
    wait_s = desk.limit.take(visit.client)
    is_kept = not wait_s and bool(handed.call.notice.asked) and await desk.call(visit, handed.keep)
    if is_kept:
        return _taken(handed, decision.choice, status)
    if wait_s:
        desk.say_once(_LIMITED, logging.WARNING)
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
        handed.decision.refused, cookies=call.cookies, host=call.host, scheme=call.scheme
    )
    if answers.wants_json(call.request):
        response = answers.data(call.state(call.consent_with(lines)))
    else:
        response = answers.go_on(handed.back or f"{call.base}?{urlencode({'status': status, 'lang': handed.language})}")
    return answers.with_cookies(response, [*lines, *gone])


def _not_kept(handed: _Handed, said: str, wait_s: int = 0) -> Response:
    """Nothing changes, and the visitor can read that, and refuse.

    Args:
        handed: what was handed in.
        said: as `Notice.page` has it.
        wait_s: seconds after which it would be taken, if there were too many.
    """
    call = handed.call
    status = HTTPStatus.TOO_MANY_REQUESTS if wait_s else HTTPStatus.SERVICE_UNAVAILABLE
    headers = answers.PERSONAL | ({"Retry-After": str(wait_s)} if wait_s else {})
    if answers.wants_json(call.request):
        return answers.problem(call.request, status, _TOO_MANY if wait_s else _NOT_KEPT, headers)
    return answers.page(preference_page(call, said, handed.language, handed.back or ""), status, headers)
