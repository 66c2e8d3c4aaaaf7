"""What a key holds in the end is compared with what was acknowledged."""

from __future__ import annotations

import pytest

from redrepl.testing.history import Operation
from redrepl.testing.model import Content
from redrepl.values.operation import ADD, COMPARE_AND_SET, DELETE, INCREMENT, SET
from redrepl_cli.chaos.survival import lost_writes
from tests.chaos.support.runs import read
from tests.support.histories import done, rejected, unknown


def problem(history: list[Operation], held: Content) -> str | None:
    found = lost_writes(history, [read(1000, held, key="k")])
    return found[0] if found else None


@pytest.mark.parametrize(
    ("history", "held"),
    [
        ([], None),
        ([done(SET, 1, 2, "x")], "x"),
        ([done(SET, 1, 2, "x"), done(SET, 3, 4, "y")], "y"),
        ([done(SET, 1, 9, "x"), done(SET, 2, 8, "y")], "x"),
        ([done(SET, 1, 2, "x"), done(DELETE, 3, 4)], None),
        ([done(SET, 1, 2, "x"), unknown(DELETE, 3)], None),
        ([done(SET, 1, 2, "x"), unknown(SET, 3, "y")], "y"),
        ([done(SET, 1, 2, "x"), unknown(SET, 3, "y")], "x"),
        ([done(SET, 1, 2, "x"), done(ADD, 3, 4, "y", answer=False)], "x"),
        ([done(INCREMENT, 1, 2, 5, answer=5), unknown(INCREMENT, 3, 7)], 12),
        ([done(INCREMENT, 1, 2, 5, answer=5), unknown(INCREMENT, 3, 7)], 5),
        ([unknown(INCREMENT, 3, 7)], None),
    ],
)
def test_what_may_be_held(history: list[Operation], held: Content) -> None:
    assert problem(history, held) is None


@pytest.mark.parametrize(
    ("history", "held", "said"),
    [
        ([done(SET, 1, 2, "x")], None, "acknowledged after that was: c set('k', 'x')"),
        (
            [done(SET, 1, 2, "x"), done(SET, 3, 4, "y")],
            "x",
            "acknowledged after that was: c set('k', 'y')",
        ),
        (
            [done(SET, 1, 2, "x"), done(DELETE, 3, 4)],
            "x",
            "acknowledged after that was: c delete('k')",
        ),
        (
            [done(DELETE, 1, 2), done(COMPARE_AND_SET, 3, 4, "y", expected="x")],
            None,
            "compare_and_set",
        ),
        ([done(SET, 1, 2, "x")], "z", "which nobody wrote"),
        ([done(SET, 1, 2, "x"), rejected(SET, 3, 4, "y")], "y", "which nobody wrote"),
        ([done(INCREMENT, 1, 2, 5, answer=5), done(INCREMENT, 3, 4, 7, answer=12)], 7, "make 12"),
        (
            [done(INCREMENT, 1, 2, 5, answer=5), unknown(INCREMENT, 3, 7)],
            17,
            "with unknown ones 12",
        ),
    ],
)
def test_what_must_not_be_held(history: list[Operation], held: Content, said: str) -> None:
    found = problem(history, held)
    assert found is not None
    assert said in found


def test_writes_after_the_read_do_not_count() -> None:
    later = done(SET, 2_000_000_000_000, 2_000_000_000_001, "later")
    assert problem([done(SET, 1, 2, "x"), later], "x") is None
