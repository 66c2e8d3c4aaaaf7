"""The verdict on a simulated history: what clients saw, what nodes did, and what is left in the
end.
"""

from __future__ import annotations

from typing import Protocol

from redrepl.testing.history import Operation, Outcome
from redrepl.testing.linearizability import check_key
from redrepl.values.operation import GET
from redrepl.values.report import NodeReport
from tests.simulation import upkeep
from tests.simulation.clients import ClientHistory
from tests.simulation.faults import Faults
from tests.simulation.inspection import Inspection
from tests.simulation.liars import Liars, Manner
from tests.simulation.network import Machine, Network
from tests.simulation.results import Verdict, value_in
from tests.simulation.settings import LOGS, SNAPSHOTS, Settings
from tests.simulation.world import World

MOST_STEPS = 200_000
"""Of the search for an explanation of what clients saw of one key."""

EPOCHS_A_CRASH = 2
"""Where nodes are far: one that replaces the primary, and one more that a rival or the workers
begin.
"""

FORGETTING = {*LOGS, *SNAPSHOTS}
"""Faults after which a member is set aside since it forgot."""

Finding = tuple[Verdict, list[str]]


class Judged(Protocol):
    """A simulation that has ended, as far as it is judged.

    split: epochs in which two nodes decided. epochs: how many there were. is_settled: whether it
    came to rest.
    """

    settings: Settings
    history: ClientHistory
    split: list[str]
    faults: Faults
    count: upkeep.Count
    liars: Liars | None
    epochs: int
    inspection: Inspection
    network: Network
    world: World
    is_settled: bool


def judge(simulation: Judged) -> Finding:
    """The verdict, and details of what is wrong.

    What clients saw comes first: it is what the guarantees are about.
    """
    return _judge_errors(simulation) or _judge_upkeep(simulation) or _judge_end(simulation)


def _judge_errors(simulation: Judged) -> Finding | None:
    """Errors that should never come up, and what was noticed at the time."""
    history, settings = simulation.history, simulation.settings
    if history.crashes:
        return Verdict.CRASHED, history.crashes
    if history.foreign and settings.liar is not Manner.ANYTHING:
        return Verdict.CRASHED, history.foreign
    if history.stale:
        return Verdict.STALE, history.stale
    return (Verdict.SPLIT, simulation.split) if simulation.split else None


def _judge_upkeep(simulation: Judged) -> Finding | None:
    """Whether members were set aside, or replaced, that did nothing wrong; or were not."""
    faults, settings = simulation.faults, simulation.settings
    set_aside = simulation.count.by_name.get(upkeep.FORGOT)
    if set_aside and simulation.liars is None and not faults.counts.keys() & FORGETTING:
        return Verdict.ACCUSED, [f"faults: {faults.counts}"]
    if simulation.is_settled and (forgetful := faults.forgetful()):
        return Verdict.UNNOTICED, forgetful

    most_epochs = 1 + EPOCHS_A_CRASH * sum(faults.counts.values())
    if settings.farthest_seconds and simulation.epochs > most_epochs:
        far, epoch = settings.farthest_seconds, simulation.epochs
        return Verdict.REPLACED, [
            f"nodes are up to {far} s away, epoch {epoch} was begun, faults: {faults.counts}"
        ]
    return None


def _judge_end(simulation: Judged) -> Finding:
    """What clients saw and what is left: all copies hold the same, and serve."""
    inspection, settings = simulation.inspection, simulation.settings
    members, ids = inspection.members(), inspection.newest_topology().ids
    if not members.keys() >= set(ids):
        # With others away beside the liar, what that tells may not be refuted (SECURITY.md, "Not
        # defended").
        found = Verdict.WAITING if settings.storm or settings.faults else Verdict.TRESPASS
        return found, [f"members are {', '.join(ids)}"]

    contents = {node: inspection.contents(members[node]) for node in ids}
    reference = next(iter(contents.values()))
    verdict, details = _judge_keys(simulation, reference)
    if verdict is not Verdict.RIGHT:
        return verdict, details

    if not simulation.is_settled:
        return Verdict.WAITING if settings.storm else Verdict.STUCK, _describe(simulation)
    if any(held != reference for held in contents.values()):
        return Verdict.DIFFERENT, [f"{node}: {held}" for node, held in contents.items()]
    return _judge_lies(simulation) if simulation.liars is not None else (Verdict.RIGHT, [])


def _judge_keys(simulation: Judged, contents: dict[str, bytes]) -> Finding:
    """Every key by itself; what stands in the end is as good as read by a client."""
    for key in simulation.settings.habits.every_key:
        operations = simulation.history.of_key(key)
        if simulation.is_settled:
            held, now = value_in(contents.get(key)), round(simulation.world.now * 1e9)
            end = Operation("the end", key, GET, now, returned=now, outcome=Outcome.OK, answer=held)
            operations.append(end)
        verdict = check_key(key, operations, MOST_STEPS)
        if not verdict.is_linearizable:
            found = Verdict.GAVE_UP if verdict.gave_up else Verdict.WRONG
            return found, [f"key {key}:", *map(str, operations), str(verdict.violation)]
    return Verdict.RIGHT, []


def _judge_lies(simulation: Judged) -> Finding:
    """That nothing of what a node told is on those that never lied; and that operations went on
    beside it.
    """
    assert simulation.liars is not None
    keys = {key.encode() for key in simulation.settings.habits.every_key}
    if found := simulation.liars.trespasses(simulation.network.machines.values(), keys):
        return Verdict.TRESPASS, found
    refused = simulation.liars.refused(simulation.history.outcomes)
    return (Verdict.REFUSED, refused) if refused else (Verdict.RIGHT, [])


def _describe(simulation: Judged) -> list[str]:
    """How a cluster looks that did not come to rest."""
    inspection = simulation.inspection
    machines: list[Machine] = list(simulation.network.machines.values())
    answers = [inspection.report(machine) for machine in machines]
    reports = [report for report in answers if isinstance(report, NodeReport)]
    words = [f"{r.node}: epoch {r.epoch}, {r.state}, lineage {r.lineage}" for r in reports]
    words += [f"{r.node} has restarted" for r in reports if r.has_restarted]
    words += [f"unreadable: {report}" for report in answers if isinstance(report, str)]
    newest = inspection.newest_topology()
    return [*words, f"primary {newest.decider} in epoch {newest.epoch}"]
