"""What the consent routes show. None of it changes anything."""

from __future__ import annotations

import datetime as dt
from http import HTTPStatus

import msgspec
from starlette.responses import Response

from centtrack.consent.web import answers
from centtrack.consent.web.call import Call
from centtrack.consent.web.desk import Desk

_GENERAL = {"Cache-Control": "public, max-age=300", "Vary": "Accept, Accept-Language"}
_DAILY = {"Cache-Control": "public, max-age=86400"}


def preference_page(call: Call, status: str | None, language: str, back: str) -> str:
    """The preference page.

    Args:
        call: the request.
        status: what happened last, as `Notice.page` has it.
        language: of the page.
        back: where to go after the choice.
    """
    return call.notice.page(
        language, consent=call.visit.consent, base=call.base, back=back, status=status, signal=call.has_signal
    )


async def show_page(call: Call, _: Desk) -> Response:
    """The preference page."""
    return answers.page(preference_page(call, _status(call), call.language(), call.back))


def _status(call: Call) -> str | None:
    """What the page says happened last: what its address says, if it is true; other texts answer a post."""
    if call.visit.tokens is None:
        return "no_secret"
    gives = any(call.visit.consent.allows(category) for category in call.notice.asked)
    true = {"saved": call.has_current_choice, "withdrawn": call.has_current_choice and not gives}
    said = call.request.query_params.get("status", "")
    return said if true.get(said) else None


async def show_page_without_slash(call: Call, _: Desk) -> Response:
    """The preference page is at the path without a slash at its end."""
    query = call.request.url.query
    return answers.go_on(call.base + (f"?{query}" if query else ""), HTTPStatus.PERMANENT_REDIRECT)


async def show_state(call: Call, _: Desk) -> Response:
    """What the visitor allows, for scripts."""
    return answers.data(call.state(call.visit.consent))


async def show_banner(call: Call, _: Desk) -> Response:
    """The banner, a piece of HTML, for scripts."""
    return answers.page(call.notice.banner(call.language(), base=call.base, back=call.back))


async def show_receipt(call: Call, desk: Desk) -> Response:
    """The proof of what the visitor granted, to keep."""
    choice = call.choice()
    receipt = choice.receipt if choice else None
    if receipt is None:
        return answers.data({"error": "there is no receipt: nothing is granted"}, HTTPStatus.NOT_FOUND)
    records = await desk.call(call.visit, lambda ledger: ledger.find(receipt))
    if records is None:
        return answers.data({"error": "receipts can't be read at the moment"}, HTTPStatus.SERVICE_UNAVAILABLE)
    if not records:
        return answers.data({"error": "the ledger doesn't have the receipt: it was erased"}, HTTPStatus.NOT_FOUND)
    named = {"Content-Disposition": 'attachment; filename="consent-receipt.json"'}
    return answers.data({"records": msgspec.to_builtins(records)}, headers=answers.PERSONAL | named)


async def show_policy(call: Call, _: Desk) -> Response:
    """The policy and its change log; as JSON for programs."""
    if answers.wants_json(call.request):
        return answers.data(call.notice.policy_data(), headers=_GENERAL)
    return answers.page(call.notice.policy_page(call.language(), base=call.base), headers=_GENERAL)


async def show_gpc(call: Call, _: Desk) -> Response:
    """Whether the site honours Global Privacy Control (https://www.w3.org/TR/gpc/)."""
    document = call.policy.document
    today = dt.datetime.now(dt.UTC).date()
    dates = [document.effective, *(change.effective for change in document.changes)]
    past = [date for date in dates if date and date <= today]  # a change may be announced
    support: dict[str, object] = {"gpc": bool(document.consent.gpc)}
    if past:
        support["lastUpdate"] = max(past).isoformat()
    return answers.data(support, headers=_DAILY)


async def show_file(call: Call, _: Desk, *, name: str, content_type: str) -> Response:
    """A file of this package."""
    return answers.static_file(call.request, name, content_type)
