"""Invented measurements, for tests of what is made of them."""

from __future__ import annotations

from collections.abc import Sequence

from redrepl_cli.bench.figures import summarise
from redrepl_cli.bench.machine import Engine, machine_facts
from redrepl_cli.bench.memory import Memory
from redrepl_cli.bench.report import Report
from redrepl_cli.bench.rounds import NotMeasured
from redrepl_cli.bench.run import Measurements
from redrepl_cli.bench.settings import Settings
from redrepl_cli.bench.stage import Stage
from redrepl_cli.bench.subjects import Group, Spec, TakeTurn, Turn, Unit

ENGINE = Engine("embedded", "valkey", "9.1.2")
SETTINGS = Settings(rounds=3, operations=2, value_bytes=100, copies=3)


def never_prepared(_stage: Stage) -> TakeTurn:
    """For subjects whose turns are invented."""
    raise AssertionError("the turns of this test are invented")


def turns(*medians: float, units: int = 2) -> list[Turn]:
    """A round for each median, of two calls."""
    return [Turn([median - 1, median + 1], median * 2 / 1e6, units) for median in medians]


def spec(name: str, *baselines: str, unit: Unit = Unit.MICROS) -> Spec:
    """A subject without servers."""
    return Spec(name, never_prepared, baselines, unit)


TIMES = Group(
    "single", "one operation", (spec("base"), spec("own", "base", "other"), spec("other", "base"))
)
RATES = Group(
    "batch",
    "<batches> & more",
    (spec("pipe", unit=Unit.KEYS_PER_SECOND), spec("many", "pipe", unit=Unit.KEYS_PER_SECOND)),
)


def report(not_measured: Sequence[NotMeasured] = (), memory: Memory | None = None) -> Report:
    """Three rounds of five subjects in two groups."""
    times = {"base": turns(10, 20, 40), "own": turns(20, 30, 40), "other": turns(40, 60, 80)}
    rates = {
        "pipe": turns(4000, 5000, 6000, units=1000),
        "many": turns(2000, 5000, 3000, units=1000),
    }
    found = Measurements((TIMES, RATES), memory=memory, not_measured=list(not_measured))
    found.results = [summarise("single", each, times) for each in TIMES.specs]
    found.results += [summarise("batch", each, rates) for each in RATES.specs]
    found.group_seconds = {"single": 1.25, "batch": 0.5}
    return Report("peers", SETTINGS, ENGINE, machine_facts(ENGINE), found)
