"""The checker: it finds what is wrong, accepts what is right, agrees with the definition, and is
fast enough.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redrepl.testing.history import Operation, Outcome
from redrepl.testing.linearizability import UNSEEN, KeyVerdict, check, check_key
from redrepl.testing.model import Content
from redrepl.testing.naive import is_explained_by_some_order
from redrepl.values.operation import (
    ADD,
    COMPARE_AND_SET,
    DELETE,
    EXPIRE,
    GET,
    INCREMENT,
    OPERATIONS,
    SET,
    Condition,
    Result,
    Way,
)
from tests.support.histories import FAMILIES, done, linearizable_history, rejected, unknown

RIGHT = {
    "nothing happened": [],
    "absent at first": [done(GET, 1, 2)],
    "a read of what was set": [done(SET, 1, 2, "x"), done(GET, 3, 4, answer="x")],
    "a read beside a write may see it": [done(SET, 1, 9, "x"), done(GET, 2, 3, answer="x")],
    "a read beside a write may miss it": [done(SET, 1, 9, "x"), done(GET, 2, 3)],
    "touching times count as concurrent": [done(SET, 1, 5, "x"), done(GET, 5, 6)],
    "two writes at once in either order": [
        done(SET, 1, 9, "x"),
        done(SET, 2, 8, "y"),
        done(GET, 10, 11, answer="x"),
    ],
    "a delete": [done(SET, 1, 2, "x"), done(DELETE, 3, 4), done(GET, 5, 6)],
    "add where nothing is": [
        done(ADD, 1, 2, "x"),
        done(ADD, 3, 4, "y", answer=False),
        done(GET, 5, 6, answer="x"),
    ],
    "compare_and_set": [
        done(SET, 1, 2, "x"),
        done(COMPARE_AND_SET, 3, 4, "y", expected="x"),
        done(COMPARE_AND_SET, 5, 6, "z", answer=False, expected="x"),
        done(GET, 7, 8, answer="y"),
    ],
    "increments at once": [done(INCREMENT, 1, 9, 2, answer=5), done(INCREMENT, 2, 8, 3, answer=3)],
    "an unknown write that never happens": [unknown(SET, 1, "x", returned=2), done(GET, 3, 4)],
    "an unknown write that happens late": [
        unknown(SET, 1, "x", returned=2),
        done(GET, 3, 4),
        done(SET, 5, 6, "y"),
        done(GET, 7, 8, answer="y"),
        done(GET, 9, 10, answer="x"),
    ],
    "an unknown delete explains an add": [
        done(SET, 1, 2, "x"),
        unknown(DELETE, 3),
        done(ADD, 4, 5, "y"),
        done(GET, 6, 7, answer="y"),
    ],
    "unknown writes one upon the other": [
        unknown(SET, 1, "x"),
        unknown(COMPARE_AND_SET, 2, "y", expected="x"),
        done(GET, 3, 4, answer="y"),
    ],
    "some unknown increments": [
        *(unknown(INCREMENT, time, amount) for time, amount in enumerate((1, 20, 300))),
        done(INCREMENT, 5, 6, 4000, answer=4301),
        done(GET, 7, 8, answer=4321),
    ],
    "a read beside a write sees it, or does not yet": [
        done(SET, 0, 10, "x"),
        done(GET, 1, 2),
        done(GET, 3, 4, answer="x"),
    ],
    "an unknown write makes an add fail": [
        unknown(SET, 0, "x"),
        done(ADD, 1, 2, "y", answer=False),
    ],
    "add and comparisons in a row": [
        done(ADD, 0, 1, "x"),
        done(ADD, 2, 3, "y", answer=False),
        done(COMPARE_AND_SET, 4, 5, "z", expected="x"),
        done(COMPARE_AND_SET, 6, 7, "w", answer=False, expected="x"),
        done(GET, 8, 9, answer="z"),
    ],
    "an expire of a value and of nothing": [
        done(EXPIRE, 0, 1, answer=False),
        done(SET, 2, 3, "x"),
        done(EXPIRE, 4, 5, answer=True),
        done(GET, 6, 7, answer="x"),
    ],
    "a comparison with an absent key": [
        done(COMPARE_AND_SET, 0, 1, "x"),
        done(COMPARE_AND_SET, 2, 3, "y", answer=False),
        done(GET, 4, 5, answer="x"),
    ],
    "an increment of a text that failed": [
        done(SET, 0, 1, "x"),
        unknown(INCREMENT, 2, 1),
        done(GET, 3, 4, answer="x"),
    ],
    "a rejected write": [rejected(SET, 1, 2, "x"), done(GET, 3, 4)],
    "a read without an answer": [
        done(SET, 1, 2, "x"),
        Operation("c", "k", GET, 3, returned=4, answer="never seen"),
    ],
}
WRONG = {
    "a stale read": [done(SET, 1, 2, "x"), done(SET, 3, 4, "y"), done(GET, 5, 6, answer="x")],
    "reads that go back": [
        done(SET, 1, 20, "x"),
        done(GET, 2, 3, answer="x"),
        done(GET, 4, 5),
    ],
    "a lost write": [done(SET, 1, 2, "x"), done(GET, 3, 4)],
    "a lost update": [
        done(INCREMENT, 1, 2, 1, answer=1),
        done(INCREMENT, 3, 9, 1, answer=2),
        done(INCREMENT, 4, 8, 1, answer=2),
    ],
    "two winners of one comparison": [
        done(SET, 1, 2, "x"),
        done(COMPARE_AND_SET, 3, 9, "y", expected="x"),
        done(COMPARE_AND_SET, 4, 8, "z", expected="x"),
    ],
    "two adds": [done(ADD, 1, 9, "x"), done(ADD, 2, 8, "y")],
    "a value that nobody wrote": [done(GET, 1, 2, answer="x")],
    "a rejected write that happened": [rejected(SET, 1, 2, "x"), done(GET, 3, 4, answer="x")],
    "an unknown write that happens twice": [
        unknown(SET, 1, "x", returned=2),
        done(GET, 3, 4, answer="x"),
        done(SET, 5, 6, "y"),
        done(GET, 7, 8, answer="x"),
    ],
    "an unknown increment that counts twice": [
        unknown(INCREMENT, 1, 5, returned=2),
        done(INCREMENT, 3, 4, 1, answer=11),
    ],
    "an unknown write before it was begun": [done(GET, 1, 2, answer="x"), unknown(SET, 3, "x")],
    "a delete that came back": [
        done(SET, 1, 2, "x"),
        done(DELETE, 3, 4),
        done(GET, 5, 6),
        done(GET, 7, 8, answer="x"),
    ],
    "new and then old": [unknown(SET, 0, "x"), done(GET, 1, 2, answer="x"), done(GET, 3, 4)],
    "a comparison with what was replaced": [
        done(SET, 0, 1, "x"),
        done(SET, 2, 3, "y"),
        done(COMPARE_AND_SET, 4, 5, "z", expected="x"),
    ],
    "an expire that was applied to nothing": [done(EXPIRE, 0, 1, answer=True)],
    "an increment of a text": [done(SET, 0, 1, "x"), done(INCREMENT, 2, 3, 1, answer=1)],
    "a failed add where nothing was": [done(ADD, 1, 2, "x", answer=False)],
}


def verdict(history: list[Operation]) -> KeyVerdict:
    return check_key("k", history)


@pytest.mark.parametrize("name", RIGHT)
def test_what_an_order_explains_is_accepted(name: str) -> None:
    assert is_explained_by_some_order(RIGHT[name])
    assert verdict(RIGHT[name]).is_linearizable


@pytest.mark.parametrize("name", WRONG)
def test_what_no_order_explains_is_found(name: str) -> None:
    assert not is_explained_by_some_order(WRONG[name])
    found = verdict(WRONG[name])
    assert found.violation is not None
    assert found.violation.operation in WRONG[name]


def test_a_violation_tells_what_was_read_and_what_was_possible() -> None:
    found = verdict(WRONG["a stale read"]).violation
    assert found is not None
    assert (found.operation.answer, found.possible) == ("x", (UNSEEN,))
    assert [each.argument for each in found.before] == ["x", "y"]
    text = str(found)
    assert "c get('k') -> 'x' ok" in text
    assert f"before it the key held {UNSEEN}" in text
    assert "c set('k', 'y') ok" in text


def test_each_key_is_judged_alone() -> None:
    history = [
        done(SET, 1, 2, "x", key="right"),
        done(GET, 3, 4, answer="x", key="right"),
        done(SET, 1, 2, "x", key="wrong"),
        done(GET, 3, 4, key="wrong"),
    ]
    assert [(each.key, each.is_linearizable, each.operations) for each in check(history)] == [
        ("right", True, 2),
        ("wrong", False, 2),
    ]


def test_a_search_that_takes_too_long_says_so() -> None:
    found = check_key("k", linearizable_history(200, 5, 1), most_steps=100)
    assert found.gave_up
    assert not found.is_linearizable
    assert found.violation is None


def contents() -> st.SearchStrategy[Content]:
    return st.sampled_from([None, "x", "y", "xy"])


@st.composite
def tiny_histories(draw: st.DrawFn) -> list[Operation]:
    """A handful of operations, mostly at the same time, with few values, so that many are right and
    many are wrong.
    """
    found = []
    counter = draw(st.booleans())
    for _ in range(draw(st.integers(1, 6))):
        left_out = bytes if counter else int
        kind = draw(
            st.sampled_from([kind for kind in OPERATIONS if kind.argument.type is not left_out])
        )
        invoked = draw(st.integers(0, 12))
        returned = invoked + draw(st.integers(1, 8))
        argument: Content = None
        answer: Content = None
        if kind.argument.type is not None:
            is_number = kind.argument.type is int
            argument = (
                draw(st.integers(1, 2)) if is_number else draw(st.sampled_from(["x", "y", "z"]))
            )
        if kind.result is Result.VALUE:
            answer = draw(st.sampled_from([None, 1, 2, 3]) if counter else contents())
        elif kind.result is Result.NUMBER:
            answer = draw(st.integers(1, 4))
        elif kind.is_conditional:
            answer = draw(st.booleans())
        expected = draw(contents()) if kind.condition is Condition.VERSION else None
        outcome = draw(st.sampled_from([Outcome.OK, Outcome.OK, Outcome.UNKNOWN, Outcome.REJECTED]))
        found.append(
            Operation("c", "k", kind, invoked, argument, expected, returned, outcome, answer)
        )
    return found


@settings(max_examples=2000, deadline=None)
@given(tiny_histories())
def test_it_agrees_with_the_definition(history: list[Operation]) -> None:
    assert verdict(history).is_linearizable == is_explained_by_some_order(history)


@pytest.mark.parametrize(("read", "is_right"), [("b", True), ("a", False)])
def test_any_number_of_writes_that_no_answer_names_is_soon_decided(
    read: str, is_right: bool
) -> None:
    unseen = [unknown(SET, number, f"unseen {number}") for number in range(50)]
    known = [done(SET, 100, 200, "a"), done(SET, 300, 400, "b"), done(GET, 500, 600, answer=read)]
    turned_down = done(COMPARE_AND_SET, 700, 800, "c", answer=False, expected="b")
    found = check_key("k", [*unseen, *known, turned_down], most_steps=1000)
    assert not found.gave_up
    assert found.is_linearizable is is_right


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("seed", range(4))
def test_what_a_store_did_is_accepted_and_a_changed_answer_is_not(seed: int, family: str) -> None:
    history = linearizable_history(3000, 5, seed, unknown_share=0.01, family=family)
    found = verdict(history)
    assert found.is_linearizable, found.violation
    assert found.steps < 40 * len(history)
    reads = [
        number
        for number, operation in enumerate(history)
        if operation.kind.way is Way.READ and operation.answer
    ]
    middle = history[reads[len(reads) // 2]]
    wrong = replace(middle, answer=-1 if isinstance(middle.answer, int) else "never")
    changed = [
        wrong if number == reads[len(reads) // 2] else op for number, op in enumerate(history)
    ]
    if wrong.outcome is Outcome.OK:
        assert verdict(changed).violation is not None
