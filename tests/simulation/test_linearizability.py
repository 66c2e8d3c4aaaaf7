"""The checker: right and wrong histories, and the same verdicts as trying all orders."""

from __future__ import annotations

import itertools
from random import Random

import pytest

from tests.simulation.linearizability import (
    ADD,
    COMPARE,
    DELETE,
    GET,
    INCREMENT,
    NEVER,
    SET,
    Operation,
    Value,
    Verdict,
    check_key,
)


def op(kind: str, invoked: float, returned: float = NEVER, value: Value = None, **more: object) -> Operation:
    return Operation("p", "k", kind, invoked, value, returned=returned, **more)  # type: ignore[arg-type]


RIGHT = {
    "nothing": [],
    "a write and its read": [op(SET, 0, 1, b"x"), op(GET, 2, 3, result=b"x")],
    "a read beside a write sees it or not": [
        op(SET, 0, 10, b"x"),
        op(GET, 1, 2, result=None),
        op(GET, 3, 4, result=b"x"),
    ],
    "an unknown write takes effect late": [
        op(SET, 0, NEVER, b"x"),
        op(SET, 1, 2, b"y"),
        op(GET, 3, 4, result=b"y"),
        op(GET, 5, 6, result=b"x"),
    ],
    "an unknown write never takes effect": [op(SET, 0, NEVER, b"x"), op(GET, 5, 6, result=None)],
    "an unknown delete": [op(SET, 0, 1, b"x"), op(DELETE, 2), op(GET, 3, 4, result=None)],
    "add and compare": [
        op(ADD, 0, 1, b"x"),
        op(ADD, 2, 3, b"y", applied=False),
        op(COMPARE, 4, 5, b"z", expected=b"x"),
        op(COMPARE, 6, 7, b"w", expected=b"x", applied=False),
        op(GET, 8, 9, result=b"z"),
    ],
    "an unknown write makes an add fail": [op(SET, 0, NEVER, b"x"), op(ADD, 1, 2, b"y", applied=False)],
    "increments": [
        op(INCREMENT, 0, 1, b"1", result=b"1"),
        op(INCREMENT, 2, NEVER, b"2"),
        op(INCREMENT, 3, 4, b"4", result=b"7"),
    ],
}
WRONG = {
    "a stale read": [op(SET, 0, 1, b"x"), op(SET, 2, 3, b"y"), op(GET, 4, 5, result=b"x")],
    "a value nobody wrote": [op(GET, 0, 1, result=b"x")],
    "a lost write": [op(SET, 0, 1, b"x"), op(GET, 2, 3, result=None)],
    "new and then old": [op(SET, 0, NEVER, b"x"), op(GET, 1, 2, result=b"x"), op(GET, 3, 4, result=None)],
    "an unknown write that takes effect twice": [
        op(SET, 0, NEVER, b"x"),
        op(GET, 1, 2, result=b"x"),
        op(SET, 3, 4, b"y"),
        op(GET, 5, 6, result=b"x"),
    ],
    "two adds": [op(ADD, 0, 1, b"x"), op(ADD, 2, 3, b"y")],
    "a comparison with what was replaced": [
        op(SET, 0, 1, b"x"),
        op(SET, 2, 3, b"y"),
        op(COMPARE, 4, 5, b"z", expected=b"x"),
    ],
    "an increment that counted twice": [
        op(INCREMENT, 0, 1, b"1", result=b"1"),
        op(INCREMENT, 2, NEVER, b"2"),
        op(INCREMENT, 3, 4, b"4", result=b"9"),
    ],
}


@pytest.mark.parametrize("name", list(RIGHT))
def test_what_can_be_explained(name: str) -> None:
    assert check_key(RIGHT[name]) is Verdict.LINEARIZABLE


@pytest.mark.parametrize("name", list(WRONG))
def test_what_cannot_be_explained(name: str) -> None:
    assert check_key(WRONG[name]) is Verdict.VIOLATED


def test_a_search_that_is_too_long_is_given_up() -> None:
    many = [op(SET, 0, 100, b"%d" % number) for number in range(12)]
    assert check_key([*many, op(GET, 200, 201, result=b"x")], most_states=100) is Verdict.GAVE_UP


def by_all_orders(operations: list[Operation]) -> Verdict:
    """Try every order of every choice of unknown operations."""
    known = [operation for operation in operations if operation.is_known]
    unknown = [operation for operation in operations if not operation.is_known and operation.kind != GET]
    for count in range(len(unknown) + 1):
        for chosen in itertools.combinations(unknown, count):
            for order in itertools.permutations([*known, *chosen]):
                if _explains(order):
                    return Verdict.LINEARIZABLE
    return Verdict.VIOLATED


def _explains(order: tuple[Operation, ...]) -> bool:
    value: Value = None
    for number, operation in enumerate(order):
        if not operation.fits(value) or any(later.returned < operation.invoked for later in order[number:]):
            return False
        value = value if operation.is_read else operation.after(value)
    return True


def random_history(random: Random) -> list[Operation]:
    found: list[Operation] = []
    for number in range(random.randint(2, 6)):
        kind = random.choice((SET, SET, DELETE, ADD, COMPARE, GET, GET))
        invoked = random.random() * 10
        returned = NEVER if random.random() < 0.3 else invoked + random.random() * 4
        seen = random.choice([None, *(b"%d" % each for each in range(6))])
        applied = kind not in (ADD, COMPARE) or returned == NEVER or random.random() < 0.6
        value = b"%d" % number if kind in (SET, ADD, COMPARE) else None
        expected = seen if kind == COMPARE else None
        found.append(Operation("p", "k", kind, invoked, value, expected, returned, applied, seen))
        if kind != GET:
            found[-1].result = None
    return found


def test_the_verdict_is_that_of_trying_all_orders() -> None:
    random = Random(1)
    verdicts = set()
    for _ in range(600):
        history = random_history(random)
        expected = by_all_orders(history)
        assert check_key(history) is expected, "\n".join(map(str, history))
        verdicts.add(expected)
    assert verdicts == {Verdict.LINEARIZABLE, Verdict.VIOLATED}


@pytest.mark.parametrize(("read", "verdict"), [(b"b", Verdict.LINEARIZABLE), (b"a", Verdict.VIOLATED)])
def test_any_number_of_writes_that_nobody_saw_is_soon_decided(read: bytes, verdict: Verdict) -> None:
    unseen = [op(SET, number / 100, value=b"unseen %d" % number) for number in range(50)]
    known = [op(SET, 1, 2, value=b"a"), op(SET, 3, 4, value=b"b"), op(GET, 5, 6, result=read)]
    turned_down = op(COMPARE, 7, 8, value=b"c", expected=b"b", applied=False)
    assert check_key([*unseen, *known, turned_down], most_states=1000) is verdict
