"""The actor that lies: each of its lies changes something, and none of its answers promises
anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest

from redrepl.values.answers import is_ours
from redrepl.values.effects import PlainCommand, ScriptCall
from tests.simulation.lies import LIES, Lair, Told, rubbish
from tests.simulation.network import Machine
from tests.simulation.results import Verdict
from tests.simulation.settings import PROFILES, draw
from tests.simulation.simulation import LAYOUT, Simulation, simulate
from tests.simulation.sources import library_sources
from tests.simulation.world import World, in_virtual_time


@pytest.fixture(autouse=True)
def _virtual_time() -> Iterator[None]:
    with in_virtual_time():
        yield


@pytest.fixture
def simulation() -> Simulation:
    """A history that has just begun; some writes are in the logs."""
    world = World(1)
    begun = Simulation(
        world, draw(world.stream("settings"), PROFILES["calm"], 3), library_sources()
    )
    world.run(2.0)
    return begun


def held(machine: Machine) -> dict[bytes, str]:
    data = machine.server.data
    return {name: repr(machine.ask(PlainCommand((b"DUMP", name)))) for name in data}


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.name)
def test_each_lie_is_told(simulation: Simulation, lie: Told) -> None:
    machine = simulation.network.machines["c"]
    if lie.name == "an earlier epoch":
        for each in simulation.network.machines.values():
            each.ask(PlainCommand((b"HSET", LAYOUT.member, b"epoch", 5)))
    before = held(machine)
    for seed in range(8):  # some say now and then what is so
        lie.tell(Lair("c", machine.ask, LAYOUT, simulation.topology, Random(seed)))
    assert held(machine) != before


@pytest.mark.parametrize("fenced", ["", "b", "c", "bc"])
def test_no_replica_goes_back_from_an_epoch_that_a_failover_has_begun(fenced: str) -> None:
    """The topology is not told yet, and the primary serves in the epoch before: both would have a
    majority.
    """
    world = World(1)
    begun = Simulation(
        world, draw(world.stream("settings"), PROFILES["liars"], 3), library_sources()
    )
    machines = begun.network.machines
    for node in fenced:
        machines[node].ask(PlainCommand((b"HSET", LAYOUT.member, b"epoch", 2, b"state", b"fenced")))
    assert begun.liars is not None
    assert begun.liars.is_in_two_majorities(begun.topology, machines, machines["b"]) is bool(fenced)


def test_rubbish_promises_nothing() -> None:
    write = ScriptCall("write", (b"m", b"l", b"k"), ())
    refused, random = [b"refused", b"1", b"active"], Random(1)
    for _ in range(2000):
        found = rubbish(random, write, refused)
        assert not is_ours(write, found) or found[0] == b"refused"


@pytest.mark.parametrize("seed", [1, 17, 3003357, 3003361, 3002264])
def test_histories_in_which_one_lies(seed: int) -> None:
    """Without a measure of docs/protocol.md, 5.8, these come to another end."""
    result = simulate(seed, profile=PROFILES["liars"])
    assert result.verdict is Verdict.RIGHT, result.details
