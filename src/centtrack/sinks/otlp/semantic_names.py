"""Names of columns as OpenTelemetry's semantic conventions have them; where they have none, under `centtrack.`."""

from __future__ import annotations

from centtrack.event import COLUMNS

SCHEMA_URL = "https://opentelemetry.io/schemas/1.40.0"
"""The version of the conventions that the names are of."""

_SEMANTIC = {
    "event_id": "log.record.uid",  # records with the same one may be taken for the same
    "method": "http.request.method",
    "status": "http.response.status_code",
    "response_bytes": "http.response.body.size",
    "route": "http.route",
    "path": "url.path",
    "query": "url.query",
    "country_code": "geo.country.iso_code",
    "region_code": "geo.region.iso_code",
    "city": "geo.locality.name",
    "browser": "user_agent.name",
    "browser_version": "user_agent.version",
    "os": "user_agent.os.name",
    "os_version": "user_agent.os.version",
}

ATTRIBUTES = {
    column.name: _SEMANTIC.get(column.name, f"centtrack.{column.name}") for column in COLUMNS if column.name != "time"
}
"""Column → attribute; records have a field for the time. A network isn't `client.address`, which is one address.

They have one for the name too, as `centtrack.request`, but a collector 0.120 doesn't know it yet, and leaves it out.
"""

SYNTHETIC = "user_agent.synthetic.type"
"""Says `bot` where the column `bot` is true, beside that column's own attribute, which also says when it is false."""
