"""Who gets events: what a policy says of each sink, and which sinks it refuses (clauses 4.6 and 5 to 8)."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from centtrack.errors import ConfigurationError
from centtrack.event import COLUMNS, Column
from centtrack.policy.levels import Ip
from centtrack.policy.limits import LEVELS, Limits
from centtrack.policy.model import ALWAYS_SENT, DEFAULT_PURPOSE, Document, SinkRules
from centtrack.policy.policy import PrivacyPolicy

ASKED_PURPOSES = ("preferences", "marketing")
"""Purposes that a first party, too, needs consent for (clauses 5.2 and 5.3)."""


class Recipient(NamedTuple):
    """What a policy says of one sink. Several entries for it hold together: of each key the strictest.

    Attributes:
        name: of the sink.
        entries: those that are about it; none if it isn't declared.
        purposes: what it is for.
        countries: where it is, as the policy states.
        columns: those that it gets.
        sample: the share of the events that it gets.
        retention: days that events may be kept for it; None if the policy doesn't say.
    """

    name: str
    entries: tuple[SinkRules, ...]
    purposes: tuple[str, ...]
    countries: tuple[str, ...]
    columns: tuple[str, ...]
    sample: float
    retention: int | None

    @property
    def is_third(self) -> bool:
        """Whether it is a third party's."""
        return any(entry.party == "third" for entry in self.entries)


class Refusal(NamedTuple):
    """Why a policy doesn't allow a sink.

    Attributes:
        problem: what is wrong, and what can be done.
        fix: what to write into the policy, if that is what is meant.
    """

    problem: str
    fix: str


def recipient_of(document: Document, name: str) -> Recipient:
    """What a policy says of a sink.

    Args:
        document: the policy.
        name: of the sink.
    """
    entries = tuple(entry for entry in document.sinks if _is_named(entry.name, name))
    purposes = [purpose for entry in entries for purpose in entry.purposes] or [DEFAULT_PURPOSE]
    countries = [entry.country for entry in entries if entry.country]
    return Recipient(
        name=name,
        entries=entries,
        purposes=tuple(dict.fromkeys(purposes)),
        countries=tuple(dict.fromkeys(countries)),
        columns=tuple(column.name for column in COLUMNS if all(_sends(entry, column.name) for entry in entries)),
        sample=min((entry.sample for entry in entries), default=1.0),
        retention=min((entry.retention for entry in entries if entry.retention), default=None),
    )


def _sends(entry: SinkRules, column: str) -> bool:
    return entry.fields is None or column in entry.fields or column in ALWAYS_SENT


def _is_named(written: str, name: str) -> bool:
    """Whether an entry is about a sink: by its name, or by the URL of its file, as it is given to `sink=`.

    A file has many paths, by `..` and by links: whichever the entry or the sink has, it is the same.
    """
    return written == name or (_file_of(written) or written) == (_file_of(name) or name)


def _file_of(url: str) -> str | None:
    scheme, colon, target = url.partition(":")
    is_file = colon and target and "://" not in target
    return f"{scheme}:{os.path.realpath(Path(target).expanduser())}" if is_file else None


def find_unmatched(document: Document, names: Collection[str]) -> list[SinkRules]:
    """Entries of the policy's `[[sinks]]` that are about none of the sinks: what they say holds for nothing here.

    Args:
        document: the policy.
        names: of the sinks.
    """
    return [entry for entry in document.sinks if not any(_is_named(entry.name, name) for name in names)]


def check_sinks(policy: PrivacyPolicy, names: Collection[str]) -> None:
    """Refuse sinks that the policy forbids, and a policy whose words would be lost on them.

    Args:
        policy: the one in force.
        names: of all sinks of the app.

    Raises:
        ConfigurationError: as `refuse_forbidden` and `refuse_misspelled`.
    """
    refuse_forbidden(policy, names)
    refuse_misspelled(policy, names)


def refuse_misspelled(policy: PrivacyPolicy, names: Collection[str]) -> None:
    """Refuse a policy that limits what a sink gets, by a name that none has, if one of them has no entry.

    That one may be meant: it would get every event. Where each has its entry, another app's sink is meant.

    Args:
        policy: the one in force.
        names: of all sinks of the app.

    Raises:
        ConfigurationError: if there are such an entry and such a sink.
    """
    undeclared = [name for name in names if not recipient_of(policy.document, name).entries]
    lost = [entry for entry in find_unmatched(policy.document, names) if _is_limiting(entry)]
    if undeclared and lost:
        third = [entry for entry in lost if entry.party == "third"]
        what = f"names {_listed(third)} as a third party's" if third else f"limits what {_listed(lost)} gets"
        raise ConfigurationError(
            f"{policy.source}: [[sinks]] {what}, but the sinks here are named {', '.join(names)}. One that is "
            "misspelled would get every event: write the name as it is here, take the entry out, or, if another "
            f"sink is meant, give {' and '.join(undeclared)} an entry of its own"
        )


