"""A member whose answer is long under way tells what the others, who answered before, could not
know yet.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from redrepl.plans.epochs.failover import FailoverOrder, fail_over
from redrepl.values.effects import Command, ScriptCall
from redrepl.values.errors import Unavailable
from tests.unit.support.in_memory import Nodes


def answer_late(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch, *meanwhile: Callable[[], object] | None
) -> None:
    """What happens before c answers at one look after the other, when all others have answered."""
    looks, send = iter(meanwhile), nodes.send

    def late(node: str, command: Command) -> object:
        if node == "c" and isinstance(command, ScriptCall) and command.script == "inspect":
            happen = next(looks, None)
            if happen is not None:
                happen()
        return send(node, command)

    monkeypatch.setattr(nodes, "send", late)


def test_one_that_was_empty_and_is_filled_by_another_worker_keeps_what_it_got(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While its place is given to it, others do the same, and it serves when it answers."""
    nodes = Nodes(3)
    nodes.write("abc", b"key", nodes.value(b"v"))
    nodes.lose_everything("c")

    def fill() -> None:
        monkeypatch.undo()
        while not nodes.bring_up("c").activated:
            pass

    answer_late(nodes, monkeypatch, None, fill)
    with pytest.raises(Unavailable, match="changed while it was being looked at"):
        nodes.bring_up("c")
    assert nodes.report("c").is_serving
    assert nodes.contents("c") == nodes.contents("a")


def test_one_whose_answers_are_late_twice_keeps_its_bookkeeping(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At each of two looks another epoch has begun since the others answered."""
    nodes = Nodes(3)
    later: list[Callable[[], None]] = []

    def begin_epoch() -> None:
        monkeypatch.undo()
        nodes.run(fail_over(nodes.layout, nodes.first.ids, FailoverOrder(nodes.at)))
        if later:
            answer_late(nodes, monkeypatch, later.pop())

    later.append(begin_epoch)
    answer_late(nodes, monkeypatch, begin_epoch)
    with pytest.raises(Unavailable, match="cannot be brought up"):
        nodes.bring_up("c")
    assert (nodes.report("c").epoch, nodes.report("c").is_serving) == (3, True)
