"""What waits of one partition, and what is taken of it."""

from hypothesis import given
from hypothesis import strategies as st

from centtrack.consuming import partition as module
from centtrack.consuming.entries import Entry
from centtrack.consuming.partition import Partition
from centtrack.consuming.start import Start


def filled(*sizes, start=0):
    """A partition of which messages of these sizes were read, from the first one on."""
    partition = Partition(0, "kafka/cluster/events/0")
    partition.begin(Start(start, 0))
    for offset, size in enumerate(sizes):
        partition.add(Entry(offset, b"x" * size))
    return partition


@given(st.lists(st.integers(0, 9_000_000), max_size=8), st.integers(0, 8))
def test_batches_are_bounded_and_hold_each_message_once_and_in_order(sizes, start):
    partition = filled(*sizes, start=start)
    taken = []
    while partition.total:
        work = partition.take()
        entries = list(work.part())
        assert sum(len(entry.line) for entry in entries[:-1]) < module.MAX_BYTES
        taken += entries
        partition.finish(work)
        assert partition.done == work.last + 1
    assert [entry.offset for entry in taken] == list(range(start, len(sizes)))
    assert partition.size == 0


def test_what_was_read_for_its_id_alone_is_not_delivered():
    assert filled(5, 5, 5, start=2).total == 1


def test_a_new_start_forgets_all():
    partition = filled(5, 5)
    partition.take()
    partition.add(Entry(2, b"x"))
    partition.begin_anew()
    assert (partition.total, partition.size, partition.work, partition.start) == (0, 0, None, None)


def test_only_the_first_batch_may_have_been_attempted_by_another_member():
    partition = filled(1)
    first = partition.take()
    partition.finish(first)
    partition.add(Entry(1, b"x"))
    assert (first.repeated, partition.take().repeated) == (True, False)
