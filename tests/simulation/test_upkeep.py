"""What those do who look after the simulated cluster, beside what they find."""

from __future__ import annotations

from random import Random
from types import SimpleNamespace
from typing import Any

from redrepl.plans.epochs.failover import FailoverOrder, fail_over
from redrepl.plans.epochs.membership import Tolerances
from redrepl.plans.recovery.upkeep import Retention
from tests.simulation.programs import Script
from tests.simulation.upkeep import Count, Customs, take_up
from tests.unit.support.coming_in import with_former_member
from tests.unit.support.in_memory import Nodes


def carry_out(nodes: Nodes, script: Script) -> None:
    """Every plan of a script, one after the other."""
    answer: Any = None
    try:
        while True:
            answer = nodes.run(script.send(answer))
    except StopIteration:
        return


def test_an_operator_gives_a_former_member_its_place_where_workers_leave_that_to_one() -> None:
    """Whoever added it died, and the role moved since: `redrepl nodes replace` with its own
    address, as is logged.
    """
    nodes = with_former_member()
    nodes.run(fail_over(nodes.layout, nodes.first.ids, FailoverOrder(nodes.at, "b", planned=True)))
    retention = Retention(0.1, 0, 100)
    customs = Customs(
        nodes.layout, nodes.first.ids, Tolerances(), retention, 1.0, 1.0, True, 0.1, 0.1, 0.1, False
    )
    program: Any = SimpleNamespace(
        now=lambda: nodes.at, wall_ahead_seconds=None, world=SimpleNamespace(is_traced=False)
    )
    count = Count()
    carry_out(nodes, take_up(program, customs, Random(1), count))
    assert count.by_name == {"replace": 1}
    assert nodes.bring_up("d").activated
