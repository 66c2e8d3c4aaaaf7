"""What the simulator takes for older than may be, and what it does not."""

from __future__ import annotations

import pytest

from redrepl.testing.history import Outcome
from redrepl.values.operation import SET
from redrepl.values.stamp import Stamp
from tests.simulation.clients import ClientHistory

KEY = "x"
EARLIER, OLDEST, LATER = Stamp(1, 1), Stamp(2, 1), Stamp(3, 1)


@pytest.mark.parametrize(
    ("stamp", "may_be"),
    [(EARLIER, False), (OLDEST, True), (LATER, True), (None, True)],
    ids=["before it", "the very one", "after it", "of unknown outcome"],
)
def test_only_a_value_with_a_deadline_that_may_stand_can_have_been_dropped(
    stamp: Stamp | None, may_be: bool
) -> None:
    history = ClientHistory(0)
    write = history.begin("client1", KEY, SET, 0, "value")
    assert not history.may_be_dropped(KEY, OLDEST), "without a deadline nothing goes"
    history.mortal[write] = stamp
    assert history.may_be_dropped(KEY, OLDEST) is may_be
    assert not history.may_be_dropped("y", OLDEST)
    history.end(write, 1, Outcome.REJECTED)
    assert not history.may_be_dropped(KEY, OLDEST)
