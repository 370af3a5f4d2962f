"""The app of the large site: what it does doesn't matter here, where its events go does.

`CENTTRACK_SINK` names the topic, `CENTTRACK_JOURNAL` a file on a local disk, one for each host.
"""

import os
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from centtrack import PrivacyPolicy, TelemetryMiddleware


async def show_product(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"product {request.path_params['product']}\n")


async def answer(_: Request) -> PlainTextResponse:
    return PlainTextResponse("ok\n")


app = Starlette(routes=[Route("/", answer), Route("/products/{product}", show_product), Route("/health", answer)])
app.add_middleware(
    TelemetryMiddleware,
    policy=PrivacyPolicy.load(Path(__file__).parent / "privacy.toml"),
    journal=os.environ["CENTTRACK_JOURNAL"],
)
