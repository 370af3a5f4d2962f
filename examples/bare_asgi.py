"""An ASGI callable without a framework. Run it with `uvicorn bare_asgi:app` in this folder.

It knows no lifespan: the middleware answers the server in its place, so that all is delivered at shutdown.
"""

import os

from centtrack import PrivacyPolicy, TelemetryMiddleware


async def hello(scope, receive, send):
    if scope["type"] != "http":
        raise ValueError(f"this app answers HTTP only, not {scope['type']}")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
    await send({"type": "http.response.body", "body": b"<h1>Hello</h1>"})


app = TelemetryMiddleware(
    hello,
    policy=PrivacyPolicy.profile("cent"),  # without a framework there is no route, so the path has to do
    sink=os.environ.get("CENTTRACK_SINK", "jsonl:./events.jsonl"),
)
