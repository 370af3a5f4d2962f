"""The values that labels of metrics may have: closed sets, so that nothing that comes in makes a new time series."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

OTHER = "other"

DROPPED: Mapping[str, str] = {
    "queue_full": "8,192 events, or 16 MB, waited in the worker's memory",
    "journal_full": "the journal had reached `max_bytes`",
    "disk_low": "its disk had less than `min_free` left",
    "journal_failed": "the journal couldn't be written before the process ended",
    "recorder_failed": "an error of ours in the recorder's thread",
    "start_failed": "no thread could be started",
    "capture_failed": "no event could be made of it",
    "excluded": "the policy excludes it, or it asked to be kept out, as consent pages and metrics do",
    "bot": "the policy drops bots",
    "undeclared": "a custom event that the policy doesn't declare",
    "too_late": "a custom event after the response was done",
    "unreadable_line": "a line of an imported log that is none",
}
"""Reason → why something that was offered wasn't accepted."""

LOST: Mapping[str, str] = {
    "damaged": "the row's checksum was wrong",
    "corrupt": "the journal was damaged, and set aside",
    "retention": "it waited longer than the policy's `retention` for that sink",
    "dropped": "`centtrack dead drop` deleted it",
    "dead_retention": "it was a dead letter for longer than the policy allows, or 30 days",
    "unseen": "nobody delivered to the sink for 7 days",
}
"""Reason → why a sink never gets an accepted event."""

WITHHELD: Mapping[str, str] = {
    "policy": "the policy in force wouldn't record it; or a third party's sink, and the policy was another then",
    "signal": "a third party's sink, and the visitor's browser sends GPC, or a DNT that counts",
    "consent": "the visitor didn't consent to each of its purposes; of the site's own sinks only preferences and "
    "marketing need consent",
    "implied": "a third party's sink, and nobody chose",
    "asserted": "a third party's sink, and only another banner's cookie says that the visitor chose",
    "sampling": "the sink gets a share of the events, its `sample`, and this one isn't in it",
}
"""Reason → why a sink may not have an event."""


def fold_reasons(counts: Mapping[str, int], known: Collection[str]) -> dict[str, int]:
    """All known reasons, also those that never occurred, so that rates are right; the unknown ones together.

    Args:
        counts: reason → how many.
        known: the reasons that have a label of their own.
    """
    folded = Counter(dict.fromkeys((*known, OTHER), 0))
    for reason, count in counts.items():
        folded[reason if reason in known else OTHER] += count
    return dict(folded)
