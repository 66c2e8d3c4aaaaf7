"""Programs of the simulation go by the library's rule for servers that restart in the middle of a
plan.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from redrepl.edges.admission import Purpose
from redrepl.plans.steps import Steps
from redrepl.values.effects import PlainCommand, Plan
from redrepl.values.errors import Unavailable
from tests.simulation.programs import Program, Script
from tests.simulation.quiet import quiet_cluster
from tests.simulation.simulation import LAYOUT
from tests.simulation.world import in_virtual_time


@pytest.fixture(autouse=True)
def _virtual_time() -> Iterator[None]:
    with in_virtual_time():
        yield


class Asking:
    """One program asks a node twice in one plan, and its server restarts in between; then it asks
    in another plan.
    """

    def __init__(self, purpose: Purpose) -> None:
        self.simulation = quiet_cluster()
        self.world = self.simulation.world
        self.answers: list[object] = []
        self.program = Program("asking", self.simulation.network, LAYOUT, purpose, 1.0)

    def carry_out(self) -> list[object]:
        """What it was told: in the first plan twice, and in the second one once."""
        self.program.start(self._script())
        self.world.run(10.0, lambda: len(self.answers) == 3)
        return self.answers

    def _script(self) -> Script:
        yield self._twice()
        yield self._once()

    def _twice(self) -> Plan[None]:
        yield from self._once()
        machine = self.simulation.network.machines["b"]
        machine.kill()
        machine.start()
        # Whatever is left of the old connection is found to be gone by this, not by the question
        # that counts.
        with pytest.raises(Unavailable):
            yield from self._ask()
        yield from self._once()

    def _once(self) -> Plan[None]:
        try:
            self.answers.append((yield from self._ask()))
        except Unavailable as error:
            self.answers.append(error.evidence["b"])

    def _ask(self) -> Plan[object]:
        return (
            yield from Steps(self.world.now).ask("b", PlainCommand((b"INFO", b"server")), "asking")
        )


def test_upkeep_does_not_go_on_with_a_node_that_restarted_in_the_middle_of_a_plan() -> None:
    first, second, afterwards = Asking(Purpose.MAINTAIN).carry_out()
    assert isinstance(first, bytes)
    assert second == "restarted meanwhile: what it held a moment ago may be gone"
    assert isinstance(afterwards, bytes), (
        "the next plan concludes nothing from what the one before was told"
    )


def test_others_ask_the_server_as_it_is_now() -> None:
    first, second, _ = Asking(Purpose.DISCOVER).carry_out()
    assert isinstance(first, bytes)
    assert isinstance(second, bytes)
