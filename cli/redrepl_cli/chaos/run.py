"""A chaos run: one fault after the other, each with harm, healing, settling and a look at all
copies.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from redrepl import RedreplError
from redrepl.doors.operating import forgetful_members
from redrepl.testing.history import Operation, Outcome
from redrepl.testing.model import Step
from redrepl.values.operation import GET
from redrepl_cli.chaos.client import Recorder
from redrepl_cli.chaos.copies import differences
from redrepl_cli.chaos.faults import NOBODY, PRIMARY, Planned
from redrepl_cli.chaos.processes import ClientFailed
from redrepl_cli.chaos.scene import Scene
from redrepl_cli.chaos.stage import Settings, Stage
from redrepl_cli.chaos.workload import is_passing, names_of_keys

LONGEST_CALM_SECONDS = 1.0
"""Load without a fault: before each of them, and after all copies are back.

Shorter where faults are short.
"""

SETTLE_SECONDS = 90.0
"""For copies to come back, and again for the workers to have nothing left to do; both take
seconds.
"""

EFFECT_SECONDS = 30.0
"""For what a fault is to cause, beyond the time that it lasts at least."""

START_SECONDS = 30.0
START_OPERATIONS = 20
"""Operations that each client has done before the first fault."""

READ_SECONDS = 10.0
"""For reads in peace, which take a millisecond."""

_POLL_SECONDS = 0.05
JUDGE = "judge"

Say = Callable[[str], None]


@dataclass(slots=True)
class Act:
    """What happened around one fault; times in nanoseconds of the monotonic clock, None for what
    did not come.

    back_ns: all copies serve again in one epoch. paused_ns: the clients wait. settled_ns: the
    workers have nothing left to do. problems: what must not be, in words. epochs: before and after.
    """

    name: str
    node: str
    role: str
    started_ns: int
    began_ns: int = 0
    healed_ns: int = 0
    back_ns: int | None = None
    paused_ns: int | None = None
    settled_ns: int | None = None
    ended_ns: int = 0
    epochs: tuple[int, int] = (0, 0)
    primaries: tuple[str, str] = ("", "")
    reads: list[Operation] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def has_recovered(self) -> bool:
        """Whether the cluster came back by itself."""
        return self.settled_ns is not None


@dataclass(slots=True)
class Run:
    """All that a run has seen.

    ``not_run``: faults that were left out because an earlier one did not heal.
    """

    settings: Settings
    engine: str
    acts: list[Act]
    operations: list[Operation]
    not_run: list[str]
    worker_log: str = ""


def perform(settings: Settings, plan: Sequence[Planned], say: Say) -> Run:
    """Carry out the faults.

    Raises EmbeddedError, ClientFailed and RedreplError where the stage itself fails.
    """
    acts: list[Act] = []
    with Stage(settings) as stage:
        _warm_up(stage)
        for number, planned in enumerate(plan, 1):
            act = _perform_one(stage, planned, f"{number}/{len(plan)}", say)
            acts.append(act)
            if not act.has_recovered:
                break
        operations = stage.operations()
        if acts[-1].has_recovered:
            _read_in_peace(
                stage, acts[-1], sorted({each.key for each in operations if is_passing(each.key)})
            )
        log = "" if acts[-1].has_recovered else stage.worker_log()
        reads = [read for act in acts for read in act.reads]
        not_run = [planned.name for planned in plan[len(acts) :]]
        return Run(settings, stage.engine, acts, [*operations, *reads], not_run, log)


def _warm_up(stage: Stage) -> None:
    stage.go()

    def are_at_work() -> bool:
        done = [
            sum(each.outcome is Outcome.OK for each in client.operations())
            for client in stage.clients
        ]
        return min(done) >= START_OPERATIONS

    if _wait(are_at_work, START_SECONDS) is None:
        raise ClientFailed(
            f"clients did not do {START_OPERATIONS} operations within {START_SECONDS:g} s"
        )


def _perform_one(stage: Stage, planned: Planned, number: str, say: Say) -> Act:
    primary = stage.primary()
    node = (
        NOBODY
        if planned.role == NOBODY
        else primary
        if planned.role == PRIMARY
        else stage.replicas()[0]
    )
    act = Act(planned.name, node, planned.role, time.monotonic_ns())
    say(f"{number} {planned.name}{f' ({node})' if node else ''}: {planned.fault.summary}")
    epoch = _epoch(stage)
    stage.go()
    calm_seconds = min(LONGEST_CALM_SECONDS, stage.settings.seconds / 2)
    time.sleep(calm_seconds)  # load, for comparison
    scene = Scene(stage, node)
    with planned.fault.harm(scene):
        act.began_ns = scene.began_ns
        time.sleep(stage.settings.seconds)  # how long the fault lasts at least
        _await_effect(stage, planned, act, primary)
    act.healed_ns = time.monotonic_ns()
    act.back_ns = _wait(lambda: all_serve(stage), SETTLE_SECONDS)
    time.sleep(calm_seconds)  # load, to see that all is as before
    stage.pause()
    act.paused_ns = time.monotonic_ns()
    act.settled_ns = (
        _wait(lambda: not lacking(stage), SETTLE_SECONDS) if act.back_ns is not None else None
    )
    _judge(stage, act)
    act.epochs, act.primaries = (epoch, _epoch(stage)), (primary, stage.primary())
    act.ended_ns = time.monotonic_ns()
    say(f"    {_summary(act)}")
    return act


def _await_effect(stage: Stage, planned: Planned, act: Act, primary: str) -> None:
    """Let the fault last until it has done what it is for: another node took over, and clients
    write again.
    """
    if (
        planned.replaces_primary
        and _wait(lambda: stage.primary() != primary, EFFECT_SECONDS) is None
    ):
        act.problems.append(f"no other node took over within {EFFECT_SECONDS:g} s")
    elif planned.lets_write:
        _wait(lambda: stage.has_committed_since(act.began_ns), EFFECT_SECONDS)


def _summary(act: Act) -> str:
    if act.problems:
        return "; ".join(act.problems)
    assert act.back_ns is not None
    return f"all copies back {(act.back_ns - act.healed_ns) / 1e9:.1f} s after healing; equal"


def _judge(stage: Stage, act: Act) -> None:
    """Look at everything while it is quiet."""
    if dead := stage.dead_workers():
        act.problems.append(f"{dead} workers ended by themselves: {stage.worker_log()[-500:]}")
    if not act.has_recovered:
        act.problems.append(f"did not recover within {SETTLE_SECONDS:g} s: {_describe(stage)}")
        return
    try:
        report = stage.administration.verify()
    except RedreplError as error:
        act.problems.append(f"verify failed: {error}")
    else:
        if not report.consistent:
            shown = ", ".join(
                f"{m.key.decode()} {m.kind} on {m.node}" for m in report.mismatches[:5]
            )
            act.problems.append(
                f"verify found {len(report.mismatches)} differences: {shown} "
                f"{report.unreachable or ''}"
            )
    act.problems += differences({node: server.url for node, server in stage.servers.items()})
    _read_in_peace(stage, act, names_of_keys(stage.settings.keys))


def _read_in_peace(stage: Stage, act: Act, keys: Sequence[str]) -> None:
    """Read keys while nobody writes.

    A read that fails is tried again, because what is there must be known.
    """
    recorder = Recorder(stage.store, JUDGE)
    left = list(keys)
    give_up_at = time.monotonic() + READ_SECONDS
    while left:
        reads = [recorder.carry_out(Step(GET, key, None)) for key in left]
        act.reads += [read for read in reads if read.outcome is Outcome.OK]
        wrong = [read for read in reads if read.outcome is not Outcome.OK]
        left = [read.key for read in wrong]
        if wrong and not act.notes:
            act.notes.append(f"a read in peace failed at first: {wrong[0].error}")
        if wrong and time.monotonic() > give_up_at:
            act.problems.append(f"{len(wrong)} keys could not be read in peace: {wrong[0].error}")
            return


def all_serve(stage: Stage) -> bool:
    """Whether every copy admits clients, in the newest epoch."""
    topology, reports = stage.administration.inspect()
    if topology is None or len(topology.ids) != len(stage.servers):
        return False
    serving = [report for report in reports.members(topology) if report.is_serving]
    return len(serving) == len(topology.ids) and {report.epoch for report in serving} == {
        topology.epoch
    }


def lacking(stage: Stage) -> list[str]:
    """Nodes that do not answer or need the workers, noticed by these or not yet: empty when all is
    done.
    """
    topology, reports = stage.administration.inspect()
    if topology is None:
        return list(stage.servers)
    silent = [node for node in topology.ids if node not in reports.present]
    return [
        *silent,
        *stage.administration.targets(topology, reports),
        *forgetful_members(topology, reports),
    ]


def _describe(stage: Stage) -> str:
    try:
        status = stage.administration.status(look_at_keys=False)
    except RedreplError as error:
        return str(error)
    nodes = [f"{node.id} {node.state.value} {node.error or ''}".strip() for node in status.nodes]
    return "; ".join([*nodes, *status.problems])


def _epoch(stage: Stage) -> int:
    topology, _ = stage.administration.inspect()
    return topology.epoch if topology is not None else 0


def _wait(condition: Callable[[], object], seconds: float) -> int | None:
    """When the condition first held; None where it did not in this time."""
    give_up_at = time.monotonic() + seconds
    while time.monotonic() < give_up_at:
        # Whoever cannot be asked has not come back.
        with suppress(RedreplError):
            if condition():
                return time.monotonic_ns()
        time.sleep(_POLL_SECONDS)
    return None
