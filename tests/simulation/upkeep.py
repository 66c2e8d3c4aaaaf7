"""Whoever looks after the simulated cluster: workers, monitors, and operators who move the
primary's role or change the members.

Each is a script of plans. To add one, write its script and start it in `simulation.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from random import Random
from typing import Any, NamedTuple

from redrepl.plans.copies.anti_entropy import SweepOrder, sweep
from redrepl.plans.copies.catch_up import trim_log
from redrepl.plans.copies.verify import verify
from redrepl.plans.doubtful_clocks import wrong_clocks
from redrepl.plans.epochs.accept_loss import Fresh, accept_loss
from redrepl.plans.epochs.change_members import change_topology
from redrepl.plans.epochs.clocks import set_aside
from redrepl.plans.epochs.failover import FailoverOrder, fail_over
from redrepl.plans.epochs.forgetful import members_that_miss, set_forgetful_aside
from redrepl.plans.epochs.membership import Tolerances
from redrepl.plans.epochs.soundness import newest_epoch
from redrepl.plans.epochs.suspicion import Suspicion
from redrepl.plans.inspect import MONITOR, inspect_nodes, newest_topology
from redrepl.plans.lookout import Lookout, Seen
from redrepl.plans.recovery.bring_up import BringUpOrder, bring_up
from redrepl.plans.recovery.replacement_limiter import ReplacementLimiter
from redrepl.plans.recovery.upkeep import Retention, held_from, needs_bringing_up, trim_floor
from redrepl.plans.steps import Steps
from redrepl.plans.view import ClusterView
from redrepl.values import limits
from redrepl.values.errors import RedreplError
from redrepl.values.keys import KeyLayout
from redrepl.values.report import LastEntry
from redrepl.values.reports import Reports
from redrepl.values.topology import Member, NodeRole, Topology
from tests.simulation.network import address_of, host_of
from tests.simulation.programs import Program, Rest, Script

NO_CAP = 100_000
FORGOT = "set aside, since it forgot"


class Customs(NamedTuple):
    """How a cluster is looked after, durations in seconds.

    fails_over: workers hand the role of a primary that restarted to another node. crash_seconds,
    silence_seconds: what a monitor puts up with before it replaces a primary that is down, or
    silent. hurries: how often a job ends after its first page. moves: members' addresses change.
    """

    layout: KeyLayout
    nodes: tuple[str, ...]
    tolerances: Tolerances
    retention: Retention
    tick_seconds: float
    look_seconds: float
    fails_over: bool
    probe_seconds: float
    crash_seconds: float
    silence_seconds: float
    sweeps: bool
    hurries: float = 0.2
    moves: bool = False


class Count:
    """How often what was done."""

    def __init__(self) -> None:
        self.by_name: dict[str, int] = {}

    def add(self, name: str) -> None:
        """Once more."""
        self.by_name[name] = self.by_name.get(name, 0) + 1


def work(
    program: Program, customs: Customs, random: Random, count: Count, is_needed: Callable[[], bool]
) -> Script:
    """A worker: at every tick, bring up who lacks something, cut logs, and compare all keys."""
    last_entries: dict[str, LastEntry] = {}
    limiter = ReplacementLimiter()
    while is_needed():
        yield Rest(customs.tick_seconds * (0.5 + random.random()))
        topology, reports = yield from _look(program, customs, last_entries)
        if topology is None:
            continue
        yield from _set_forgetful_aside(program, customs, count, topology, reports)
        for node in needs_bringing_up(topology, reports, program.wall_ahead_seconds):
            yield from _bring_up(program, customs, random, count, node, limiter)
        yield from _trim(program, customs, count, topology, reports)
        if customs.sweeps:
            yield from _sweep(program, customs, count)


def _set_forgetful_aside(
    program: Program,
    customs: Customs,
    count: Count,
    topology: Topology,
    reports: Reports,
    asks_again: bool = True,
) -> Script:
    steps = Steps(program.now())
    forgot: dict[str, str] = yield set_forgetful_aside(
        customs.layout, topology, reports, steps, asks_again
    )
    for node, why in forgot.items():
        count.add(FORGOT)
        _note(program, f"** set {node} aside: {why}")


def _look(
    program: Program, customs: Customs, last_entries: dict[str, LastEntry] | None = None
) -> Generator[Any, Any, tuple[Topology | None, Reports]]:
    """What all nodes say, reached where the newest topology among them says.

    ``last_entries``: of earlier looks.
    """
    known_entries, until = (
        {} if last_entries is None else last_entries,
        program.now() + customs.look_seconds,
    )
    reports: Reports = yield inspect_nodes(
        customs.layout, customs.nodes, until, last_entries=known_entries
    )
    for node, report in reports.present.items():
        last = report.last_entry_after(known_entries.get(node))
        if last is not None:
            known_entries[node] = last
    topology = newest_topology(reports)
    while customs.moves and topology is not None and program.follow(topology):
        until, known = program.now() + customs.look_seconds, topology
        reports = yield inspect_nodes(customs.layout, customs.nodes, until, known=known)
        newest = newest_topology(reports)
        topology = known if newest is None or newest.epoch <= known.epoch else newest
    return topology, reports


def new_identity(random: Random) -> str:
    """As `Administration` draws one for a server that becomes a member."""
    return f"id-{random.getrandbits(48):012x}"


def _sweep(program: Program, customs: Customs, count: Count) -> Script:
    """A whole sweep at every tick. No retention: what is confirmed everywhere is purged at once."""
    own = program.wall_ahead_seconds
    order = SweepOrder(program.now(), 1e9, repairs=True, retention_seconds=0.001, own_ahead=own)
    try:
        done = yield sweep(customs.layout, customs.nodes, order)
    except RedreplError as error:
        count.add("sweep failed")
        _note(program, f"** sweep: {error}")
        return
    count.add("sweep")
    for name in ("differences", "repaired", "purged", "waiting"):
        if getattr(done.findings, name):
            count.add(f"sweep with {name}")
    _note(program, f"** {done}")


def _bring_up(
    program: Program,
    customs: Customs,
    random: Random,
    count: Count,
    node: str,
    limiter: ReplacementLimiter,
) -> Script:
    now = program.now()
    stop_at = now + (60.0 if random.random() < 1.0 - customs.hurries else 0.0)
    incarnation = f"inc-{random.getrandbits(48):012x}"
    exactly = random.random() < 0.02
    own, identity = program.wall_ahead_seconds, new_identity(random)
    how = (exactly, customs.fails_over, own)
    order = BringUpOrder(
        incarnation,
        identity,
        customs.tolerances,
        now,
        stop_at,
        *how,
        reached=program.reached_urls,
        may_replace=limiter.may_replace(node, now),
    )
    try:
        done = yield bring_up(customs.layout, customs.nodes, node, order)
    except RedreplError as error:
        count.add("bring_up failed")
        _note(program, f"** bring_up({node}): {error}")
        return
    count.add("bring_up")
    if done.is_replaced:
        limiter.note(node, program.now())
    for name in ("is_replaced", "full_syncs", "undecided_replaced", "activated", "records"):
        if getattr(done, name):
            count.add(f"bring_up with {name}")
    _note(program, f"** {done}")


def _trim(
    program: Program, customs: Customs, count: Count, topology: Topology, reports: Reports
) -> Script:
    for report in reports.present.values():
        if not report.is_serving or report.epoch != topology.epoch:
            continue
        floor = trim_floor(topology, report, reports, customs.retention)
        # What only a replica's log names is undecided; cut without need, it is left to an
        # operator's repair.
        cap = customs.retention.cap_entries if report.node == topology.decider else NO_CAP
        if floor is None and report.log.length <= cap:
            continue
        steps, keep_from, held = (
            Steps(program.now()),
            floor or report.log_floor,
            held_from(topology, report),
        )
        caps = (cap, steps, held, customs.retention.cap_bytes)
        try:
            yield trim_log(ClusterView(topology), report, keep_from, *caps)
        except RedreplError:
            return
        count.add("trim")


def watch(
    program: Program, customs: Customs, random: Random, count: Count, is_needed: Callable[[], bool]
) -> Script:
    """A monitor: replace a primary when the library's suspicion says so, with growing pauses
    between attempts.
    """
    suspicion = Suspicion(customs.crash_seconds, customs.silence_seconds, chance=random.random)
    next_at, pause_seconds, write_at = 0.0, 0.05, 0.0
    lookout = Lookout(customs.layout, customs.nodes, customs.silence_seconds / 3)
    while is_needed():
        yield Rest(customs.probe_seconds * (0.5 + random.random()))
        probe_as = MONITOR if program.now() >= write_at else None
        if probe_as is not None:
            write_at = program.now() + limits.WRITE_PROBE_SECONDS
        seen: Seen = yield lookout.look(
            program.now(), program.now() + customs.probe_seconds, probe_as
        )
        topology, own = newest_topology(seen.reports), program.wall_ahead_seconds
        if customs.moves and topology is not None and program.follow(topology):
            lookout.begin_anew(customs.nodes)
            continue
        if topology is not None and wrong_clocks(topology, seen.reports, own):
            yield from _set_aside(program, customs, count, topology, seen.reports)
            lookout.begin_anew(customs.nodes)  # that went over the same channel
        if not seen.is_current:
            continue
        if topology is not None:
            yield from _set_forgetful_aside(
                program, customs, count, topology, seen.reports, asks_again=False
            )
            if members_that_miss(topology, seen.reports):
                lookout.begin_anew(customs.nodes)  # that went over the same channel
        verdict = suspicion.judge(topology, seen.reports, program.now(), own, seen.silences)
        if verdict.is_due and program.now() >= next_at:
            _note(program, f"** failing over: {verdict.why}")
            known = FailoverOrder(
                0.0, seen_epoch=newest_epoch(seen.reports), last_entries=lookout.last_entries
            )
            yield from _move(
                program, customs, random, count, "failover", None, verdict.away, known=known
            )
            lookout.forget()  # the failover changed the members, over the same channel
            next_at = program.now() + pause_seconds * (0.5 + random.random() / 2)
            pause_seconds = min(5.0, 2 * pause_seconds)


def _set_aside(
    program: Program, customs: Customs, count: Count, topology: Topology, reports: Reports
) -> Script:
    steps = Steps(program.now())
    stopped = yield set_aside(customs.layout, topology, reports, steps, program.wall_ahead_seconds)
    if stopped:
        count.add("clock set aside")
        _note(program, f"** set aside: {stopped}")


def move_about(
    program: Program, customs: Customs, random: Random, count: Count, is_needed: Callable[[], bool]
) -> Script:
    """An operator who moves the primary's role for no reason: switchovers, and failovers beside a
    living primary.
    """
    while is_needed():
        yield Rest(random.expovariate(1.0) * 1.5)
        to = random.choice((None, *customs.nodes))
        planned = to is not None and random.random() < 0.5
        away = (
            frozenset((random.choice(customs.nodes),))
            if not planned and random.random() < 0.3
            else frozenset()
        )
        if customs.moves:
            yield from _look(program, customs)
        if to not in away:
            yield from _move(
                program,
                customs,
                random,
                count,
                "switchover" if planned else "move",
                to,
                away,
                planned,
            )


def change_members(
    program: Program, customs: Customs, random: Random, count: Count, is_needed: Callable[[], bool]
) -> Script:
    """An operator who takes members out, and in again with whatever records they still have."""
    smallest = len(customs.nodes) // 2 + 1
    while is_needed():
        yield Rest(random.expovariate(1.0) * 1.5)
        reports: Reports = yield inspect_nodes(
            customs.layout, customs.nodes, program.now() + customs.look_seconds
        )
        topology = newest_topology(reports)
        if topology is None:
            continue
        outside = [node for node in customs.nodes if node not in topology.ids]
        if outside and (random.random() < 0.6 or len(topology.ids) <= smallest):
            node = random.choice(outside)
            added = topology.with_member(
                Member(node, f"redis://{node}:6379/0", NodeRole.REPLICA, new_identity(random))
            )
            yield from _change(program, random, customs, count, "add", topology, added)
        elif len(topology.ids) > smallest:
            yield from _remove(
                program, customs, random, count, topology, random.choice(topology.ids)
            )


class Spares(NamedTuple):
    """Where servers for members' places are. twin: the other machine of a member, by the one that
    it has. may_lose: whether an empty server may come in there now. harm: what happens to the
    machine that is replaced, as seen by the program that replaces it.
    """

    twin: Callable[[str], str]
    may_lose: Callable[[str], bool]
    empty: Callable[[str], None]
    harm: Callable[[str, str], None]


def replace_members(
    program: Program,
    customs: Customs,
    random: Random,
    count: Count,
    is_needed: Callable[[], bool],
    spares: Spares,
) -> Script:
    """An operator who gives a member's place to another server, as `Administration.replace_node`
    does.

    The former one goes on, or comes back, and is reached by those who know only the topology
    before.
    """
    while is_needed():
        yield Rest(random.expovariate(1.0) * 2.0)
        topology, _ = yield from _look(program, customs)
        if topology is None:
            continue
        node = random.choice(topology.ids)
        if node == topology.decider:
            yield from _move(
                program,
                customs,
                random,
                count,
                "switchover",
                topology.others(node)[0],
                frozenset(),
                True,
            )
            continue
        former = host_of(topology.member(node).url)
        host = spares.twin(former)
        if not spares.may_lose(host):
            continue
        if random.random() < 0.7:
            spares.empty(host)  # else it has what it had when it was a member before
        spares.harm(program.name, former)
        newcomer = f"{node} (new)"
        program.reach(newcomer, address_of(host))
        member = Member(node, address_of(host), NodeRole.REPLICA, new_identity(random))
        changed = topology.with_replaced(member)
        yield from _change(program, random, customs, count, "replace", topology, changed, newcomer)


def _remove(
    program: Program, customs: Customs, random: Random, count: Count, topology: Topology, node: str
) -> Script:
    """Take a member out, as `Administration.remove_node` does.

    Who is the primary only hands its role over.
    """
    if node == topology.decider:
        yield from _move(
            program,
            customs,
            random,
            count,
            "switchover",
            topology.others(node)[0],
            frozenset(),
            True,
        )
        return
    staying = [other for other in topology.others(node) if other != topology.decider]
    failed = 0
    for other in staying:
        now, incarnation = program.now(), f"inc-{random.getrandbits(48):012x}"
        order = BringUpOrder(incarnation, new_identity(random), customs.tolerances, now, now + 60.0)
        try:
            yield bring_up(customs.layout, customs.nodes, other, order)
        except RedreplError:
            failed += 1
    if len(staying) - failed >= (len(topology.ids) - 1) // 2:
        yield from _change(
            program, random, customs, count, "remove", topology, topology.without_member(node)
        )


def _change(
    program: Program,
    random: Random,
    customs: Customs,
    count: Count,
    name: str,
    old: Topology,
    new: Topology,
    newcomer: str | None = None,
) -> Script:
    incarnation, seconds = f"inc-{random.getrandbits(48):012x}", 0.3 + random.random() * 1.7
    try:
        done = yield change_topology(
            old, new, customs.tolerances, incarnation, program.now(), seconds, newcomer
        )
    except RedreplError as error:
        count.add(f"{name} failed")
        _note(program, f"** {name}: {error}")
    else:
        count.add(name)
        _note(program, f"** {name}: {done}")


def take_up(program: Program, customs: Customs, random: Random, count: Count) -> Script:
    """An operator who comes where the workers do not get any further, and calls for a failover.

    Where whoever gave a server a place died before it came in, it is given the place once more, as
    the workers say.
    """
    topology, reports = yield from _look(program, customs)
    if topology is not None:
        for found in reports.among(topology.others(topology.decider or "")):
            if found.member and not found.is_itself:
                member = replace(topology.member(found.node), identity=new_identity(random))
                yield from _change(
                    program,
                    random,
                    customs,
                    count,
                    "replace",
                    topology,
                    topology.with_replaced(member),
                )
                return
    epochs = [report.epoch for report in reports.present.values()]
    is_half_done = topology is not None and max(epochs, default=0) > topology.epoch
    count.add(
        "operator called: change of epoch left half done" if is_half_done else "operator called"
    )
    yield from _move(program, customs, random, count, "rescue", None, frozenset())


def speak_for(program: Program, customs: Customs, random: Random, count: Count) -> Script:
    """An operator who emptied the server that had lied.

    Where the primary was set aside at its word alone, and waits for it to be compared with, they
    name the primary itself: they know that it has lost nothing.
    """
    topology, reports = yield from _look(program, customs)
    primary = None if topology is None else reports.primary(topology)
    if topology is None or primary is None or not primary.has_forgotten:
        return
    identities = {node: new_identity(random) for node in topology.ids}
    incarnation, reached = f"inc-{random.getrandbits(48):012x}", program.reached_urls
    fresh = Fresh(incarnation, identities, tolerances=customs.tolerances, reached=reached)
    order = FailoverOrder(program.now(), topology.decider, own_ahead=program.wall_ahead_seconds)
    try:
        done = yield accept_loss(customs.layout, customs.nodes, order, fresh)
    except RedreplError as error:
        count.add("operator speaks for the primary failed")
        _note(program, f"** accept_loss: {error}")
    else:
        count.add("operator speaks for the primary")
        _note(program, f"** {done}")


def repair(program: Program, customs: Customs, count: Count) -> Script:
    """`redrepl verify --repair`, by the operator of a server that had lied."""
    try:
        done = yield verify(customs.layout, customs.nodes, program.now(), repair=True)
    except RedreplError as error:
        _note(program, f"** verify: {error}")
        return
    count.add("operator repairs")
    _note(program, f"** {done}")


def _move(
    program: Program,
    customs: Customs,
    random: Random,
    count: Count,
    name: str,
    to: str | None,
    away: frozenset[str],
    planned: bool = False,
    known: FailoverOrder | None = None,
) -> Script:
    """``known``: an order with what whoever gives it saw before."""
    order = known or FailoverOrder(0.0)
    order = order._replace(started=program.now(), to=to, away=away, planned=planned)
    order = order._replace(
        step_seconds=0.3 + random.random() * 1.7, own_ahead=program.wall_ahead_seconds
    )
    try:
        done = yield fail_over(customs.layout, customs.nodes, order)
    except RedreplError as error:
        count.add(f"{name} failed")
        _note(program, f"** {name}: {error}")
    else:
        count.add(name)
        _note(program, f"** {done}")


def _note(program: Program, text: str) -> None:
    if program.world.is_traced:
        program.world.note(program.name, text)
