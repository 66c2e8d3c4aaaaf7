"""`write_many`: every key of a batch gets the receipt that it would get alone."""

from __future__ import annotations

import pytest

from redrepl.plans.batch import Item, chunks, write_many
from redrepl.plans.view import EpochMoved
from redrepl.values import limits
from redrepl.values.effects import ScriptCall
from redrepl.values.errors import NotAReplicatedRecord
from redrepl.values.receipt import Outcome, WriteReceipt
from redrepl.values.record import parse_record, value_record
from redrepl.values.stamp import Stamp
from redrepl.values.topology import Mode
from tests.unit.support.by_hand import ByHand, copies_of, order, view

ITEMS = [Item(name, name.encode(), value_record(Stamp(1000 + i, 1), b"%d" % i)) for i, name in enumerate("xyz")]
RESTAMPS = [Stamp(2001 + i, 0x80007000) for i in range(3)]
UNKNOWN, COMMITTED, REJECTED = Outcome.UNKNOWN, Outcome.COMMITTED, Outcome.REJECTED


def _start(
    copies: int, required: int, reach_others: bool = True, mode: Mode = Mode.PRIMARY_REPLICA
) -> ByHand[list[WriteReceipt]]:
    return ByHand(write_many(view(copies, mode), order(required, reach_others), ITEMS))


def _outcomes(batch: ByHand[list[WriteReceipt]]) -> list[Outcome]:
    return [receipt.outcome for receipt in batch.result]


@pytest.mark.parametrize("copies", [1, 2, 3, 5])
def test_the_same_bytes_go_to_all_copies_at_once(copies: int) -> None:
    batch = _start(copies, 0)
    assert batch.targets() == ["a", "b", "c", "d", "e"][:copies]
    assert len({id(request.command) for request in batch.sent}) == 1
    assert batch.exchange.gate == "a"
    assert _outcomes(batch.replies("a", 1)) == [COMMITTED] * 3


def test_at_async_the_deciding_node_alone_is_asked() -> None:
    batch = _start(3, 0, reach_others=False)
    assert batch.targets() == ["a"]
    receipts = batch.replies("a", [b"some", 1, b"ok", RESTAMPS[1].encode()]).result
    assert [receipt.stamp for receipt in receipts] == [ITEMS[0].record.stamp, RESTAMPS[1], ITEMS[2].record.stamp]
    assert {receipt.acked for receipt in receipts} == {frozenset("a")}
    assert {receipt.outcome for receipt in receipts} == {COMMITTED}


def test_all_are_committed_when_the_required_copies_hold_all() -> None:
    batch = _start(3, 1).replies("a", 1)
    assert not batch.is_done
    receipts = batch.replies("c", 1).result
    for item, receipt in zip(ITEMS, receipts, strict=True):
        assert (receipt.key, receipt.stamp, receipt.outcome) == (item.user_key, item.record.stamp, COMMITTED)
        assert copies_of(receipt) == ({"a", "c"}, {"b"}, {})
        assert (receipt.applied, receipt.required) == (True, 1)


def test_only_restamped_items_go_out_again() -> None:
    batch = _start(3, 1).replies("b", 1)
    batch.replies("a", [b"some", 0, b"ok", RESTAMPS[0].encode(), 2, b"ok", RESTAMPS[2].encode()])
    assert batch.targets() == ["b", "c"]
    command = batch.sent[0].command
    assert isinstance(command, ScriptCall)
    assert command.keys[2:] == (b"shop:k:x", b"shop:k:z")
    stamps = [parse_record(encoded).stamp for encoded in command.arguments[1:] if isinstance(encoded, bytes)]
    assert stamps == [RESTAMPS[0], RESTAMPS[2]]
    receipts = batch.replies("c", 1, tag=1).result
    assert [receipt.outcome for receipt in receipts] == [COMMITTED] * 3
    assert [receipt.acked for receipt in receipts] == [{"a", "c"}, {"a", "b"}, {"a", "c"}]


def test_exceptions_of_the_second_round_are_counted_among_what_was_sent_in_it() -> None:
    exceptions = [b"some", 0, b"ok", RESTAMPS[0].encode(), 2, b"ok", RESTAMPS[2].encode()]
    batch = _start(2, 1).replies("b", 1).replies("a", exceptions)
    assert _outcomes(batch.replies("b", [b"some", 1, b"skewed", b"9"], tag=1)) == [COMMITTED, COMMITTED, UNKNOWN]


def test_first_round_answers_do_not_confirm_restamped_items() -> None:
    batch = _start(2, 1).replies("b", 1).replies("a", [b"some", 1, b"ok", RESTAMPS[1].encode()])
    assert not batch.is_done
    assert _outcomes(batch.times_out()) == [COMMITTED, UNKNOWN, COMMITTED]
    assert batch.result[1].acked == {"a"}


