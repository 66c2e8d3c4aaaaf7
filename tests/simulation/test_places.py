"""Servers that come into members' places ask no more than is promised: of restarts, and of files
that name members.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from redrepl.edges.admission import Purpose
from redrepl.values.topology import Topology
from tests.simulation.network import address_of
from tests.simulation.places import Places
from tests.simulation.programs import Program
from tests.simulation.settings import PROFILES, draw
from tests.simulation.simulation import LAYOUT, Simulation
from tests.simulation.sources import library_sources
from tests.simulation.world import World, in_virtual_time


@pytest.fixture
def simulation() -> Iterator[Simulation]:
    with in_virtual_time():
        world = World(1)
        settings = draw(world.stream("settings"), PROFILES["twins"], 3)._replace(restarts=1)
        yield Simulation(world, settings, library_sources())


def moved(topology: Topology, *nodes: str) -> Topology:
    for node in nodes:
        topology = topology.with_replaced(
            replace(topology.member(node), url=address_of(f"{node}2"), identity="new")
        )
    return topology


def where_it_looks(simulation: Simulation, topology: Topology) -> dict[str, str]:
    """The addresses of a program that starts when the members are these."""
    program = Program("late", simulation.network, LAYOUT, Purpose.MAINTAIN, 1.0, 0.0)
    Places(simulation.network, simulation.random, simulation.faults, lambda: topology).tell(program)
    return {node: program.reached_urls[node] for node in "abc"}


def test_a_member_that_is_killed_to_be_replaced_has_restarted(
    simulation: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its place may not be given away after all.

    Another one that restarts beside it leaves no majority.
    """
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


def test_a_file_is_brought_up_to_date_when_none_of_its_addresses_leads_to_a_member(
    simulation: Simulation,
) -> None:
    first = {node: address_of(node) for node in "abc"}
    two_are_elsewhere = moved(simulation.topology, "a", "b")
    assert where_it_looks(simulation, simulation.topology) == first
    assert where_it_looks(simulation, two_are_elsewhere) == first, (
        "the one that is left leads to them"
    )
    everywhere_else = {node: address_of(f"{node}2") for node in "abc"}
    assert where_it_looks(simulation, moved(two_are_elsewhere, "c")) == everywhere_else
