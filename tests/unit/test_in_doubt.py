"""What is known of writes in doubt, and what each finding makes of it: the transition table row by
row.
"""

from __future__ import annotations

import pytest

from redrepl.plans.operations.chunk import Chunk
from redrepl.plans.operations.in_doubt import TRANSITIONS, Fate, Finding, InDoubtWrites, fate_of
from redrepl.plans.operations.read import Confirmed
from redrepl.plans.operations.write import WriteOrder
from redrepl.plans.view import EpochMoved
from redrepl.values.answers.refusals import TooFarAhead
from redrepl.values.errors import Unavailable
from redrepl.values.reasons import LOST
from redrepl.values.receipt import Outcome, WriteReceipt
from redrepl.values.record import Record, value_record
from redrepl.values.stamp import Stamp
from tests.unit.support.by_hand import view

SENT = Stamp(1000, 1)
DECIDED = Stamp(2000, 9)
LATER = Stamp(3000, 1)
EARLIER = Stamp(500, 1)

NOW = view(3)
EPOCH = NOW.topology.epoch
"""Of the view in which writes are looked up."""

ORDER = WriteOrder(home="a", required=1, reach_others=True, started=10.0, until=11.0)
NO_NODE: frozenset[str] = frozenset()
MEMBERS = frozenset("abc")
SILENT = {"a": f"{LOST}: reset by peer"}
REFUSED = {"a": "READONLY You can't write against a read only replica."}
MOVED_ON = {"c": f"refused: epoch {EPOCH}, active"}


def attempt(
    outcome: Outcome = Outcome.UNKNOWN,
    acked: str = "",
    failed: dict[str, str] | None = None,
    stamp: Stamp = SENT,
) -> WriteReceipt:
    return WriteReceipt(
        "key", stamp, outcome, False, frozenset(acked), NO_NODE, failed or {}, 1, 0.5
    )


def in_doubt(
    receipt: WriteReceipt | None,
    *,
    epoch: int = EPOCH - 1,
    order: WriteOrder = ORDER,
    also_as: tuple[Stamp, ...] = (),
) -> InDoubtWrites:
    chunk = Chunk(["key"], [b"key"], [SENT], [b"record"], order)
    return InDoubtWrites(chunk, epoch, None if receipt is None else [receipt], also_as)


def confirmed(record: Record | None) -> Confirmed:
    return Confirmed([record], "a", frozenset("bc"), 0, 12.0, {})


def record(stamp: Stamp) -> Record:
    return value_record(stamp, b"value", 0)


@pytest.mark.parametrize(
    ("receipt", "fate"),
    [
        (None, Fate.ABSENT),
        (attempt(Outcome.REJECTED), Fate.REJECTED),
        (attempt(Outcome.REJECTED, failed=REFUSED), Fate.REJECTED),
        (attempt(Outcome.REJECTED, failed={**REFUSED, "b": REFUSED["a"]}), Fate.SETTLED),
        (attempt(Outcome.REJECTED, failed={**REFUSED, "b": "no connection"}), Fate.REJECTED),
        (attempt(failed=SILENT), Fate.IN_DOUBT),
        (attempt(acked="b", failed=SILENT), Fate.IN_DOUBT),
        (attempt(failed={"a": TooFarAhead("1000").reason}), Fate.SETTLED),
        (attempt(acked="a"), Fate.TAKEN),
        (attempt(Outcome.COMMITTED, acked="ab"), Fate.SETTLED),
    ],
)
def test_the_receipt_of_an_attempt_tells_its_fate(receipt: WriteReceipt | None, fate: Fate) -> None:
    assert fate_of(receipt, "a") is fate


def test_each_finding_has_a_row() -> None:
    assert set(TRANSITIONS) == set(Finding)


