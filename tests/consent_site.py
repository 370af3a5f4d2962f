"""A site with the consent routes, as a browser that keeps cookies meets it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from asgi import Recording
from centtrack import PrivacyPolicy
from centtrack.consent.ledger.ledger import Ledger
from centtrack.consent.ledger.place import default_place
from centtrack.consent.ledger.records import ConsentRecord
from centtrack.consent.web.routes import consent_routes

SECRET = b"s" * 32
HOST = "shop.example"
OWN = {"sec-fetch-site": "same-origin"}
POLICY = """
version = "3"
[consent]
jurisdiction = "KZ"
days = 100
[[cookies]]
name = "session"
category = "necessary"
[[cookies]]
name = "theme"
category = "preferences"
[[cookies]]
name = "_ga"
category = "analytics"
[[cookies]]
name = "ads"
category = "marketing"
path = "/shop"
"""
ALL = ["analytics", "marketing", "preferences"]


async def home(_request: Any) -> PlainTextResponse:
    """A page of the site."""
    return PlainTextResponse("hello")


class Site:
    """A Starlette app behind the middleware, with a ledger.

    Args:
        folder: for the journal. The ledger is in the user's state folder, which each test has its own of.
        policy: text of a policy.
        app: another app than one of Starlette with the routes.
        mount: path below which the routes are mounted.
        secret: of the middleware.
        ledger: as in `consent_routes`.
        client: the address of the visitor.
        root_path: as the server has it.
        **options: of the routes.
    """

    def __init__(
        self,
        folder: Path,
        *,
        policy: str = POLICY,
        app: Any = None,
        mount: str = "",
        secret: Any = SECRET,
        ledger: str | Path | None = None,
        client: tuple[str, int] = ("203.0.113.7", 50_000),
        root_path: str = "",
        middleware: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.policy = PrivacyPolicy.parse(policy)
        routes: list[Any] = consent_routes(ledger=ledger, **options)
        routes = [Mount(mount, routes=routes)] if mount else routes
        self.recording = Recording(
            folder,
            app or Starlette(routes=[*routes, Route("/", home)]),
            **{"policy": self.policy, "secret": secret, **(middleware or {})},
        )
        self.browser = TestClient(
            self.recording.app,
            base_url=f"https://{HOST}",
            root_path=root_path,
            client=client,
            follow_redirects=False,
        )

    def get(self, path: str, **headers: str) -> Any:
        """Ask for a path."""
        return self.browser.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def post(self, path: str, fields: dict[str, Any], **headers: str) -> Any:
        """Post a form of this site, with the policy that its pages have in force, unless the fields have another."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        form = {"content-type": "application/x-www-form-urlencoded"}
        shown = {"policy": self.policy.consent_hash} if path.endswith("/decide") else {}
        return self.browser.post(path, data={**shown, **fields}, headers={**OWN, **form, **named})

    def choose(self, choice: str, *categories: str, **fields: str) -> Any:
        """Post a choice."""
        return self.post("/consent/decide", {"choice": choice, "category": list(categories), **fields})

    def withdraw(self, **fields: str) -> Any:
        """Take back what was granted."""
        return self.post("/consent/withdraw", fields)

    def call(self, path: str, fields: dict[str, Any], **headers: str) -> Any:
        """Post JSON."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.browser.post(path, json=fields, headers={**OWN, **named})

    def states(self) -> dict[str, str]:
        """What the visitor allows, by category."""
        return dict(self.get("/consent/state").json()["states"])

    def given(self) -> list[str]:
        """The categories that the visitor granted."""
        return sorted(category for category, state in self.states().items() if state == "given")

    @property
    def token(self) -> str | None:
        """The consent cookie that the browser holds."""
        return self.browser.cookies.get("__Host-centtrack")

    def records(self) -> list[ConsentRecord]:
        """The ledger's records."""
        if not Path(default_place()).exists():
            return []
        ledger = Ledger(default_place(), [SECRET], timeout_s=60)
        try:
            return [record for record in ledger.records() if isinstance(record, ConsentRecord)]
        finally:
            ledger.close()

    def close(self) -> None:
        """End the recording's threads."""
        self.recording.close()


def lines_of(answer: Any) -> list[str]:
    """The Set-Cookie lines of a response."""
    return list(answer.headers.get_list("set-cookie"))
