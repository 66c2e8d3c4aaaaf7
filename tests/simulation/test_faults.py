"""Faults do what they say, or nothing: what a history is judged by must have come to pass."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from redrepl.values.effects import PlainCommand
from tests.simulation.faults import LEAST_CONFIRMED
from tests.simulation.settings import PROFILES, draw
from tests.simulation.simulation import LAYOUT, Simulation
from tests.simulation.sources import library_sources
from tests.simulation.world import World, in_virtual_time


@pytest.fixture(autouse=True)
def _virtual_time() -> Iterator[None]:
    with in_virtual_time():
        yield


def _simulation() -> Simulation:
    world = World(1, False)
    return Simulation(world, draw(world.stream("settings"), PROFILES["logs"], 3), library_sources())


def _confirm_a_log(simulation: Simulation) -> None:
    """Each machine has a log of which enough is confirmed elsewhere."""
    cursor = b"%d-0 %d 1" % (LEAST_CONFIRMED, LEAST_CONFIRMED)
    for machine in simulation.network.machines.values():
        for number in range(1, LEAST_CONFIRMED + 1):
            _do(machine, b"XADD", LAYOUT.log, b"%d-0" % number, b"key", b"stamp")
        _do(machine, b"HSET", LAYOUT.cursors, b"x@id-x", cursor)


def _do(machine: Any, *arguments: bytes) -> None:
    machine.ask(PlainCommand(arguments))


def test_a_log_that_is_lost_counts_until_it_was_begun_anew() -> None:
    simulation = _simulation()
    _confirm_a_log(simulation)
    assert simulation.faults._lose_log() is not None
    (lost,) = simulation.faults.forgetful()
    machine = simulation.network.machines[lost]
    assert LAYOUT.log not in machine.server.data
    _do(machine, b"HSET", LAYOUT.member, b"incarnation", b"another")
    assert simulation.faults.forgetful() == []


def test_a_log_that_is_gone_already_is_not_lost_for_a_second_time() -> None:
    """It was noticed, and begun anew, and the cursors of the former one are left for a moment."""
    simulation = _simulation()
    _confirm_a_log(simulation)
    for machine in simulation.network.machines.values():
        _do(machine, b"DEL", LAYOUT.log)
    assert simulation.faults._lose_log() is None
    assert simulation.faults.forgetful() == []
