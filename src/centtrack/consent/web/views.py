"""What the consent routes show. None of it changes anything."""

from __future__ import annotations

from http import HTTPStatus

import msgspec
from starlette.responses import Response

from centtrack.consent.web import answers
from centtrack.consent.web.call import Call
from centtrack.consent.web.desk import Desk

_SAID = {"saved", "withdrawn"}  # what an address may have the page say; the rest answers a post
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
    said = call.request.query_params.get("status")
    status = "no_secret" if call.visit.tokens is None else said if said in _SAID else None
    return answers.page(preference_page(call, status, call.language(), call.back))


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
        return answers.data({"error": "the receipt isn't in the ledger: it was erased"}, HTTPStatus.NOT_FOUND)
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
    dates = [change.effective for change in document.changes] + ([document.effective] if document.effective else [])
    support: dict[str, object] = {"gpc": bool(document.consent.gpc)}
    if dates:
        support["lastUpdate"] = max(dates).isoformat()
    return answers.data(support, headers=_DAILY)


async def show_file(call: Call, _: Desk, *, name: str, content_type: str) -> Response:
    """A file of this package."""
    return answers.static_file(call.request, name, content_type)
