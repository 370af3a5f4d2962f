"""`PrivacyPolicy`: the limits that are in force, and everything else an officer sets."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Self

from pydantic import ValidationError

from centtrack.errors import ConfigurationError, PolicyError, Problem
from centtrack.policy.levels import Ip, Time, Visitor
from centtrack.policy.limits import Limits
from centtrack.policy.load import read_document
from centtrack.policy.model import ALWAYS_SENT, UNCLASSIFIED, Document, SinkRules
from centtrack.spelling import nearest

PROFILES = ("strict", "gdpr", "kz", "cent")
POLICY_VARIABLE = "CENTTRACK_POLICY"
_BUCKETS_S = {Time.DAY: 86_400, Time.HOUR: 3_600}


class PrivacyPolicy:
    """A checked policy. Immutable; make one with `load`, `parse` or `profile`.

    Attributes:
        document: the file, section by section.
        source: the file's path, or `profile strict`.
        folder: what relative paths in the policy are relative to.
    """

    def __init__(self, document: Document, *, source: str = "policy", folder: Path | None = None) -> None:
        self.document = document
        self.source = source
        self.folder = folder or Path.cwd()
        ceiling = document.ceiling
        self._default = document.limits.default.capped(ceiling)
        self._consented = (document.limits.consented or document.limits.default).capped(ceiling)
        self._waived_until = document.waiver.ip.until if document.waiver.ip else None

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a policy file.

        Raises:
            PolicyError: with every mistake of the file, each with line, value, what is allowed, nearest spelling.
            ConfigurationError: if the file can't be read.
        """
        file = Path(path).expanduser()
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(
                f"can't read the policy {file}: {error}. `centtrack init` writes one to start from"
            ) from None
        return cls.parse(text, source=str(file), folder=file.resolve().parent)

    @classmethod
    def parse(cls, text: str, *, source: str = "policy", folder: Path | None = None) -> Self:
        """Read a policy from the text of one.

        Raises:
            PolicyError: as `load` does.
        """
        return cls(read_document(text, source), source=source, folder=folder)

    @classmethod
    def profile(cls, name: str) -> Self:
        """One of the profiles: strict, gdpr, kz, cent.

        Raises:
            ConfigurationError: if there is no such profile.
        """
        return cls.parse(profile_text(name), source=f"profile {name}")

    @classmethod
    def resolve(cls, policy: str | os.PathLike[str] | PrivacyPolicy | None) -> PrivacyPolicy:
        """What `policy=` of the middleware means: a path, a policy, `$CENTTRACK_POLICY`, else the profile `strict`."""
        if isinstance(policy, PrivacyPolicy):
            return policy
        path = policy or os.environ.get(POLICY_VARIABLE)
        return cls.load(path) if path else cls.profile("strict")

    def changed(self, **sections: object) -> PrivacyPolicy:
        """This policy with other sections, checked again: `policy.changed(bots={"record": "drop"})`.

        Raises:
            PolicyError: if the result is no valid policy.
        """
        values = {**self.document.model_dump(exclude_unset=True), **sections}
        try:
            document = Document.model_validate(values)
        except ValidationError as error:
            problems = [Problem(None, ".".join(map(str, one["loc"])), one["msg"]) for one in error.errors()]
            raise PolicyError(self.source, problems) from None
        # Code may lower the ceiling, never raise it.
        document = document.model_copy(update={"ceiling": document.ceiling.capped(self.document.ceiling)})
        return PrivacyPolicy(document, source=f"{self.source} (changed)", folder=self.folder)

    def limits(self, *, consented: bool = False, today: dt.date | None = None) -> Limits:
        """The limits in force for a visitor, capped by the ceiling, with a waiver that has run out taken back.

        Args:
            consented: whether the visitor granted analytics.
            today: the UTC date to judge the waiver by; default: now.
        """
        limits = self._consented if consented else self._default
        if limits.ip is Ip.FULL and not self._is_waived(today or dt.datetime.now(dt.UTC).date()):
            return limits.model_copy(update={"ip": Ip.NONE})
        return limits

    def _is_waived(self, today: dt.date) -> bool:
        return self._waived_until is not None and today <= self._waived_until

    @property
    def bucket_s(self) -> int | None:
        """Seconds of a bucket of time, whose events are released after it has ended; None: they go at once."""
        if self.document.release == "at_once":
            return None
        return _BUCKETS_S.get(min(self._default.time, self._consented.time))

    @property
    def geo_databases(self) -> tuple[Path, ...]:
        """The geo databases, in order of preference, as absolute paths."""
        return tuple(self.folder / path.expanduser() for path in self.document.geo.databases)

    @property
    def version(self) -> str:
        """The version that the officer gave it."""
        return self.document.version

    @cached_property
    def hash(self) -> str:
        """First 16 hex digits of the SHA-256 over everything the policy says, whatever its layout and comments."""
        return _hashed(self.document.model_dump(mode="json"))

    @cached_property
    def consent_hash(self) -> str:
        """First 16 hex digits of the SHA-256 over what consent depends on: if it changes, visitors are asked again.

        Purposes, categories of cookies and how long they last, mode of consent, recipients, retention, and what a third
        party gets: its columns, and the limits that these are recorded under; no wording (clauses 14 and 16).
        """
        document = self.document
        lifetimes: dict[str, int] = {}
        for cookie in document.cookies:
            if cookie.category not in {"necessary", UNCLASSIFIED}:
                lifetimes[cookie.category] = max(lifetimes.get(cookie.category, 0), cookie.lifetime or 0)
        visitor_days = document.visitor.days if self.limits(consented=True).visitor is Visitor.COOKIE else 0
        return _hashed(
            {
                "controller": (document.controller.bin, sorted(document.controller.affiliates)),
                "purposes": sorted(document.purposes),
                "cookies": lifetimes,
                "visitor": visitor_days,
                "mode": document.consent.mode,
                "sinks": sorted(map(self._consented_to, document.sinks), key=repr),
            }
        )

    def _consented_to(self, sink: SinkRules) -> tuple[object, ...]:
        """What consent depends on of a sink. What it gets only of a third party's: the site's own is its own business.

        Several entries for one sink hold together, so the sink's party may stand in another one than its `fields`.
        """
        said = (sink.name, sink.party, sink.country, sink.purposes, sink.retention)
        entries = [entry for entry in self.document.sinks if entry.name == sink.name]
        if all(entry.party == "first" for entry in entries):
            return said
        fields = None if sink.fields is None else sorted({*sink.fields} - {*ALWAYS_SENT})
        return (*said, fields)


def _hashed(value: object) -> str:
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def profile_text(name: str) -> str:
    """The TOML of a profile.

    Raises:
        ConfigurationError: if there is no such profile.
    """
    if name not in PROFILES:
        raise ConfigurationError(f'no profile "{name}"; there are {", ".join(PROFILES)}.{nearest(name, PROFILES)}')
    return files("centtrack.policy").joinpath("profiles", f"{name}.toml").read_text(encoding="utf-8")
