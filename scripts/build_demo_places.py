"""Builds src/centtrack/demo/places.mmdb: a geo database for the demo, and for nothing else.

    python scripts/build_demo_places.py

Its networks are reserved (RFC 2544, RFC 5737, RFC 3849), so that none of its places can be taken for anybody's.
"""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

from mmdb_writer import MMDBWriter
from netaddr import IPSet

TARGET = Path(__file__).parent.parent / "src/centtrack/demo/places.mmdb"

# Weight in sixty-fourths of 198.18.0.0/15, and the place in English and Russian.
PLACES = [
    (20, "KZ", "Kazakhstan", "75", "Almaty", "Алматы", "Almaty", "Алматы"),
    (10, "KZ", "Kazakhstan", "71", "Astana", "Астана", "Astana", "Астана"),
    (5, "KZ", "Kazakhstan", "79", "Shymkent", "Шымкент", "Shymkent", "Шымкент"),
    (4, "KZ", "Kazakhstan", "35", "Karaganda Region", "Карагандинская область", "Karaganda", "Караганда"),
    (3, "KZ", "Kazakhstan", "15", "Aktobe Region", "Актюбинская область", "Aktobe", "Актобе"),
    (3, "KZ", "Kazakhstan", "55", "Pavlodar Region", "Павлодарская область", "Pavlodar", "Павлодар"),
    (2, "KZ", "Kazakhstan", "63", "East Kazakhstan", "Восточно-Казахстанская область", "Oskemen", "Усть-Каменогорск"),
    (2, "KZ", "Kazakhstan", "23", "Atyrau Region", "Атырауская область", "Atyrau", "Атырау"),
    (1, "KZ", "Kazakhstan", "19", "Almaty Region", "Алматинская область", "Usharal (demo village)", "Ушарал"),
    (3, "UZ", "Uzbekistan", "TK", "Tashkent", "Ташкент", "Tashkent", "Ташкент"),
    (3, "KG", "Kyrgyzstan", "GB", "Bishkek", "Бишкек", "Bishkek", "Бишкек"),
    (4, "RU", "Russia", "MOW", "Moscow", "Москва", "Moscow", "Москва"),
    (2, "TR", "Türkiye", "34", "Istanbul", "Стамбул", "Istanbul", "Стамбул"),
    (2, "DE", "Germany", "BE", "Berlin", "Берлин", "Berlin", "Берлин"),
]


def record(code: str, country: str, region_code: str, region: str, region_ru: str, city: str, city_ru: str) -> dict:
    """A record in MaxMind's City schema."""
    return {
        "country": {"iso_code": code, "names": {"en": country}},
        "subdivisions": [{"iso_code": region_code, "names": {"en": region, "ru": region_ru}}],
        "city": {"names": {"en": city, "ru": city_ru}},
    }


def main() -> None:
    """Write the file."""
    writer = MMDBWriter(
        ip_version=6,
        ipv4_compatible=True,
        database_type="centtrack-Demonstration-City",
        description={"en": "Demonstration only: invented places for reserved networks"},
        languages=["en"],
    )
    parts = iter(ip_network("198.18.0.0/15").subnets(new_prefix=21))
    for weight, *place in PLACES:
        networks = [str(next(parts)) for _ in range(weight)]
        writer.insert_network(IPSet(networks), record(*place))
    writer.insert_network(IPSet(["203.0.113.0/24", "2001:db8::/32"]), record(*PLACES[0][1:]))
    writer.to_db_file(str(TARGET))
    print(f"{TARGET.stat().st_size / 1_000:.0f} KB: {TARGET.name}")


if __name__ == "__main__":
    main()
