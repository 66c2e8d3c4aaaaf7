"""A simulated cluster in which nothing happens by itself: for tests and scenarios that say what
does.
"""

from __future__ import annotations

from random import Random

from tests.simulation.settings import PROFILES, Settings, draw
from tests.simulation.simulation import Simulation
from tests.simulation.sources import library_sources
from tests.simulation.world import World


def quiet_settings(copies: int = 3) -> Settings:
    """No programs, no faults, clocks that agree, and connections that never break."""
    settings = draw(Random(0), PROFILES["calm"], copies)
    return settings._replace(
        clients=0,
        workers=0,
        monitors=0,
        operators=0,
        changers=0,
        skew_seconds=0.0,
        break_rate=0.0,
        fails_over=True,
        sweeps=False,
        tick_seconds=0.1,
        habits=settings.habits._replace(timeout_seconds=1.0, pause_seconds=0.0, keys=("x",)),
    )


def quiet_cluster(copies: int = 3, seed: int = 1, settings: Settings | None = None) -> Simulation:
    """A cluster whose members serve, in epoch 1 with the primary ``a``.

    To be called inside `in_virtual_time`.
    """
    simulation = Simulation(World(seed), settings or quiet_settings(copies), library_sources())
    for link in simulation.network.links.values():
        link.is_steady = True
    return simulation
