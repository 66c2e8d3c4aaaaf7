"""One history from its seed: a cluster, its clients and keepers, faults, and the verdict on what
came of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from redrepl.edges.admission import Purpose
from redrepl.edges.configuration import Configuration
from redrepl.edges.endpoint import split_url
from redrepl.plans.epochs.membership import enrol_call
from redrepl.plans.epochs.soundness import newest_epoch
from redrepl.testing.history import Outcome as OperationOutcome
from redrepl.values.keys import KeyLayout
from redrepl.values.member_state import MemberState
from redrepl.values.report import NodeReport
from redrepl.values.topology import Member, Mode, NodeRole, Topology
from tests.simulation import upkeep
from tests.simulation.clients import Client, ClientHistory, Habits
from tests.simulation.faults import Faults
from tests.simulation.inspection import Inspection
from tests.simulation.judge import judge
from tests.simulation.liars import Liars, Manner, plant
from tests.simulation.lies import NOWHERE
from tests.simulation.network import Machine, Network, address_of
from tests.simulation.places import Places, twin
from tests.simulation.programs import Program, Script
from tests.simulation.results import Result
from tests.simulation.servers import Server
from tests.simulation.settings import PROFILES, Profile, Settings, draw
from tests.simulation.sources import Sources, library_sources
from tests.simulation.tasks import TaskClient, TaskProgram
from tests.simulation.world import World, enter

NODES = ("a", "b", "c", "d", "e", "f", "g")
LONGEST_SECONDS = 60.0
SETTLING_SECONDS = 120.0
PATIENCE_SECONDS = 20.0
"""What the workers have not brought to rest by then, an operator looks at."""

LOOK_SECONDS = 0.25
FAR_LOOK_SECONDS = 4.0

IN_TIME = 0.4
"""Of what clocks may differ by: how far each is off the true time at most, so that none is off the
others.
"""

CLIENTS = ("client", "reader", "tasks")
"""Kinds of programs that read and write."""

TASKS = 6
"""Of a program whose threads are tasks.

