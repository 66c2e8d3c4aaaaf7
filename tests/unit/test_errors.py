"""Errors carry their evidence, and come through pickle with all of it."""

from __future__ import annotations

import pickle

import pytest

from redrepl.plans.view import EpochMoved
from redrepl.values import errors
from redrepl.values.receipt import Outcome, WriteReceipt
from redrepl.values.stamp import Stamp

RECEIPT = WriteReceipt(
    "key",
    Stamp(5, 1),
    Outcome.UNKNOWN,
    False,
    frozenset("a"),
    frozenset("b"),
    {"c": "down"},
    1,
    0.5,
)
OTHER = RECEIPT._replace(key=b"other", outcome=Outcome.REJECTED)
PLAIN = [
    errors.RedreplError,
    errors.ConfigError,
    errors.RequestError,
    errors.Unavailable,
    errors.NotAReplicatedRecord,
    errors.UndecodableValue,
    EpochMoved,
]
WRITES = [errors.WriteFailure, errors.WriteNotConfirmed, errors.ClockSkew, errors.WriteRejected]


def _all_classes(base: type[errors.RedreplError]) -> set[type[errors.RedreplError]]:
    return {base}.union(*(_all_classes(child) for child in base.__subclasses__()))


def test_no_class_is_left_out() -> None:
    ours = {
        found for found in _all_classes(errors.RedreplError) if found.__module__ == errors.__name__
    }
    assert ours | {EpochMoved} == set(PLAIN) | set(WRITES) | {errors.TransactionConflict}


@pytest.mark.parametrize("kind", PLAIN)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_errors_come_through_pickle(kind: type[errors.RedreplError], protocol: int) -> None:
    error = kind("what happened", {"b": "down", "a": "slow"})
    copy = pickle.loads(pickle.dumps(error, protocol))
    assert type(copy) is kind
    assert (copy.message, copy.evidence, str(copy)) == (error.message, error.evidence, str(error))


@pytest.mark.parametrize("kind", WRITES)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_failed_writes_come_through_pickle_with_their_receipts(
    kind: type[errors.WriteFailure], protocol: int
) -> None:
    error = kind("not confirmed", RECEIPT, {"b": "no answer"}, [RECEIPT, OTHER])
    copy = pickle.loads(pickle.dumps(error, protocol))
    assert type(copy) is kind
    assert (copy.receipt, copy.receipts, copy.evidence) == (
        RECEIPT,
        (RECEIPT, OTHER),
        {"b": "no answer"},
    )
    assert str(copy) == str(error) == "not confirmed (b: no answer)"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_conflicts_come_through_pickle_with_what_stands(protocol: int) -> None:
    error = errors.TransactionConflict("changed", {"x": Stamp(5, 1), b"y": None}, {"a": "conflict"})
    copy = pickle.loads(pickle.dumps(error, protocol))
    assert type(copy) is errors.TransactionConflict
    assert (copy.standing, copy.evidence) == ({"x": Stamp(5, 1), b"y": None}, {"a": "conflict"})
    assert str(copy) == str(error) == "changed (a: conflict)"


def test_a_failed_write_tells_by_itself_why_copies_failed() -> None:
    error = errors.WriteNotConfirmed("not confirmed", RECEIPT)
    assert (error.evidence, error.receipts) == ({"c": "down"}, (RECEIPT,))
    assert errors.WriteNotConfirmed("not confirmed", RECEIPT, {}).evidence == {}


def test_the_text_names_every_node_in_order() -> None:
    assert (
        str(errors.Unavailable("no copy", {"b": "down", "a": "slow"}))
        == "no copy (a: slow; b: down)"
    )
    assert str(errors.Unavailable("no copy")) == "no copy"


def test_evidence_is_the_errors_own() -> None:
    evidence = {"a": "slow"}
    error = errors.Unavailable("no copy", evidence)
    evidence["b"] = "down"
    assert error.evidence == {"a": "slow"}


def test_a_callers_mistake_is_a_value_error() -> None:
    assert issubclass(errors.RequestError, ValueError)
    assert not issubclass(errors.ConfigError, ValueError)
