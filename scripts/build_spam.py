"""Builds src/centtrack/capture/data/spam.txt.gz from the Composer package matomo/referrer-spam-list.

    composer require matomo/referrer-spam-list
    python scripts/build_spam.py vendor/matomo/referrer-spam-list 4.0.5

The list is in the public domain (CC0 1.0); NOTICE names it all the same. Where Composer isn't at hand, a checkout of
the repository of that name does as well; `git describe --tags` tells its version.
"""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

from centtrack.capture.referrer import normal_host

TARGET = Path(__file__).parent.parent / "src/centtrack/capture/data/spam.txt.gz"


def main(package: Path, version: str) -> None:
    """Write the file: a line that says where it is from, then one host a line, as browsers write it."""
    listed = (package / "spammers.txt").read_text(encoding="utf-8").split()
    hosts = {host for host in map(normal_host, listed) if host and "." in host}
    # A host says nothing that a domain above it doesn't.
    kept = sorted(host for host in hosts if not any(above in hosts for above in domains_above(host)))
    text = "\n".join([f"# matomo/referrer-spam-list {version}, CC0 1.0", *kept]) + "\n"
    TARGET.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    print(f"{len(kept):,} of {len(listed):,} hosts, {TARGET.stat().st_size:,} bytes: {TARGET.name}")


def domains_above(host: str) -> list[str]:
    """The domains that a host is in: `a.b.example` is in `b.example`."""
    labels = host.split(".")
    return [".".join(labels[start:]) for start in range(1, len(labels) - 1)]


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
