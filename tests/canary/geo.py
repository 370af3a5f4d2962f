"""A geo database that holds much more than may come out of it."""

from __future__ import annotations

from pathlib import Path

from canary.plants import CLIENT, Plant, Request
from mmdb import write_mmdb

PLACES_SECRETS = {
    "latitude": "43.2389491",
    "longitude": "76.8897091",
    "postal code": "Z05T7K2P481",
    "district": "Rovamizulo",
    "second subdivision": "Tegolukira",
    "small town": "Zipatomudevo",
    "provider": "Kolurabize Telecom",
    "domain": "bavolitemu.example",
    "time zone": "Asia/Mirodaleko",
    "flat latitude": "43.1111237",
    "flat second state": "Nugiratole",
    "flat postal code": "Z99R3M8L772",
    "loc": "50.4111123,80.2111456",
    "hostname": "client-7.pudovekari.example",
}
_S = PLACES_SECRETS
RECORDS: dict[str, object] = {
    "203.0.113.0/24": {
        "city": {"names": {"en": f"Almaty ({_S['district']} District)"}},
        "subdivisions": [
            {"iso_code": "75", "names": {"en": "Almaty"}},
            {"iso_code": "XX", "names": {"en": _S["second subdivision"]}},
        ],
        "country": {"iso_code": "KZ", "names": {"en": "Kazakhstan"}},
        "location": {
            "latitude": float(_S["latitude"]), "longitude": float(_S["longitude"]), "time_zone": _S["time zone"],
        },
        "postal": {"code": _S["postal code"]},
        "traits": {"isp": _S["provider"], "organization": _S["provider"], "domain": _S["domain"]},
    },
    "198.51.100.0/24": {
        "country_code": "KZ", "state1": "Abay", "state2": _S["flat second state"], "city": _S["small town"],
        "postcode": _S["flat postal code"], "latitude": float(_S["flat latitude"]), "longitude": 80.1,
    },
    "192.0.2.0/24": {
        "country": "KZ", "region": "Abay", "city": "Semey", "loc": _S["loc"], "postal": _S["flat postal code"],
        "hostname": _S["hostname"], "org": _S["provider"],
    },
}  # fmt: skip
VISITORS: list[tuple[Request, list[Plant]]] = [
    (Request(client=address), []) for address in (CLIENT, "198.51.100.7", "192.0.2.7")
]


def write_secret_places(folder: Path) -> Path:
    """Write it: MaxMind's schema, DB-IP's and IPinfo's."""
    return write_mmdb(folder / "places.mmdb", RECORDS)
