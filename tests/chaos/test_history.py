"""Logs of clients: what is written is read again, also where the client was killed in the
middle.
"""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from redrepl.testing.history import Operation, Outcome, begun_line, ended_line, read_log
from redrepl.values.operation import ADD, COMPARE_AND_SET, EXPIRE, GET, INCREMENT, OPERATIONS, SET
from redrepl_cli.chaos.workload import is_counter, names_of_keys, steps

ANSWERED = Operation("c1", "key-1", COMPARE_AND_SET, 10, "new", "old", 20, Outcome.OK, False)
FAILED = Operation(
    "c1",
    "counter-4",
    INCREMENT,
    30,
    5,
    None,
    40,
    Outcome.UNKNOWN,
    None,
    "WriteNotConfirmed: why\nnot",
)


def lines_of(*operations: Operation) -> list[str]:
    return [line for each in operations for line in (begun_line(each), ended_line(each))]


def test_what_is_logged_is_read_again() -> None:
    assert read_log("c1", lines_of(ANSWERED, FAILED)) == [ANSWERED, FAILED]


def test_an_operation_without_an_end_is_unknown() -> None:
    (_, last) = read_log("c1", lines_of(ANSWERED, FAILED)[:-1])
    assert (last.outcome, last.returned, last.argument) == (Outcome.UNKNOWN, None, 5)


def test_a_line_cut_short_is_left_out() -> None:
    lines = lines_of(ANSWERED, FAILED)
    assert read_log("c1", [*lines[:2], lines[2][:-1]]) == [ANSWERED]
    assert read_log("c1", [*lines[:3], lines[3][:5]])[-1].outcome is Outcome.UNKNOWN


def test_only_what_changed_the_key_is_a_committed_write() -> None:
    assert not ANSWERED.is_committed_write, "it was not applied"
    assert not FAILED.is_committed_write
    assert not Operation(
        "c", "k", GET, 1, returned=2, outcome=Outcome.OK, answer="x"
    ).is_committed_write
    assert Operation("c", "k", SET, 1, "x", returned=2, outcome=Outcome.OK).is_committed_write
    assert Operation(
        "c", "k", ADD, 1, "x", returned=2, outcome=Outcome.OK, answer=True
    ).is_committed_write


def test_the_workload_never_writes_a_value_twice_and_compares_after_a_read() -> None:
    keys = names_of_keys(10)
    assert [key for key in keys if is_counter(key)] == ["counter-4", "counter-9"]
    plan = steps("c1", keys, random.Random(1))
    taken = [next(plan) for _ in range(5000)]
    values = [step.argument for step in taken if isinstance(step.argument, str)]
    assert len(values) == len(set(values)) > 1000
    once = [step.key for step in taken if step.key.startswith("once-")]
    assert len(once) == len(set(once)) > 100
    assert {step.kind for step in taken if is_counter(step.key)} == {GET, INCREMENT, EXPIRE}
    for before, step in pairwise(taken):
        if step.kind is COMPARE_AND_SET:
            assert (before.kind, before.key) == (GET, step.key)


def test_the_workload_has_every_operation_of_the_table() -> None:
    plan = steps("c1", names_of_keys(10), random.Random(1))
    assert {next(plan).kind for _ in range(2000)} == set(OPERATIONS)


def test_a_log_that_names_no_operation_of_the_table_is_not_read() -> None:
    line = begun_line(ANSWERED).replace("compare_and_set", "compare_and_swap")
    with pytest.raises(ValueError, match="there is no operation 'compare_and_swap'"):
        read_log("c1", [line])
