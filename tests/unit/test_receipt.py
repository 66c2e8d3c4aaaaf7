"""The three ways a write ends, and what their receipts say by default."""

from __future__ import annotations

from redrepl.values.receipt import Outcome, WriteReceipt
from redrepl.values.stamp import NO_STAMP, Stamp

STAMP = Stamp(5, 1)


def test_a_committed_write_was_applied_unless_said_otherwise() -> None:
    receipt = WriteReceipt.committed("k", STAMP, acked=["a", "b"], required=1, elapsed=0.5)
    nothing = frozenset[str]()
    assert receipt == WriteReceipt(
        "k", STAMP, Outcome.COMMITTED, True, frozenset("ab"), nothing, {}, 1, 0.5
    )
    unmet = WriteReceipt.committed(
        "k",
        STAMP,
        acked=["a"],
        required=0,
        elapsed=0.5,
        applied=False,
        pending=["b"],
        failed={"c": "ahead"},
    )
    assert unmet == WriteReceipt(
        "k", STAMP, Outcome.COMMITTED, False, frozenset("a"), frozenset("b"), {"c": "ahead"}, 0, 0.5
    )


def test_an_unknown_write_was_not_applied_unless_said_otherwise() -> None:
    receipt = WriteReceipt.unknown(b"k", STAMP, failed={"a": "lost"}, required=2, elapsed=0.5)
    nothing = frozenset[str]()
    assert receipt == WriteReceipt(
        b"k", STAMP, Outcome.UNKNOWN, False, nothing, nothing, {"a": "lost"}, 2, 0.5
    )
    stored = WriteReceipt.unknown(
        b"k",
        STAMP,
        failed={"c": "away"},
        required=2,
        elapsed=0.5,
        applied=True,
        acked=["a"],
        pending=["b"],
    )
    assert stored == WriteReceipt(
        b"k", STAMP, Outcome.UNKNOWN, True, frozenset("a"), frozenset("b"), {"c": "away"}, 2, 0.5
    )


def test_a_rejected_write_is_on_no_copy() -> None:
    receipt = WriteReceipt.rejected("k", NO_STAMP, failed={"a": "not sent"}, required=1)
    nothing = frozenset[str]()
    assert receipt == WriteReceipt(
        "k", NO_STAMP, Outcome.REJECTED, False, nothing, nothing, {"a": "not sent"}, 1, 0.0
    )


def test_a_receipt_keeps_no_hold_of_what_it_was_made_from() -> None:
    failed = {"a": "lost"}
    receipt = WriteReceipt.unknown("k", STAMP, failed=failed, required=1, elapsed=0.5)
    failed["b"] = "later"
    assert receipt.failed == {"a": "lost"}