def refuse_forbidden(policy: PrivacyPolicy, names: Iterable[str]) -> None:
    """Refuse sinks that the policy forbids.

    Args:
        policy: the one in force.
        names: of the sinks.

    Raises:
        ConfigurationError: if one isn't declared and has to be, has no purpose, or would get personal data in a
            country where that may not go; with all of these, and what to change.
    """
    refusals = [refusal for name in names for refusal in find_refusals(policy, name)]
    if refusals:
        listed = "\n".join(f"  {problem}. In the policy:\n\n{fix}\n" for problem, fix in refusals)
        raise ConfigurationError(f"{policy.source} forbids these sinks:\n{listed}".rstrip())


def find_refusals(policy: PrivacyPolicy, name: str) -> Iterator[Refusal]:
    """Why the policy forbids a sink, if it does.

    Args:
        policy: the one in force.
        name: of the sink.
    """
    document, recipient = policy.document, recipient_of(policy.document, name)
    purpose = next(iter(document.purposes), DEFAULT_PURPOSE)
    if not recipient.entries and document.recipients.undeclared_sinks == "refuse":
        yield Refusal(
            f'{name} has no entry in [[sinks]], and recipients.undeclared_sinks is "refuse"',
            _entry(recipient, f'purposes = ["{purpose}"]'),
        )
    elif not recipient.entries and DEFAULT_PURPOSE not in document.purposes:
        yield Refusal(
            f"{name} has no purpose: it has no entry in [[sinks]], and [purposes] does not declare "
            f'"{DEFAULT_PURPOSE}", which is what a sink without one is for',
            _entry(recipient, f'purposes = ["{purpose}"]'),
        )
    yield from _refuse_country(policy, recipient)


def _refuse_country(policy: PrivacyPolicy, recipient: Recipient) -> Iterator[Refusal]:
    allowed = policy.document.recipients.personal_data_in
    personal = personal_columns(policy, recipient)
    if allowed is None or not personal or (recipient.countries and {*recipient.countries} <= {*allowed}):
        return
    if recipient.countries:
        kept = {*recipient.columns} - {*personal, *ALWAYS_SENT}
        where, do = f"it is in {', '.join(recipient.countries)}", "Leave"
        line = f"fields = {json.dumps([column.name for column in COLUMNS if column.name in kept])}"
    else:
        where, do = "no country is stated for it", "State it, or leave"
        line = f'country = "{allowed[0]}"  # if it is there'
    limits = dict.fromkeys(column.limit for column in COLUMNS if column.name in personal)
    yield Refusal(
        f"{recipient.name} would get personal data ({', '.join(personal)}), which recipients.personal_data_in lets go "
        f"to {', '.join(allowed)} only, and {where}. {do} these out of its `fields`, or set these limits coarser: "
        f"{', '.join(filter(None, limits))}",
        _entry(recipient, line),
    )


def personal_columns(policy: PrivacyPolicy, recipient: Recipient) -> tuple[str, ...]:
    """Columns with personal data that a sink gets under the limits in force, with or without consent.

    Args:
        policy: the one in force.
        recipient: the sink.
    """
    tiers = (policy.limits(), policy.limits(consented=True))
    sent = (column for column in COLUMNS if column.name in recipient.columns)
    return tuple(column.name for column in sent if any(_is_personal(column, limits) for limits in tiers))


def find_idle_limits(policy: PrivacyPolicy, names: Collection[str]) -> list[str]:
    """Limits of which no sink gets a column: what is recorded under them serves no purpose (clause 5).

    Args:
        policy: the one in force.
        names: of all sinks.
    """
    sent = {column for name in names for column in recipient_of(policy.document, name).columns}
    used = {column.limit for column in COLUMNS if column.name in sent}
    default, consented = policy.limits().by_name(), policy.limits(consented=True).by_name()
    return [name for name in default if max(default[name], consented[name]) > 0 and name not in used]


def _is_personal(column: Column, limits: Limits) -> bool:
    """Whether it is filled with personal data under these limits: a full address is, though a network isn't."""
    if column.name == "ip_network" and limits.ip is Ip.FULL:
        return True
    if column.data_class != "personal" or column.limit is None or column.level is None:
        return column.data_class == "personal"
    return limits.by_name()[column.limit] >= LEVELS[column.limit][column.level.upper()]


def _is_limiting(entry: SinkRules) -> bool:
    """Whether a sink gets less for this entry."""
    asks = any(purpose in entry.purposes for purpose in ASKED_PURPOSES)
    return asks or entry.party == "third" or entry.fields is not None or entry.sample < 1


def _entry(recipient: Recipient, line: str) -> str:
    """The line, in an entry of its own unless the sink has one."""
    name = json.dumps(recipient.name, ensure_ascii=False)
    return f"# in the entry of {name}:\n{line}" if recipient.entries else f"[[sinks]]\nname = {name}\n{line}"


def _listed(entries: Iterable[SinkRules]) -> str:
    return ", ".join(f'"{entry.name}"' for entry in entries)