They share the coordinator, so that what they write meets in one turn.
"""

TOGETHER = {"set together": 6, "delete together": 2}
"""Conversations that only tasks have."""

LAYOUT = KeyLayout("shop")

_SERVERS: dict[str, Server] = {}


def simulate(
    seed: int,
    copies: int = 3,
    profile: Profile = PROFILES["mixed"],
    sources: Sources | None = None,
    is_traced: bool = False,
) -> Result:
    """The history of a seed. To be called inside `in_virtual_time`."""
    world = World(seed, is_traced)
    settings = draw(world.stream("settings"), profile, copies)
    return Simulation(
        world, settings, library_sources() if sources is None else sources
    ).carry_out()


class Simulation:
    """One cluster with everybody around it."""

    def __init__(self, world: World, settings: Settings, sources: Sources) -> None:
        enter(world)
        self.world = world
        self.settings = settings
        self.history = ClientHistory(settings.habits.operations)
        self.count = upkeep.Count()
        self.clients: list[Client] = []
        self.keepers: dict[Program, str] = {}
        self.nodes = NODES[: settings.copies]
        self.random = world.stream("simulation")
        self.is_over = False
        self.is_work_left = True
        self.is_settled = False
        self.epochs = 1
        self.split: list[str] = []
        self.liars: Liars | None = None
        self._deciding: dict[bytes, str] = {}
        self._names: dict[str, int] = {}
        others = NodeRole.REPLICA if settings.mode is Mode.PRIMARY_REPLICA else NodeRole.PRIMARY
        roles = [NodeRole.PRIMARY] + [others] * (settings.copies - 1)
        pairs = zip(self.nodes, roles, strict=True)
        members = (Member(node, address_of(node), role, f"id-{node}") for node, role in pairs)
        self.topology = Topology("shop", 1, settings.mode, tuple(members))
        self.network = self._new_network(sources)
        self.inspection = Inspection(
            self.network, self.topology, self._doubted, purges=settings.sweeps
        )
        self.configuration = self._new_configuration()
        self.customs = self._new_customs()
        self.faults = self._new_faults()
        self.places = Places(
            self.network, self.random, self.faults, self.inspection.newest_topology
        )
        self._begin_all()
        if settings.liar is not None:
            self.liars = self._new_liars(settings.liar)

    def _new_customs(self) -> upkeep.Customs:
        settings = self.settings
        return upkeep.Customs(
            LAYOUT,
            self.nodes,
            settings.tolerances,
            settings.retention,
            settings.tick_seconds,
            FAR_LOOK_SECONDS if settings.farthest_seconds else 0.3 + self.random.random(),
            settings.fails_over,
            probe_seconds=0.1,
            crash_seconds=0.1,
            silence_seconds=self.random.choice((0.2, 0.7)),
            sweeps=settings.sweeps,
            hurries=settings.hurries,
            moves=settings.members_move,
        )

    def _new_faults(self) -> Faults:
        settings = self.settings
        return Faults(
            self.network,
            self._faults_that_may_come(),
            settings.fault_pause_seconds,
            lambda: [*(client.program for client in self.clients), *self.keepers],
            self._replace,
            self._is_repaired,
            lambda machine: self.liars is None or self.liars.may_restart(machine),
            settings.restarts,
            settings.copies // 2,
        )

    def _begin_all(self) -> None:
        """Start every program that is there from the beginning."""
        settings = self.settings
        numbers = {
            "client": settings.clients,
            "reader": settings.readers,
            "tasks": settings.task_clients,
            "worker": settings.workers,
            "monitor": settings.monitors,
            "operator": settings.operators,
            "changer": settings.changers,
            "replacer": settings.replacers,
        }
        for kind, number in numbers.items():
            for _ in range(number):
                self._begin(kind)

    def _doubted(self) -> set[str]:
        """Nodes that have lied, or may have been told what they say by one that did."""
        return set() if self.liars is None else self.liars.doubted

    def _new_liars(self, manner: Manner) -> Liars:
        for machine in self.network.machines.values():
            plant(machine)
        return Liars(
            self.world,
            manner,
            self.settings.fault_pause_seconds,
            LAYOUT,
            lambda: (self.inspection.newest_topology(), self.inspection.members()),
            self.faults.may_lose,
            self._is_repaired,
            self.faults.counts,
        )

    def carry_out(self) -> Result:
        """The whole history, and the verdict."""
        self.world.run(LONGEST_SECONDS, self._clients_are_done)
        self.is_over = True
        # Later an operator may be called, who begins one as well.
        reports = map(self.inspection.report, self.network.machines.values())
        self.epochs = max(report.epoch for report in reports if isinstance(report, NodeReport))
        self.faults.stop()
        if self.liars is not None:
            self.liars.stop()
        for machine in self.network.machines.values():
            if not machine.is_up:
                machine.start()
        self.network.hold_together()
        self._settle()
        if self.is_settled:
            self._read_at_last()
            self._repair_those_that_lied()
        return self._result()

    def _settle(self) -> None:
        """Have the workers go on until nobody lacks anything, stop everybody, and see that it stays
        so.
        """
        end = self.world.now + SETTLING_SECONDS
        while not self.is_settled and self.world.now < end:
            self.is_work_left = True
            for kind in ("worker", "monitor") if self.settings.unattended else ("worker",):
                if kind not in self.keepers.values():
                    self._begin(kind)
            self._look()
            self.world.run(
                min(end, self.world.now + PATIENCE_SECONDS), lambda: not self.is_work_left
            )
            if self.is_work_left and not self.settings.unattended:
                self.places.bring_file_up_to_date()
                self._begin("rescuer")
            if self.is_work_left and self.liars is not None and self.liars.has_emptied:
                self._begin("speaker")
            self.world.run(
                min(end, self.world.now + PATIENCE_SECONDS), lambda: not self.is_work_left
            )
            self.is_work_left = False
            self.world.run(end, self._is_quiet)
            self.keepers.clear()
            self.is_settled = not self.inspection.unsettled()

    # Making the cluster ---------------------------------------------------------------------------

    def _new_network(self, sources: Sources) -> Network:
        machines = []
        for host in (*self.nodes, *(map(twin, self.nodes) if self.settings.members_move else ())):
            server = _SERVERS.setdefault(host, Server(host))
            server.page_names, server.refusal = self.settings.page_names, None
            tolerances = self.settings.tolerances
            largest = IN_TIME * tolerances.max_skew_seconds
            machine = Machine(
                self.world, server, LAYOUT, sources, min(largest, max(-largest, self._skew()))
            )
            machine.largest_skew_seconds = largest
            if host in self.nodes:
                incarnation = f"inc-{host}"
                how = (
                    self.topology,
                    host,
                    MemberState.ACTIVE,
                    server.run_id,
                    incarnation,
                    tolerances,
                )
                machine.ask(enrol_call(*how))
            machine.on_change = self._note_decider
            machines.append(machine)
        network = Network(
            self.world,
            machines,
            self.nodes,
            self.settings.break_rate,
            self.settings.farthest_seconds,
        )
        network.invented = () if self.settings.liar is None else (NOWHERE,)
        return network

    def _new_configuration(self) -> Configuration:
        return Configuration(
            "shop",
            tuple(split_url(node, f"redis://{node}:6379/0") for node in self.nodes),
            tuple(member.role for member in self.topology.members),
            self.settings.mode,
            timeout_seconds=self.settings.habits.timeout_seconds,
            max_age_seconds=self.settings.tolerances.max_age_seconds,
            max_skew_seconds=self.settings.tolerances.max_skew_seconds,
        )

    def _skew(self) -> float:
        largest = self.settings.skew_seconds
        return self.random.uniform(-largest, largest)

    def _begin(self, kind: str) -> None:
        """Start a program of this kind."""
        number = self._names[kind] = self._names.get(kind, 0) + 1
        name = f"{kind}{number}"
        if kind in CLIENTS:
            habits = self.settings.habits
            if kind == "reader":
                # One that reads from replicas too learns by them that there is another primary.
                habits = habits._replace(
                    weights={"get from primary" if number % 2 else "get at one": 1}
                )
            elif kind == "tasks":
                habits = habits._replace(weights={**habits.weights, **TOGETHER})
            self.clients.append(self._new_client(name, habits=habits, has_tasks=kind == "tasks"))
            self.clients[-1].begin(TASKS if kind == "tasks" else self.settings.threads)
            return
        program = Program(
            name, self.network, LAYOUT, Purpose.MAINTAIN, self.customs.look_seconds, self._skew()
        )
        if self.customs.moves:
            self.places.tell(program)
        self.keepers[program] = kind
        program.start(self._script(kind, program))

    def _script(self, kind: str, program: Program) -> Script:
        random = self.world.stream(program.name)
        if kind == "worker":
            return upkeep.work(program, self.customs, random, self.count, lambda: self.is_work_left)
        if kind == "monitor":
            return upkeep.watch(
                program, self.customs, random, self.count, lambda: self.is_work_left
            )
        if kind == "operator":
            return upkeep.move_about(
                program, self.customs, random, self.count, lambda: not self.is_over
            )
        if kind == "changer":
            return upkeep.change_members(
                program, self.customs, random, self.count, lambda: not self.is_over
            )
        if kind == "replacer":
            places = self.places
            spares = upkeep.Spares(twin, places.may_come_in, places.empty, places.harm_former)
            return upkeep.replace_members(
                program, self.customs, random, self.count, lambda: not self.is_over, spares
            )
        if kind == "repairer":
            return upkeep.repair(program, self.customs, self.count)
        if kind == "speaker":
            return upkeep.speak_for(program, self.customs, random, self.count)
        return upkeep.take_up(program, self.customs, random, self.count)

    def _new_client(
        self,
        name: str,
        known: Topology | None = None,
        habits: Habits | None = None,
        has_tasks: bool = False,
    ) -> Client:
        timeout = self.settings.habits.timeout_seconds
        kind = TaskProgram if has_tasks else Program
        program = kind(name, self.network, LAYOUT, Purpose.SERVE, timeout, self._skew())
        if known is None:
            known = self.random.choice(
                [self.topology, *(client.topology for client in self.clients)]
            )
        habits = habits or self.settings.habits
        around = (self.configuration, known, habits, self.history, self.world.stream(name))
        return (
            TaskClient(program, *around)
            if isinstance(program, TaskProgram)
            else Client(program, *around)
        )

    def _replace(self, program: Program) -> None:
        """In the place of a program that was killed."""
        if program in self.keepers:
            kind = self.keepers.pop(program)
            if kind in ("worker", "monitor") or not self.is_over:
                self._begin(kind)
            return
        dead = next(client for client in self.clients if client.program is program)
        dead.open_threads = 0
        if not self.is_over:
            self._begin(next(kind for kind in CLIENTS if program.name.startswith(kind)))

    def _faults_that_may_come(self) -> tuple[str, ...]:
        """Where nobody gives the primary's role away, a primary that comes back empty waits for its
        operator.
        """
        settings = self.settings
        if settings.fails_over or settings.monitors:
            return settings.faults
        return tuple(kind for kind in settings.faults if kind != "kill empty")

    # Looking, behind everybody's back -------------------------------------------------------------

    def _note_decider(self, machine: Machine) -> None:
        """In one epoch no two nodes may decide."""
        member = (
            machine.server.data[LAYOUT.member].value if LAYOUT.member in machine.server.data else {}
        )
        if self.liars is not None and machine.name in self.liars.former:
            return  # what it says of itself
        if member.get(b"state") == b"active" and member.get(b"rule") == b"decide":
            epoch = member[b"epoch"]
            if (other := self._deciding.setdefault(epoch, machine.name)) != machine.name:
                self.split.append(f"{other} and {machine.name} decide in epoch {epoch.decode()}")

    def _is_repaired(self, machine: Machine) -> bool:
        members = self.inspection.members()
        newest, reports = self.inspection.topology_and_reports()
        node = next((node for node, each in members.items() if each is machine), None)
        if node is None:  # whoever was to come in there did not, and never will in a later epoch
            return self.places.is_over(machine.name)
        own = reports.of(node)
        if own is None or (self.liars is not None and self.liars.is_lying(machine)):
            return False
        is_trusted = machine.is_in_time and not own.is_in_doubt
        if self.liars is not None and machine.name in self.liars.doubted and own.topology != newest:
            return False
        is_there = machine.is_up and is_trusted and own.is_serving
        return is_there and own.epoch == newest_epoch(reports)

    def _clients_are_done(self) -> bool:
        return not any(client.open_threads for client in self.clients)

    def _look(self) -> None:
        """Whether the workers have done what they can; seen now and then."""
        if self._clients_are_done() and not self.inspection.unsettled():
            self.is_work_left = False
        else:
            self.world.after(LOOK_SECONDS, self._look)

    def _is_quiet(self) -> bool:
        """Whether nothing is under way any more, from anybody to anywhere."""
        if (
            any(program.is_alive and program.open_scripts for program in self.keepers)
            or not self._clients_are_done()
        ):
            return False
        if any(link.under_way for link in self.network.links.values()):
            return False
        return all(machine.is_idle for machine in self.network.machines.values())

    def _read_at_last(self) -> None:
        """A new client reads everything at QUORUM: the cluster serves, and what it answers is part
        of the history.
        """
        keys = list(self.settings.habits.every_key)
        for attempt in range(1, 6):
            client = self._new_client(f"last{attempt}", self.inspection.newest_topology())
            for key in keys:
                client.open_threads += 1
                client.program.start(_reading(client, key))
            self.world.run(self.world.now + 20.0, _is_done(client))
            mine = [
                operation for operation in self.history if operation.client == client.program.name
            ]
            known = {
                operation.key for operation in mine if operation.outcome is OperationOutcome.OK
            }
            keys = [key for key in keys if key not in known]
            if not keys:
                return
        self.is_settled = False

    def _repair_those_that_lied(self) -> None:
        """A record that no log names, since its log was cut at its own false word, is its
        operator's to repair, once a sweep has told of it.
        """
        topology, members = self.inspection.newest_topology(), self.inspection.members()
        if self.liars is None or not self.count.by_name.get("sweep with differences"):
            return
        contents = {node: self.inspection.contents(members[node]) for node in topology.ids}
        differing = [
            node
            for node in topology.ids
            if contents[node] != contents[topology.decider or topology.ids[0]]
        ]
        if differing and self.liars.former.issuperset(differing):
            self._begin("repairer")
            self.world.run(self.world.now + PATIENCE_SECONDS, self._is_quiet)

    # The verdict ----------------------------------------------------------------------------------

    def _result(self) -> Result:
        verdict, details = judge(self)
        result = Result(
            self.world.seed,
            verdict,
            details,
            self.settings,
            {name: count for name, count in self.history.outcomes.items() if name != "increments"},
            self.faults.counts,
            self.count.by_name,
            self.world.trace,
        )
        content = [*map(str, self.history), *map(repr, (self.history.outcomes, self.faults.counts))]
        held = {
            name: self.inspection.contents(machine)
            for name, machine in self.network.machines.items()
        }
        content += map(repr, (self.count.by_name, held, verdict))
        result.digest = hashlib.sha256("\n".join(content).encode()).hexdigest()
        return result


def _is_done(client: Client) -> Callable[[], bool]:
    return lambda: client.open_threads == 0


def _reading(client: Client, key: str) -> Script:
    yield from client.read(key)
    client.open_threads -= 1
