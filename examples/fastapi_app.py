"""An API under FastAPI that asks what the visitor allows. Run it with `uvicorn fastapi_app:app` in this folder."""

import os

from fastapi import FastAPI, Request

from centtrack import PrivacyPolicy, TelemetryMiddleware, consent_of

app = FastAPI()


@app.get("/products/{product}")
def show_product(product: str, request: Request) -> dict[str, object]:
    consent = consent_of(request)
    return {"product": product, "may_personalise": consent.allows("preferences"), "asked": consent.source}


app.add_middleware(
    TelemetryMiddleware,
    policy=PrivacyPolicy.profile("gdpr"),
    sink=os.environ.get("CENTTRACK_SINK", "jsonl:./events.jsonl"),
)
