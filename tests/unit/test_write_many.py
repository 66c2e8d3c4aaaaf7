"""`write_many`: every key of a batch gets the receipt that it would get alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from redrepl.plans.operations.batch import Written
from redrepl.plans.operations.chunk import Chunk, Draft, Item
from redrepl.plans.view import EpochMoved
from redrepl.values import limits
from redrepl.values.effects import Ask, ScriptCall, Wait
from redrepl.values.errors import ClockSkew, NotAReplicatedRecord
from redrepl.values.receipt import Outcome, WriteReceipt
from redrepl.values.record import VALUE, parse_record, value_record
from redrepl.values.stamp import Stamp
from redrepl.values.topology import Mode
from tests.unit.support.by_hand import ByHand, all_written, copies_of, order, view, write_many

ITEMS = [
    Item(name, name.encode(), value_record(Stamp(1000 + i, 1), b"%d" % i))
    for i, name in enumerate("xyz")
]
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
    assert batch.exchange.required_node == "a"
    assert _outcomes(batch.replies("a", 1)) == [COMMITTED] * 3


def test_at_async_the_deciding_node_alone_is_asked() -> None:
    batch = _start(3, 0, reach_others=False)
    assert batch.targets() == ["a"]
    receipts = batch.replies("a", [b"some", 1, b"ok", RESTAMPS[1].encode()]).result
    assert [receipt.stamp for receipt in receipts] == [
        ITEMS[0].record.stamp,
        RESTAMPS[1],
        ITEMS[2].record.stamp,
    ]
    assert {receipt.acked for receipt in receipts} == {frozenset("a")}
    assert {receipt.outcome for receipt in receipts} == {COMMITTED}


def test_all_are_committed_when_the_required_copies_hold_all() -> None:
    batch = _start(3, 1).replies("a", 1)
    assert not batch.is_done
    receipts = batch.replies("c", 1).result
    for item, receipt in zip(ITEMS, receipts, strict=True):
        assert (receipt.key, receipt.stamp, receipt.outcome) == (
            item.user_key,
            item.record.stamp,
            COMMITTED,
        )
        assert copies_of(receipt) == ({"a", "c"}, {"b"}, {})
        assert (receipt.applied, receipt.required) == (True, 1)


def test_a_copy_that_refuses_one_key_says_why_and_is_not_waited_for() -> None:
    """So the workers are woken for it, as they are where the key is written alone."""
    batch = _start(3, 1).replies("a", 1).replies("b", [b"some", 1, b"expired", b"9"])
    first, second, third = batch.replies("c", 1).result
    assert copies_of(first) == copies_of(third) == ({"a", "b", "c"}, set(), {})
    acked, pending, failed = copies_of(second)
    assert (acked, pending, second.outcome) == ({"a", "c"}, set(), COMMITTED)
    assert "older than the node accepts" in failed["b"]


def test_only_restamped_items_go_out_again() -> None:
    batch = _start(3, 1).replies("b", 1)
    batch.replies("a", [b"some", 0, b"ok", RESTAMPS[0].encode(), 2, b"ok", RESTAMPS[2].encode()])
    assert batch.targets() == ["b", "c"]
    command = batch.sent[0].command
    assert isinstance(command, ScriptCall)
    assert command.keys[2:] == (b"shop:k:x", b"shop:k:z")
    *records, last = command.arguments[1:]
    assert last == b"decided"
    stamps = [parse_record(encoded).stamp for encoded in records if isinstance(encoded, bytes)]
    assert stamps == [RESTAMPS[0], RESTAMPS[2]]
    receipts = batch.replies("c", 1, tag=1).result
    assert [receipt.outcome for receipt in receipts] == [COMMITTED] * 3
    assert [receipt.acked for receipt in receipts] == [{"a", "c"}, {"a", "b"}, {"a", "c"}]


def test_exceptions_of_the_second_round_are_counted_among_what_was_sent_in_it() -> None:
    exceptions = [b"some", 0, b"ok", RESTAMPS[0].encode(), 2, b"ok", RESTAMPS[2].encode()]
    batch = _start(2, 1).replies("b", 1).replies("a", exceptions)
    assert _outcomes(batch.replies("b", [b"some", 1, b"skewed", b"9"], tag=1)) == [
        COMMITTED,
        COMMITTED,
        UNKNOWN,
    ]


def test_first_round_answers_do_not_confirm_restamped_items() -> None:
    batch = _start(2, 1).replies("b", 1).replies("a", [b"some", 1, b"ok", RESTAMPS[1].encode()])
    assert not batch.is_done
    assert _outcomes(batch.times_out()) == [COMMITTED, UNKNOWN, COMMITTED]
    assert batch.result[1].acked == {"a"}


def test_an_item_that_a_copy_lacks_waits_for_another_copy() -> None:
    batch = _start(3, 1).replies("a", 1).replies("b", [b"some", 1, b"expired", b"9"])
    assert not batch.is_done
    receipts = batch.replies("c", 1).result
    assert [receipt.acked for receipt in receipts] == [{"a", "b", "c"}, {"a", "c"}, {"a", "b", "c"}]


def test_a_batch_ends_when_no_key_can_be_confirmed_any_more() -> None:
    batch = _start(3, 2).replies("a", 1)
    assert not batch.replies("b", [b"some", 0, b"expired", b"9", 1, b"expired", b"9"]).is_done
    batch = _start(3, 2).replies("a", 1)
    lacking = [part for place in range(3) for part in (place, b"expired", b"9")]
    assert _outcomes(batch.replies("b", [b"some", *lacking])) == [UNKNOWN] * 3


def test_a_later_record_that_a_copy_showed_confirms_restamped_items_too() -> None:
    later = Stamp(3000, 1).encode()
    batch = _start(3, 1).replies("b", [b"some", 0, b"has", later])
    batch.replies("c", 1).replies("a", [b"some", 0, b"ok", RESTAMPS[0].encode()])
    assert _outcomes(batch) == [COMMITTED] * 3
    assert batch.result[0].acked == {"a", "b"}


@pytest.mark.parametrize("is_first", [True, False])
def test_what_the_primary_took_goes_once_more_to_a_copy_whose_clock_turned_it_down(
    is_first: bool,
) -> None:
    batch, turned_down = _start(2, 1), [b"some", 1, b"skewed", b"9"]
    for node, answer in (
        [("b", turned_down), ("a", 1)] if is_first else [("a", 1), ("b", turned_down)]
    ):
        batch.replies(node, answer)
    assert (batch.targets(), batch.sent[0].command.arguments[-1]) == (["b"], b"decided")
    assert _outcomes(batch.replies("b", turned_down)) == [COMMITTED, UNKNOWN, COMMITTED], (
        "it goes there once"
    )


def test_what_the_primary_turned_down_in_part_goes_to_no_copy_again() -> None:
    batch = (
        _start(2, 1)
        .replies("b", [b"some", 1, b"skewed", b"9"])
        .replies("a", [b"some", 1, b"skewed", b"9"])
    )
    assert [request.node for request in batch.everything] == ["a", "b"]
    assert _outcomes(batch) == [COMMITTED, UNKNOWN, COMMITTED]


@pytest.mark.parametrize(
    ("found", "outcome"), [(Stamp(9999, 1), COMMITTED), (Stamp(1001, 1), COMMITTED)]
)
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
    batch = _start(3, 1, mode=Mode.MULTI_PRIMARY).replies(
        "a", [b"some", 1, b"has", Stamp(9999, 9).encode()]
    )
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
    batch.fails("b", "an error", tag=1)
    assert _outcomes(batch.replies("c", 1)) == [UNKNOWN, COMMITTED, COMMITTED]


# Cutting ------------------------------------------------------------------------------------------


def _draft(count: int, payload: bytes) -> Draft:
    keys = [b"%d" % number for number in range(count)]
    return Draft(keys, keys, [payload] * count, VALUE, 0)


@pytest.mark.parametrize("count", [0, 1, 499, 500, 501, 1234])
def test_parts_are_as_long_as_allowed(count: int) -> None:
    parts = list(_draft(count, b"x").parts())
    assert [number for part in parts for number in range(count)[part]] == list(range(count))
    lengths = [part.stop - part.start for part in parts]
    assert lengths[:-1] == [limits.BATCH_KEYS] * (len(parts) - 1)
    assert all(0 < length <= limits.BATCH_KEYS for length in lengths)


def test_parts_are_as_large_as_allowed() -> None:
    def lengths(count: int, payload_bytes: int) -> list[int]:
        return [part.stop - part.start for part in _draft(count, b"x" * payload_bytes).parts()]

    assert lengths(10, limits.BATCH_BYTES // 3) == [2, 2, 2, 2, 2]
    assert lengths(4, limits.BATCH_BYTES // 2 - 1) == [2, 2]
    assert lengths(3, limits.BATCH_BYTES + 1) == [1, 1, 1]


def test_a_chunk_carries_one_stamp() -> None:
    draft = Draft(["x", "y"], [b"x", b"y"], [b"1", b"2"], VALUE, 77)
    chunk = draft.leave(slice(0, 2), Stamp(1000, 1), order(1))
    assert [parse_record(record) for record in chunk.records] == [
        value_record(Stamp(1000, 1), payload, 77) for payload in (b"1", b"2")
    ]
    assert (chunk.user_keys, chunk.keys, chunk.stamps) == (
        ["x", "y"],
        [b"x", b"y"],
        [Stamp(1000, 1)] * 2,
    )


# Several on their way -----------------------------------------------------------------------------


class Leaving:
    """Chunks of one key each, counted as they are taken.

    Tags of chunk n: 2n, and 2n + 1 in its second round.
    """

    def __init__(self, count: int) -> None:
        self.left = 0
        self._count = count

    def __iter__(self) -> Iterator[Chunk]:
        while self.left < self._count:
            self.left += 1
            key = b"%d" % self.left
            yield Draft([key], [key], [b"v"], VALUE, 0).leave(
                slice(0, 1), Stamp(self.left, 1), order(1)
            )


def _fly(count: int) -> tuple[Leaving, ByHand[list[Written]]]:
    leaving = Leaving(count)
    return leaving, ByHand(all_written(view(3), iter(leaving)))


def test_the_next_chunk_leaves_when_somebody_answered_the_newest() -> None:
    leaving, batch = _fly(3)
    assert (leaving.left, batch.targets(), isinstance(batch.exchange, Ask)) == (
        1,
        ["a", "b", "c"],
        True,
    )
    batch.replies("c", 1)
    assert (leaving.left, batch.targets(), batch.exchange.required_node) == (
        2,
        ["a", "b", "c"],
        "a",
    )
    assert isinstance(batch.exchange, Wait), "the answers to the first are still wanted"
    batch.replies("b", 1)
    assert (leaving.left, batch.sent) == (2, ()), "that was an answer to the first"
    batch.replies("a", 1)
    assert leaving.left == 2, "and so was this, which committed it"
    batch.replies("a", 1, tag=2).replies("b", 1, tag=2)
    assert leaving.left == 3
    batch.replies("a", 1, tag=4).replies("c", 1, tag=4)
    assert [_outcome(written) for written in batch.result] == [COMMITTED] * 3
    assert [written.chunk.keys for written in batch.result] == [[b"1"], [b"2"], [b"3"]]


def _outcome(written: Written) -> Outcome | None:
    return written.receipts[0].outcome if written.receipts else None


def test_only_so_many_are_on_their_way_at_once() -> None:
    leaving, batch = _fly(limits.CHUNKS_IN_FLIGHT + 2)
    for number in range(limits.CHUNKS_IN_FLIGHT):
        batch.replies("c", 1, tag=2 * number)
    assert leaving.left == limits.CHUNKS_IN_FLIGHT
    batch.replies("a", 1)
    assert leaving.left == limits.CHUNKS_IN_FLIGHT + 1


def test_where_the_epoch_moved_no_more_leave_and_those_under_way_land() -> None:
    leaving, batch = _fly(5)
    batch.replies("b", 1).replies("b", 1, tag=2)
    batch.replies("a", [b"refused", b"8", b"active"])
    assert not batch.is_done
    batch.replies("a", 1, tag=2).replies("a", [b"refused", b"8", b"active"], tag=4)
    assert leaving.left == 3
    assert [_outcome(written) for written in batch.result] == [None, COMMITTED, None]


def test_what_is_restamped_goes_again_while_the_next_is_on_its_way() -> None:
    _, batch = _fly(2)
    batch.replies("b", 1).replies("a", [b"some", 0, b"ok", RESTAMPS[0].encode()])
    assert [(request.node, request.tag) for request in batch.sent] == [("b", 1), ("c", 1)]
    assert batch.exchange.required_node is None
    batch.replies("a", 1, tag=2).replies("c", 1, tag=2).replies("c", 1, tag=1)
    receipts = [written.receipts[0] for written in batch.result if written.receipts]
    assert [(receipt.stamp, receipt.outcome) for receipt in receipts] == [
        (RESTAMPS[0], COMMITTED),
        (Stamp(2, 1), COMMITTED),
    ]
    assert receipts[0].acked == {"a", "c"}


def test_a_chunk_that_could_not_leave_does_not_hold_the_next_up() -> None:
    leaving, batch = _fly(2)
    batch.fails("a", "down", sent=False)
    assert leaving.left == 2
    batch.replies("a", 1, tag=2).replies("b", 1, tag=2)
    assert [_outcome(written) for written in batch.result] == [REJECTED, COMMITTED]


def test_each_chunk_times_out_by_itself() -> None:
    _, batch = _fly(2)
    batch.replies("b", 1).replies("b", 1, tag=2).replies("a", 1)
    assert [_outcome(written) for written in batch.times_out().result] == [COMMITTED, UNKNOWN]


def test_what_the_deciding_node_refuses_keeps_its_error_and_those_under_way_land() -> None:
    leaving, batch = _fly(5)
    batch.replies("b", 1).replies("b", 1, tag=2).replies("a", [b"foreign", b"shop:k:1"])
    assert not batch.is_done
    batch.replies("a", 1, tag=2)
    first, second, third = batch.replies("a", [b"expired", b"9"], tag=4).result
    assert leaving.left == 3
    assert isinstance(first.error, NotAReplicatedRecord)
    assert isinstance(third.error, ClockSkew)
    assert second.error is None
    assert [_outcome(written) for written in (first, second, third)] == [
        UNKNOWN,
        COMMITTED,
        UNKNOWN,
    ]
    assert first.receipts is not None
    assert copies_of(first.receipts[0])[:2] == (set(), {"b", "c"}), "others may have it"
    assert "did not write" in first.receipts[0].failed["a"]


OOM = "OOM command not allowed when used memory > 'maxmemory'."


def test_a_batch_is_rejected_where_every_copy_takes_no_writes() -> None:
    batch = _start(3, 1).fails("b", OOM).fails("a", OOM)
    assert not batch.is_done
    assert _outcomes(batch.fails("c", OOM)) == [REJECTED] * 3
    assert {node for receipt in batch.result for node in receipt.failed} == set("abc")


def test_a_batch_is_unknown_where_another_copy_took_it() -> None:
    batch = _start(3, 1).fails("a", OOM).replies("b", 1).fails("c", OOM)
    assert _outcomes(batch) == [UNKNOWN] * 3
    assert all(receipt.failed["a"] == OOM for receipt in batch.result)


def _start_at_home(required: int) -> ByHand[list[WriteReceipt]]:
    """A batch to three copies, of which the deciding one turned down what was written lately."""
    return ByHand(write_many(view(3), order(required)._replace(home_first=True), ITEMS))


def test_where_the_primary_turned_writes_down_the_others_get_what_it_has_taken() -> None:
    batch = _start_at_home(1)
    assert batch.targets() == ["a"]
    batch.replies("a", 1)
    assert batch.targets() == ["b", "c"]
    assert _outcomes(batch.replies("b", 1)) == [COMMITTED] * 3


def test_what_it_turns_down_again_no_copy_gets() -> None:
    receipts = (
        _start_at_home(1)
        .fails("a", "OOM command not allowed when used memory > 'maxmemory'.")
        .result
    )
    assert [(each.outcome, each.acked, each.failed["a"][:3]) for each in receipts] == [
        (REJECTED, frozenset(), "OOM")
    ] * 3


def test_what_it_gives_a_later_stamp_goes_on_with_that() -> None:
    batch = _start_at_home(2).replies("a", [b"some", 1, b"ok", RESTAMPS[1].encode()])
    assert sorted(batch.targets()) == ["b", "b", "c", "c"]
    for node in "bc":
        batch.replies(node, 1, tag=0).replies(node, 1, tag=1)
    assert [receipt.stamp for receipt in batch.result] == [
        ITEMS[0].record.stamp,
        RESTAMPS[1],
        ITEMS[2].record.stamp,
    ]
    assert _outcomes(batch) == [COMMITTED] * 3
