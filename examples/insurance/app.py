"""The web site of Qorghan Insurance, an insurer that does not exist: run it with `python -m uvicorn app:app`."""

import os
import secrets
import tomllib
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates
from starlette.websockets import WebSocket

from centtrack import TelemetryMiddleware
from centtrack.consent import consent_banner, consent_routes

HERE = Path(__file__).parent
CONTENT = tomllib.loads((HERE / "content.toml").read_text(encoding="utf-8"))
PRODUCTS = CONTENT["products"]
BRANCHES = CONTENT["branches"]
DAY_S = 86_400


def format_tenge(amount: int) -> str:
    """Write 256000 as "256 000 ₸", with spaces that do not break."""
    return f"{amount:,} ₸".replace(",", "\u202f").replace(" ", "\u00a0")


templates = Jinja2Templates(directory=HERE / "templates")
templates.env.globals.update(site=CONTENT["site"], products=PRODUCTS, branches=BRANCHES, consent_banner=consent_banner)
templates.env.filters["tenge"] = format_tenge


def read_value(text: str) -> int | None:
    """Read an amount as people type it ("8 000 000" or "8,000,000"); None if it is not one."""
    digits = "".join(text.replace(",", "").split())
    return int(digits) if digits.isascii() and digits.isdecimal() and len(digits) <= 12 else None


def estimate_premium(product: str, value: int) -> int:
    """Return the price of a policy in tenge, rounded to a hundred."""
    return max(PRODUCTS[product]["min_premium"], round(value * PRODUCTS[product]["rate"] / 100) * 100)


def find_faults(product: str, value: str) -> dict[str, str]:
    """Return what is wrong with a request for a price, by field; empty if nothing is."""
    if product not in PRODUCTS:
        return {"product": "Choose what you would like to insure."}
    lowest, highest = PRODUCTS[product]["min_value"], PRODUCTS[product]["max_value"]
    amount = read_value(value)
    if amount is None or not lowest <= amount <= highest:
        return {"value": f"Enter an amount from {format_tenge(lowest)} to {format_tenge(highest)}."}
    return {}


def show(request: Request, template: str, status: int = 200, **context: Any) -> Response:
    """Render a page. It sets its cookies as any site does; those without consent never reach the visitor."""
    response = templates.TemplateResponse(request, template, context, status_code=status)
    if "qorghan_session" not in request.cookies:
        response.set_cookie("qorghan_session", secrets.token_hex(16), httponly=True, samesite="lax")
    response.set_cookie("qorghan_lang", "en", max_age=182 * DAY_S)
    response.set_cookie("_qa", secrets.token_hex(8), max_age=180 * DAY_S)
    response.set_cookie("_qads", secrets.token_hex(8), max_age=90 * DAY_S, httponly=True)
    return response


async def home(request: Request) -> Response:
    return show(request, "home.html")


async def list_products(request: Request) -> Response:
    return show(request, "products.html")


async def show_product(request: Request) -> Response:
    key = request.path_params["product"]
    if (product := PRODUCTS.get(key)) is None:
        raise HTTPException(404)
    premium = estimate_premium(key, product["example_value"])
    return show(request, "product.html", key=key, product=product, premium=premium)


async def ask_quote(request: Request) -> Response:
    return show(request, "quote.html", fields=request.query_params, faults={})


async def create_quote(request: Request) -> Response:
    async with request.form(max_files=0, max_fields=10) as form:
        fields = {name: str(form.get(name, "")).strip() for name in ("product", "value", "name", "email")}
    faults = find_faults(fields["product"], fields["value"])
    if not fields["name"]:
        faults["name"] = "Enter your name."
    if "@" not in fields["email"]:
        faults["email"] = "Enter an e-mail address, such as name@example.com."
    if faults:
        return show(request, "quote.html", 422, fields=fields, faults=faults)

    # Name and address would go to whoever answers. A real site keeps quotes in its database; here the reference is one.
    reference = f"{fields['product']}-{read_value(fields['value'])}-{secrets.token_hex(4)}"
    return RedirectResponse(f"/quote/{reference}", status_code=303)


async def show_quote(request: Request) -> Response:
    product, _, rest = request.path_params["reference"].partition("-")
    value = rest.partition("-")[0]
    if find_faults(product, value):
        raise HTTPException(404)
    quote = {"product": product, "value": int(value), "premium": estimate_premium(product, int(value))}
    return show(request, "quote_ready.html", quote=quote)


async def estimate_quote(request: Request) -> Response:
    product, value = request.query_params.get("product", ""), request.query_params.get("value", "")
    if faults := find_faults(product, value):
        return JSONResponse({"faults": faults}, status_code=422)
    premium = estimate_premium(product, read_value(value))
    return JSONResponse({"product": product, "premium": premium, "currency": "KZT", "text": format_tenge(premium)})


async def show_branch(request: Request) -> Response:
    if (branch := BRANCHES.get(request.path_params["city"])) is None:
        raise HTTPException(404)
    return show(request, "branch.html", branch=branch)


async def about(request: Request) -> Response:
    return show(request, "about.html")


async def health(request: Request) -> Response:
    return PlainTextResponse("ok")


async def chat(websocket: WebSocket) -> None:
    await websocket.accept()
    async for _ in websocket.iter_text():
        await websocket.send_text(CONTENT["site"]["chat_answer"])


async def not_found(request: Request, exc: Exception) -> Response:
    return show(request, "not_found.html", 404)


routes = [
    Route("/", home),
    Route("/products", list_products),
    Route("/products/{product}", show_product),
    Route("/quote", ask_quote),
    Route("/quote", create_quote, methods=["POST"]),
    Route("/quote/{reference}", show_quote),
    Route("/branches/{city}", show_branch),
    Route("/about", about),
    Route("/api/quote-estimate", estimate_quote),
    Route("/health", health),
    WebSocketRoute("/ws/chat", chat),
    *consent_routes(),
    Mount("/static", StaticFiles(directory=HERE / "static"), name="static"),
]
app = Starlette(routes=routes, exception_handlers={404: not_found})
app.add_middleware(
    TelemetryMiddleware,
    policy=HERE / "privacy.toml",
    sink=os.environ.get("CENTTRACK_SINK", "delta:./telemetry"),
    trusted_proxies=["127.0.0.1"],
)
