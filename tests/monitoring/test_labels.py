"""Labels of metrics are closed sets."""

import re
from pathlib import Path
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

import centtrack
from centtrack.delivery.journal.losses import LostReason
from centtrack.delivery.sending.routing import Reason
from centtrack.monitoring.labels import DROPPED, LOST, OTHER, WITHHELD, fold_reasons

SOURCE = Path(centtrack.__file__).parent


def test_every_reason_for_a_drop_has_a_label():
    """What the source drops events with, wherever it does."""
    written = "\n".join(file.read_text() for file in SOURCE.rglob("*.py"))
    called = re.findall(r'(?:refuse|drop|drop_taken|_drop|_give_up|Excluded)\(\s*"(\w+)"', written)
    noted = re.findall(r'_dropped\["(\w+)"\]', written)
    assert len(called) > 3
    assert {*called, *noted} <= set(DROPPED)


def test_every_reason_of_a_sink_has_a_label():
    assert set(WITHHELD) == set(get_args(Reason))
    assert set(LOST) == set(get_args(LostReason))


@given(st.dictionaries(st.sampled_from([*DROPPED, "made up", "", "\n"]), st.integers(0, 100)))
def test_nothing_is_lost_and_nothing_new_comes(counts):
    for known in (DROPPED, WITHHELD, LOST):
        folded = fold_reasons(counts, known)
        assert set(folded) == {*known, OTHER}
        assert sum(folded.values()) == sum(counts.values())
