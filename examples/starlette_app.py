"""Two pages under Starlette. Run it with `uvicorn starlette_app:app` in this folder."""

import os

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from centtrack import PrivacyPolicy, TelemetryMiddleware


async def home(request: Request) -> Response:
    return HTMLResponse("<h1>Shop</h1>")


async def show_product(request: Request) -> Response:
    return HTMLResponse("<h1>Product</h1>")


app = Starlette(routes=[Route("/", home), Route("/products/{product}", show_product)])
app.add_middleware(
    TelemetryMiddleware,
    policy=PrivacyPolicy.profile("gdpr"),  # your own site loads a file: policy="privacy.toml"
    sink=os.environ.get("CENTTRACK_SINK", "jsonl:./events.jsonl"),
)
