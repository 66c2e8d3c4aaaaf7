"""The quorum arithmetic, beside a second version of it that is slow and obvious."""

from __future__ import annotations

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from redrepl.plans.operations.quorum import AcknowledgementTracker, QuorumStatus, quorum_status

COPIES = ("b", "c", "d", "e")
RECORDS = 3


def _status_by_trying_all(copies: int, required: int, holding: int, lost: int) -> QuorumStatus:
    """What can still come of it, whatever each of the other copies does."""
    undecided = copies - holding - lost
    futures = product((False, True), repeat=undecided)
    ends = {holding + sum(future) >= required for future in futures}
    if ends == {True}:
        return QuorumStatus.WON
    return QuorumStatus.LOST if ends == {False} else QuorumStatus.PENDING


def test_a_status_is_what_every_future_leads_to() -> None:
    for copies in range(6):
        for required in range(copies + 1):
            for holding in range(copies + 1):
                for lost in range(copies + 1 - holding):
                    case = copies, required, holding, lost
                    assert quorum_status(*case) is _status_by_trying_all(*case), case


class NaiveTracker:
    """A table of every copy and record.

    True where the copy holds it, False where it will not, None for neither yet.
    """

    def __init__(self, required: int) -> None:
        self.required = required
        self.table: dict[tuple[str, int], bool | None] = {
            (copy, record): None for copy in COPIES for record in range(RECORDS)
        }
        self.withdrawn: set[int] = set()

    def acknowledge(self, copy: str, lacking: set[int]) -> None:
        for record in range(RECORDS):
            self.table[copy, record] = record not in lacking

    def fail(self, copy: str) -> None:
        if all(self.table[copy, record] is None for record in range(RECORDS)):
            for record in range(RECORDS):
                self.table[copy, record] = False

    def reopen(self, copy: str) -> None:
        for record in range(RECORDS):
            self.table[copy, record] = None

    def holders(self, record: int) -> set[str]:
        return {copy for copy in COPIES if self.table[copy, record]}

    def status(self) -> QuorumStatus:
        found = set()
        for record in set(range(RECORDS)) - self.withdrawn:
            told = [self.table[copy, record] for copy in COPIES]
            held, lost = told.count(True), told.count(False)
            found.add(quorum_status(len(COPIES), self.required, held, lost))
        for status in (QuorumStatus.PENDING, QuorumStatus.LOST):
            if status in found:
                return status
        return QuorumStatus.WON


records = st.sets(st.integers(0, RECORDS - 1))
copies = st.sampled_from(COPIES)
steps = st.one_of(
    st.tuples(st.just("acknowledge"), copies, records),
    st.tuples(st.just("fail"), copies, st.just(set[int]())),
    st.tuples(st.just("reopen"), copies, st.just(set[int]())),
    st.tuples(st.just("withdraw"), copies, records),
)


@given(st.lists(steps, max_size=12), st.integers(0, len(COPIES)))
def test_the_tracker_counts_as_a_naive_one_does(
    steps: list[tuple[str, str, set[int]]],
    required: int,
) -> None:
    tracker, naive = AcknowledgementTracker(len(COPIES), required, RECORDS), NaiveTracker(required)
    for step, copy, places in steps:
        if step == "acknowledge":
            tracker.acknowledge(copy, places)
            naive.acknowledge(copy, places)
        elif step == "fail":
            tracker.fail(copy)
            naive.fail(copy)
        elif step == "reopen":
            tracker.reopen(copy)
            naive.reopen(copy)
        else:
            tracker.withdraw(places)
            naive.withdrawn |= places
        assert tracker.status() is naive.status()
        assert [set(tracker.holders(record)) for record in range(RECORDS)] == [
            naive.holders(record) for record in range(RECORDS)
        ]
        assert tracker.counts_any is (len(naive.withdrawn) < RECORDS)
