"""Events of one's own, declared in a policy that is made in code. Run it with `uvicorn custom_events:app`."""

import os

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from centtrack import PrivacyPolicy, TelemetryMiddleware, track

POLICY = PrivacyPolicy.parse("""
[limits.default]
time = "minute"
page = "route"

[[events]]
name = "quote_made"
properties = { product = ["motor", "home", "travel"], premium = "integer" }
""")


async def make_quote(request: Request) -> Response:
    premium = 25_000
    track(request, "quote_made", product=request.path_params["product"], premium=premium)
    return JSONResponse({"premium": premium})


app = Starlette(routes=[Route("/quotes/{product}", make_quote, methods=["POST"])])
app.add_middleware(TelemetryMiddleware, policy=POLICY, sink=os.environ.get("CENTTRACK_SINK", "jsonl:./events.jsonl"))
