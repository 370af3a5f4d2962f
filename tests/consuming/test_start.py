"""Where a partition is read on."""

import pytest

from centtrack.consuming.start import Known, Start, choose_start
from centtrack.errors import ConfigurationError

WORDS = ("partition 3 of events", "delta:/lake", "lakes")


def known(low, high, committed=None, last=None, *, sink_knows=True):
    return Known(low, high, committed, last, sink_knows)


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        # a sink that knows
        (known(0, 0), Start(0, 0)),
        (known(0, 10), Start(0, 0)),
        (known(7, 10), Start(7, 0)),  # it never had any of this: what is gone was never waited for
        (known(0, 10, last=4), Start(5, 0)),
        (known(0, 10, committed=9, last=4), Start(5, 0)),  # a commit of the group before the sink's: goes by the sink
        (known(0, 10, committed=2, last=4), Start(5, 0)),
        (known(0, 10, last=9), Start(10, 0)),
        (known(5, 10, last=4), Start(5, 0)),
        (known(8, 10, last=4), Start(8, 3)),
        (known(10, 10, last=4), Start(10, 5)),
        (known(8, 10, committed=7, last=4), Start(8, 1)),  # 5 and 6 were withheld, or dead letters
        (known(8, 10, committed=8, last=4), Start(8, 0)),
        # one that doesn't: by the group
        (known(0, 10, sink_knows=False), Start(0, 0)),
        (known(3, 10, sink_knows=False), Start(3, 0)),
        (known(0, 10, committed=6, sink_knows=False), Start(6, 0)),
        (known(0, 10, committed=10, sink_knows=False), Start(10, 0)),
        (known(8, 10, committed=6, sink_knows=False), Start(8, 2)),
    ],
)
def test_start(known, expected):
    assert choose_start(known, *WORDS) == expected._replace(low=known.low)


@pytest.mark.parametrize(
    ("known", "words"),
    [
        (known(0, 4, last=4), "partition 3 of events ends at offset 4, but delta:/lake is at 5"),
        (known(0, 0, last=0), "feed another lake"),
        (known(0, 4, committed=5, sink_knows=False), "ends at offset 4, but group lakes is at 5"),
    ],
)
def test_a_partition_that_is_not_what_it_was(known, words):
    with pytest.raises(ConfigurationError, match=words):
        choose_start(known, *WORDS)