@pytest.mark.parametrize(
    ("receipt", "primary", "found", "fate", "outcome"),
    [
        # What is found under the stamp that was sent or decided is committed, on whichever primary.
        (attempt(failed=SILENT), "b", SENT, Fate.SETTLED, Outcome.COMMITTED),
        (attempt(acked="a", stamp=DECIDED), "b", DECIDED, Fate.SETTLED, Outcome.COMMITTED),
        (attempt(acked="a", stamp=DECIDED), "a", DECIDED, Fate.SETTLED, Outcome.COMMITTED),
        # Under a later record no client can tell whether the write took effect before that ...
        (attempt(failed=SILENT), "b", LATER, Fate.SETTLED, Outcome.UNKNOWN),
        (attempt(acked="a"), "b", LATER, Fate.SETTLED, Outcome.UNKNOWN),
        # ... but on the node that had stored it.
        (attempt(acked="a"), "a", LATER, Fate.SETTLED, Outcome.COMMITTED),
        # A node that had stored it and has lost it tells nothing.
        (attempt(acked="a"), "a", None, Fate.SETTLED, Outcome.UNKNOWN),
        (attempt(acked="a"), "a", EARLIER, Fate.SETTLED, Outcome.UNKNOWN),
        # What is missing in a later epoch no copy has; it may be sent again, and is not called
        # rejected.
        (attempt(failed=SILENT), "b", None, Fate.ABSENT, Outcome.UNKNOWN),
        (attempt(failed=SILENT), "b", EARLIER, Fate.ABSENT, Outcome.UNKNOWN),
        (attempt(acked="a"), "b", EARLIER, Fate.ABSENT, Outcome.UNKNOWN),
    ],
)
def test_what_a_later_primary_holds_tells_what_became_of_a_write(
    receipt: WriteReceipt, primary: str, found: Stamp | None, fate: Fate, outcome: Outcome
) -> None:
    writes = in_doubt(receipt)
    writes.begin_look(NOW)
    assert not writes.may_still_arrive
    writes.take_confirmed(
        writes.writes, confirmed(record(found) if found else None), MEMBERS, primary
    )
    assert writes.writes[0].fate is fate
    (told,) = writes.receipts()
    assert told.outcome is outcome
    assert told.acked == (frozenset("bc") if outcome is Outcome.COMMITTED else told.acked)


def test_in_its_own_epoch_what_is_missing_may_still_arrive() -> None:
    writes = in_doubt(attempt(failed=SILENT), epoch=EPOCH)
    writes.begin_look(NOW)
    assert writes.leave_missing(writes.writes, [None], "b") == []
    assert (writes.writes[0].fate, writes.missing(), writes.to_send()) == (Fate.IN_DOUBT, 1, [])


def test_what_is_missing_in_a_later_epoch_is_sent_again() -> None:
    writes = in_doubt(attempt(failed=SILENT))
    writes.begin_look(NOW)
    assert writes.leave_missing(writes.writes, [None], "b") == []
    assert writes.to_send() == [0]
    writes.take_sent([0], [attempt(Outcome.COMMITTED, acked="bc")], ORDER._replace(home="b"))
    assert writes.open() == []


def test_an_attempt_under_another_stamp_is_found_too() -> None:
    writes = in_doubt(attempt(failed=SILENT), also_as=(DECIDED,))
    writes.begin_look(NOW)
    writes.take_confirmed(writes.writes, confirmed(record(DECIDED)), MEMBERS, "b")
    (told,) = writes.receipts()
    assert (told.outcome, told.stamp, writes.found) == (
        Outcome.COMMITTED,
        DECIDED,
        {b"key": record(DECIDED)},
    )


@pytest.mark.parametrize(("epoch", "is_open"), [(EPOCH - 1, True), (EPOCH, False)])
def test_what_was_taken_is_open_where_copies_were_in_a_later_epoch(
    epoch: int, is_open: bool
) -> None:
    writes = in_doubt(attempt(acked="a", failed=MOVED_ON), epoch=epoch)
    assert bool(writes.open()) is is_open


@pytest.mark.parametrize(
    ("reach_others", "outcome"), [(True, Outcome.UNKNOWN), (False, Outcome.REJECTED)]
)
def test_what_the_primary_refused_for_its_epoch_is_rejected_only_where_no_other_copy_was_sent_it(
    reach_others: bool, outcome: Outcome
) -> None:
    writes = in_doubt(None, order=ORDER._replace(reach_others=reach_others))
    (told,) = writes.receipts()
    assert (told.outcome, told.failed) == (outcome, {"a": "it is in a later epoch"})


def test_what_was_sent_again_and_refused_for_its_epoch_may_be_out() -> None:
    writes = in_doubt(attempt(Outcome.REJECTED))
    assert writes.receipts()[0].outcome is Outcome.REJECTED
    writes.stay_open(Unavailable("no answer", {}), NOW)
    assert (writes.epoch, writes.receipts()[0].outcome) == (EPOCH - 1, Outcome.REJECTED)
    writes.stay_open(EpochMoved("a later epoch", {}), NOW)
    assert (writes.epoch, writes.receipts()[0].outcome) == (EPOCH, Outcome.UNKNOWN)


def test_one_record_of_a_unit_is_no_proof_while_another_is_missing() -> None:
    chunk = Chunk(["x", "y"], [b"x", b"y"], [SENT, SENT], [b"", b""], ORDER)
    writes = InDoubtWrites(chunk, EPOCH, [attempt(failed=SILENT), attempt(failed=SILENT)])
    writes.begin_look(NOW)
    rest = writes.leave_missing(writes.writes, [record(SENT), None], "a")
    writes.take_confirmed(rest, confirmed(record(SENT)), MEMBERS, "a")
    assert (writes.is_told(), writes.is_told(is_unit=True)) == (True, False)
