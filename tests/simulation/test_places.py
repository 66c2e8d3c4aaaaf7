"""Servers that come into members' places ask no more than is promised: of restarts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.simulation.settings import PROFILES, draw
from tests.simulation.simulation import Simulation
from tests.simulation.sources import library_sources
from tests.simulation.world import World, in_virtual_time


@pytest.fixture
def simulation() -> Iterator[Simulation]:
    with in_virtual_time():
        world = World(1)
        settings = draw(world.stream("settings"), PROFILES["twins"], 3)._replace(restarts=1)
        yield Simulation(world, settings, library_sources())


def test_a_member_that_is_killed_to_be_replaced_has_restarted(
    simulation: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its place may not be given away after all. Another one that restarts beside it leaves no majority."""
    monkeypatch.setattr("tests.simulation.places.HARMS", ("kill",))
    simulation.places.harm_former("replacer1", "c")
    assert not simulation.network.machines["c"].is_up
    assert not simulation.faults.may_lose(simulation.network.machines["b2"])


def test_a_machine_that_is_no_member_and_is_killed_counts_as_nothing(
    simulation: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.simulation.places.HARMS", ("kill",))
    simulation.places.harm_former("replacer1", "c2")
    assert simulation.faults.may_lose(simulation.network.machines["b2"])