def test_an_item_that_a_copy_lacks_waits_for_another_copy() -> None:
    batch = _start(3, 1).replies("a", 1).replies("b", [b"some", 1, b"skewed", b"9"])
    assert not batch.is_done
    receipts = batch.replies("c", 1).result
    assert [receipt.acked for receipt in receipts] == [{"a", "b", "c"}, {"a", "c"}, {"a", "b", "c"}]


@pytest.mark.parametrize(("found", "outcome"), [(Stamp(9999, 1), COMMITTED), (Stamp(1001, 1), COMMITTED)])
def test_a_copy_with_a_later_stamp_counts(found: Stamp, outcome: Outcome) -> None:
    batch = _start(2, 1).replies("b", [b"some", 1, b"has", found.encode()]).replies("a", 1)
    assert _outcomes(batch) == [COMMITTED, outcome, COMMITTED]


def test_what_the_deciding_node_refuses_is_unknown_and_the_rest_is_not() -> None:
    batch = _start(2, 1).replies("b", 1).replies("a", [b"some", 1, b"expired", b"123"])
    assert _outcomes(batch) == [COMMITTED, UNKNOWN, COMMITTED]
    receipt = batch.result[1]
    assert (receipt.applied, set(receipt.acked)) == (False, {"b"})
    assert "older" in receipt.failed["a"]
    assert batch.result[0].failed == {}


def test_one_of_several_primaries_keeps_what_is_later() -> None:
    batch = _start(3, 1, mode=Mode.MULTI_PRIMARY).replies("a", [b"some", 1, b"has", Stamp(9999, 9).encode()])
    assert batch.sent == ()
    receipts = batch.replies("b", 1).result
    assert [receipt.applied for receipt in receipts] == [True, False, True]
    assert [receipt.stamp for receipt in receipts] == [item.record.stamp for item in ITEMS]
    assert _outcomes(batch) == [COMMITTED] * 3


@pytest.mark.parametrize(("sent", "outcome"), [(True, UNKNOWN), (False, REJECTED)])
def test_a_deciding_node_that_failed_decides_nothing(sent: bool, outcome: Outcome) -> None:
    receipts = _start(3, 1).fails("a", "down", sent=sent).result
    assert {receipt.outcome for receipt in receipts} == {outcome}
    assert all(not receipt.applied and receipt.acked == frozenset() for receipt in receipts)
    assert all(receipt.failed["a"] == "down" for receipt in receipts)
    assert all(set(receipt.failed) | receipt.pending == {"a", "b", "c"} for receipt in receipts)


def test_lost_when_too_few_copies_are_left() -> None:
    batch = _start(3, 2).replies("a", 1).fails("b", "down")
    receipts = batch.result
    assert {receipt.outcome for receipt in receipts} == {UNKNOWN}
    assert receipts[0].failed == {"b": "down"}


def test_copies_alone_commit_nothing() -> None:
    batch = _start(3, 1).replies("b", 1).replies("c", 1)
    assert _outcomes(batch.times_out()) == [UNKNOWN] * 3
    assert batch.result[0].acked == frozenset()
    assert batch.result[0].pending == {"a", "b", "c"}


def test_another_epoch_and_foreign_values_are_errors() -> None:
    with pytest.raises(EpochMoved):
        _start(3, 1).replies("a", [b"refused", b"8", b"active"])
    with pytest.raises(NotAReplicatedRecord, match="b'y'"):
        _start(3, 1).replies("a", [b"foreign", b"shop:k:y"])


def test_a_failure_in_the_second_round_leaves_the_first_to_go_on() -> None:
    batch = _start(3, 2).replies("b", 1).replies("a", [b"some", 0, b"ok", RESTAMPS[0].encode()])
    batch.fails("b", tag=1)
    assert _outcomes(batch.replies("c", 1)) == [UNKNOWN, COMMITTED, COMMITTED]


def _items(count: int, payload: bytes) -> list[Item]:
    return [Item(str(i), b"%d" % i, value_record(Stamp(i, 1), payload)) for i in range(count)]


@pytest.mark.parametrize("count", [0, 1, 499, 500, 501, 1234])
def test_chunks_are_as_long_as_allowed(count: int) -> None:
    items = _items(count, b"x")
    pieces = list(chunks(items))
    assert [item for piece in pieces for item in piece] == items
    assert [len(piece) for piece in pieces[:-1]] == [limits.BATCH_KEYS] * (len(pieces) - 1)
    assert all(0 < len(piece) <= limits.BATCH_KEYS for piece in pieces)


def test_chunks_are_as_large_as_allowed() -> None:
    pieces = list(chunks(_items(10, b"x" * (limits.BATCH_BYTES // 3))))
    assert [len(piece) for piece in pieces] == [2, 2, 2, 2, 2]
    assert [len(piece) for piece in chunks(_items(3, b"x" * (limits.BATCH_BYTES + 1)))] == [1, 1, 1]
