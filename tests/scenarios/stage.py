"""Carries out the commands of a scenario on the simulated cluster, and tells what came of each.

Programs come into being when a command names them: clients by any name (``app`` where none is
named), ``operator``, ``worker`` and ``monitor``. Time passes only while a command waits for
something.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Generator
from dataclasses import replace
from random import Random
from typing import Any

from redrepl.edges.admission import Purpose
from redrepl.plans.epochs.change_members import change_topology
from redrepl.plans.epochs.failover import FailoverOrder, fail_over
from redrepl.testing.model import content_of
from redrepl.values.effects import Command, ScriptCall
from redrepl.values.errors import RedreplError, WriteFailure
from redrepl.values.level import ConsistencyLevel
from redrepl.values.operation import ADD, DELETE, INCREMENT, SET
from redrepl.values.preference import ReadPreference
from redrepl.values.receipt import WriteReceipt
from redrepl.values.report import NodeReport
from redrepl.values.topology import Member, Mode, NodeRole
from tests.simulation import upkeep
from tests.simulation.clients import PlanCalls, Store
from tests.simulation.network import Machine, address_of
from tests.simulation.places import twin
from tests.simulation.programs import Program, Script
from tests.simulation.quiet import quiet_cluster, quiet_settings
from tests.simulation.results import value_in
from tests.simulation.simulation import LAYOUT, Simulation

LONGEST_SECONDS = 30.0
"""What takes longer than this does not come to an end any more."""

STEP_SECONDS = 0.3
"""How long an operator's program waits for a member that does not answer."""

CLIENT = "app"
FULL = "OOM command not allowed when used memory > 'maxmemory'."

WORDS = {"write": SET, "delete": DELETE, "add": ADD, "increment": INCREMENT}
"""What the commands that write do."""


class CommandError(Exception):
    """A command that cannot be understood, or an expectation that does not hold."""


class _Call:
    """What a program was asked to do, and how it ended. text: in words, None until then."""

    def __init__(self) -> None:
        self.text: str | None = None


class Stage:
    """One cluster, from the command ``cluster`` on, and what each of its servers last said of
    itself.
    """

    def __init__(self) -> None:
        self._simulation: Simulation | None = None
        self._said: dict[str, str] = {}
        self._stores: dict[str, Store] = {}
        self._programs: dict[str, Program] = {}
        self._calls: dict[str, _Call] = {}
        self._homes: dict[str, str] = {}
        self._is_working = False
        self._commands: dict[str, Callable[[list[str]], list[str]]] = {
            "cluster": self._begin_cluster,
            "client": self._begin_client,
            **dict.fromkeys(WORDS, self._write),
            "read": self._read,
            "begin": self._begin_call,
            "end": self._end_call,
            "kill": self._kill,
            "start": self._start,
            "freeze": self._freeze,
            "thaw": self._thaw,
            "cut": self._cut,
            "partition": self._partition,
            "heal": self._heal,
            "lose": self._lose_answers,
            "clock": self._clock,
            "fill": self._fill,
            "free": self._free,
            "failover": self._fail_over,
            "switchover": self._fail_over,
            "replace": self._replace,
            "monitor": self._monitor,
            "work": self._work,
            "wait": self._wait,
            "status": self._status,
            "show": self._show,
            "expect": self._expect,
        }

    def carry_out(self, command: str) -> list[str]:
        """Do what a command says; what happened, a line each. Raises CommandError."""
        word, *arguments = shlex.split(command)
        if word not in self._commands:
            raise CommandError(
                f"there is no command {word!r}; there are: {', '.join(self._commands)}"
            )
        if self._simulation is None and word != "cluster":
            raise CommandError("a scenario begins with: cluster")
        told = self._commands[word]([word, *arguments])
        return told + ([] if word == "cluster" else self._changes())

    @property
    def words(self) -> set[str]:
        """The first words of all commands."""
        return set(self._commands)

    def usage(self) -> list[str]:
        """What each command looks like and does."""
        methods = dict.fromkeys(self._commands.values())
        return [(method.__doc__ or "").strip() for method in methods]

    @property
    def _cluster(self) -> Simulation:
        assert self._simulation is not None
        return self._simulation

    # The cluster and its programs -----------------------------------------------------------------

    def _begin_cluster(self, words: list[str]) -> list[str]:
        """cluster a b c [with several primaries | with spare machines]: every scenario begins with
        this
        """
        names, _, kind = " ".join(words[1:]).partition(" with ")
        settings = quiet_settings(len(names.split()))._replace(has_twins=kind == "spare machines")
        if kind == "several primaries":
            settings = settings._replace(mode=Mode.MULTI_PRIMARY)
        self._simulation = quiet_cluster(settings=settings)
        self._said = self._statements()
        return [f"{node}: {said}" for node, said in self._said.items()]

    def _begin_client(self, words: list[str]) -> list[str]:
        """client NAME [home NODE]: with several primaries, the one that takes its writes"""
        if len(words) > 2:
            self._homes[words[1]] = words[3]
        self._store(words[1])
        return []

    def _store(self, name: str) -> Store:
        if name not in self._stores:
            cluster = self._cluster
            configuration = replace(cluster.configuration, home=self._homes.get(name))
            writer = 1 + len(self._stores)
            self._stores[name] = Store(configuration, cluster.topology, self._program(name), writer)
        return self._stores[name]

    def _program(self, name: str) -> Program:
        if name not in self._programs:
            purpose = (
                Purpose.MAINTAIN if name in ("operator", "worker", "monitor") else Purpose.SERVE
            )
            program = Program(name, self._cluster.network, LAYOUT, purpose, 1.0)
            self._programs[name] = program
            for machine in self._cluster.network.machines:
                self._cluster.network.link(name, machine).is_steady = True
        return self._programs[name]

    def _machine(self, name: str) -> Machine:
        if name not in self._cluster.network.machines:
            raise CommandError(f"there is no server {name!r}")
        return self._cluster.network.machines[name]

    # Operations -----------------------------------------------------------------------------------

    def _write(self, words: list[str]) -> list[str]:
        """write KEY VALUE [at LEVEL] [by CLIENT]; delete KEY; add KEY VALUE; increment KEY
        AMOUNT
        """
        return [self._finished(self._call(words))]

    def _read(self, words: list[str]) -> list[str]:
        """read KEY [at LEVEL] [from replica] [by CLIENT]"""
        return [self._finished(self._call(words))]

    def _begin_call(self, words: list[str]) -> list[str]:
        """begin OPERATION: it is under way while other commands follow"""
        options, _ = _options(words[1:])
        name = options.get("by", CLIENT)
        self._calls[name] = self._call(words[1:])
        # Until everything it sends at first has arrived, and no longer.
        self._run(0.01)
        return []

    def _end_call(self, words: list[str]) -> list[str]:
        """end [CLIENT]: wait for what it has begun"""
        name = words[1] if len(words) > 1 else CLIENT
        return [self._finished(self._calls.pop(name))]

    def _call(self, words: list[str]) -> _Call:
        options, (word, key, *values) = _options(words)
        name, level = options.get("by", CLIENT), ConsistencyLevel(options.get("at", "quorum"))
        calls, call = PlanCalls(self._store(name)), _Call()
        if word in WORDS:
            wanted = calls.change(WORDS[word], key, values[0] if values else None, level)
        else:
            prefer = ReadPreference(options.get("from", "primary"))
            wanted = calls.get_record(key, level, prefer)
        self._program(name).start(_noting(wanted, word, call))
        return call

    def _finished(self, call: _Call) -> str:
        self._run(LONGEST_SECONDS, lambda: call.text is not None)
        return call.text or "has not come to an end"

    # Servers, links and clocks --------------------------------------------------------------------

    def _kill(self, words: list[str]) -> list[str]:
        """kill NODE..."""
        for node in words[1:]:
            machine = self._machine(node)
            machine.save()
            machine.kill()
        return []

    def _start(self, words: list[str]) -> list[str]:
        """start NODE [empty]"""
        self._machine(words[1]).start({} if "empty" in words else None)
        return []

    def _freeze(self, words: list[str]) -> list[str]:
        """freeze NODE: it takes connections and answers nothing"""
        self._machine(words[1]).freeze()
        return []

    def _thaw(self, words: list[str]) -> list[str]:
        """thaw NODE"""
        self._machine(words[1]).thaw()
        return []

    def _cut(self, words: list[str]) -> list[str]:
        """cut PROGRAM NODE...: nothing arrives between them until `heal`"""
        for node in words[2:]:
            self._cut_link(words[1], node)
        return []

    def _partition(self, words: list[str]) -> list[str]:
        """partition a app | b c operator: nothing arrives from one side on the other until
        `heal`
        """
        sides = [side.split() for side in " ".join(words[1:]).split("|")]
        machines = self._cluster.network.machines
        for side in sides:
            for program in (name for name in side if name not in machines):
                for other in (each for each in sides if each is not side):
                    for node in (name for name in other if name in machines):
                        self._cut_link(program, node)
        return []

    def _heal(self, words: list[str]) -> list[str]:  # noqa: ARG002  # commands are all called in one way
        """heal: all links work again"""
        for link in self._cluster.network.links.values():
            while link.cuts:
                link.heal()
        return []

    def _cut_link(self, program: str, node: str) -> None:
        self._program(program)
        self._machine(node)
        self._cluster.network.link(program, node).cuts += 1

    def _lose_answers(self, words: list[str]) -> list[str]:
        """lose answers of NODE to PROGRAM: it carries out the next write, and the way back is
        cut
        """
        machine, program = self._machine(words[3]), words[5]

        def cut_after(command: Command, carry_out: Callable[[], Any]) -> Any:
            answer = carry_out()
            if isinstance(command, ScriptCall) and command.script in (
                "write",
                "write_many",
                "update",
                "transact",
            ):
                machine.twist = None
                self._cut_link(program, machine.name)
            return answer

        machine.twist = cut_after
        return []

    def _clock(self, words: list[str]) -> list[str]:
        """clock NODE SECONDS: it steps by so much"""
        machine = self._machine(words[1])
        machine.skew_seconds += float(words[2])
        machine.is_in_time = abs(machine.skew_seconds) <= machine.largest_skew_seconds
        return []

    def _fill(self, words: list[str]) -> list[str]:
        """fill NODE: its memory is full"""
        self._machine(words[1]).server.refusal = FULL
        return []

    def _free(self, words: list[str]) -> list[str]:
        """free NODE: its memory is not full any more"""
        self._machine(words[1]).server.refusal = None
        return []

    # Who looks after the cluster ------------------------------------------------------------------

    def _fail_over(self, words: list[str]) -> list[str]:
        """failover [to NODE]; switchover NODE: the same, while the present primary helps"""
        planned = words[0] == "switchover"
        to = words[-1] if len(words) > 1 else None
        program = self._program("operator")
        ahead = program.wall_ahead_seconds
        order = FailoverOrder(
            program.now(), to, planned=planned, step_seconds=STEP_SECONDS, own_ahead=ahead
        )
        return self._operate(fail_over(LAYOUT, self._cluster.nodes, order))

    def _replace(self, words: list[str]) -> list[str]:
        """replace NODE: its place goes to an empty server on its spare machine"""
        node, topology = words[1], self._cluster.inspection.newest_topology()
        host, program = twin(node), self._program("operator")
        newcomer = f"{node} (new)"
        program.reach(newcomer, address_of(host))
        member = Member(node, address_of(host), NodeRole.REPLICA, f"id-{host}")
        changed = topology.with_replaced(member)
        tolerances = self._cluster.settings.tolerances
        plan = change_topology(
            topology, changed, tolerances, f"inc-{host}", program.now(), 1.0, newcomer
        )
        return self._operate(plan)

    def _operate(self, plan: Any) -> list[str]:
        """Have the operator carry out a plan; only what goes wrong is told, the rest shows in what
        the servers say.
        """
        call = _Call()
        self._program("operator").start(_noting(plan, "operate", call))
        text = self._finished(call)
        return [] if text == "done" else [text]

    def _monitor(self, words: list[str]) -> list[str]:  # noqa: ARG002
        """monitor: one watches from now on"""
        program, count = self._program("monitor"), upkeep.Count()
        program.start(upkeep.watch(program, self._cluster.customs, Random(1), count, lambda: True))
        return []

    def _work(self, words: list[str]) -> list[str]:  # noqa: ARG002
        """work: workers look after the cluster until there is nothing left to do, or they cannot do
        it
        """
        program = self._program("worker")
        if not self._is_working:
            self._is_working = True
            program.start(
                upkeep.work(program, self._cluster.customs, Random(1), upkeep.Count(), lambda: True)
            )
        is_settled = self._run(LONGEST_SECONDS, lambda: not self._cluster.inspection.unsettled())
        left = self._cluster.inspection.unsettled()
        # Until the copies that are only behind have what they lack.
        self._run(1.0)
        return [] if is_settled else [f"left to do: {', '.join(left)}"]

    def _wait(self, words: list[str]) -> list[str]:
        """wait SECONDS"""
        self._run(float(words[1]))
        return []

    # What is the case -----------------------------------------------------------------------------

    def _status(self, words: list[str]) -> list[str]:  # noqa: ARG002
        """status: what each server says of itself"""
        return [f"{node}: {said}" for node, said in self._statements().items()]

    def _show(self, words: list[str]) -> list[str]:
        """show KEY: what each server holds"""
        return [" ".join(f"{node}={value}" for node, value in self._held(words[1]).items())]

    def _expect(self, words: list[str]) -> list[str]:
        """expect primary=b epoch=2 x=1: fails where that is not so; x=1 of all members that are up,
        "-" for nothing
        """
        topology = self._cluster.inspection.newest_topology()
        for word in words[1:]:
            name, _, wanted = word.partition("=")
            if name == "primary":
                found = {topology.decider or "several"}
            elif name == "epoch":
                found = {str(topology.epoch)}
            else:
                held = {
                    node: value
                    for node, value in self._held(name).items()
                    if not node.startswith("former")
                }
                found = set(held.values()) - {"down"}
            if found != {wanted}:
                raise CommandError(f"expected {word}, found {name}={','.join(sorted(found))}")
        return []

    def _held(self, key: str) -> dict[str, str]:
        name = LAYOUT.data(key.encode())
        held = {}
        for node, machine in self._machines().items():
            item = machine.server.data.get(name)
            content = value_in(None if item is None else item.value)
            held[node] = "down" if not machine.is_up else "-" if content is None else str(content)
        return held

    def _machines(self) -> dict[str, Machine]:
        """The members' servers, and those that were a member's before and still have what they
        had.
        """
        members = self._cluster.inspection.members()
        others = [
            each for each in self._cluster.network.machines.values() if each not in members.values()
        ]
        return members | {f"former {each.name}": each for each in others if each.server.data}

    def _statements(self) -> dict[str, str]:
        return {node: self._statement(node, machine) for node, machine in self._machines().items()}

    def _statement(self, node: str, machine: Machine) -> str:
        if not machine.is_up:
            return "down"
        report = self._cluster.inspection.report(machine, node.removeprefix("former "))
        if not isinstance(report, NodeReport):
            return "unreadable"
        own = report.own_topology
        if own is None:
            return "empty"
        role = "one of several primaries" if own.decider is None else "replica"
        role = "primary" if own.decider == report.node else role
        restarted = ", restarted" if report.has_restarted else ""
        return f"{role}, {report.state}, epoch {report.epoch}{restarted}"

    def _changes(self) -> list[str]:
        """What servers say now that did not say it before."""
        before, self._said = self._said, self._statements()
        changed = [node for node, said in self._said.items() if before.get(node, said) != said]
        told = [f"{node}: {before[node]} -> {self._said[node]}" for node in changed]
        return told + [f"{node}: {said}" for node, said in self._said.items() if node not in before]

    def _run(self, seconds: float, is_over: Callable[[], bool] | None = None) -> bool:
        world = self._cluster.world
        return world.run(world.now + seconds, is_over)


def _options(words: list[str]) -> tuple[dict[str, str], list[str]]:
    """What follows `at`, `by` and `from`, and the other words."""
    options, rest, left = {}, [], iter(words)
    for word in left:
        if word in ("at", "by", "from"):
            options[word] = next(left, "")
        else:
            rest.append(word)
    return options, rest


def _noting(plan: Any, kind: str, call: _Call) -> Script:
    """Carry out one plan, and put into words how it ended."""
    return _carried_out(plan, kind, call)


def _carried_out(plan: Any, kind: str, call: _Call) -> Generator[Any, Any, None]:
    try:
        result = yield plan
    except WriteFailure as error:
        receipt = error.receipts[0] if error.receipts else None
        call.text = type(error).__name__ if receipt is None else _describe(receipt)
    except RedreplError as error:
        call.text = type(error).__name__
    else:
        if kind == "read":
            call.text = "nothing" if result is None else str(content_of(result.value))
        else:
            call.text = _describe(result) if isinstance(result, WriteReceipt) else str(result)
        if kind == "operate":
            call.text = "done"


def _describe(receipt: WriteReceipt) -> str:
    groups = {"acked": receipt.acked, "pending": receipt.pending, "failed": receipt.failed}
    parts = [f"{name} {' '.join(sorted(nodes))}" for name, nodes in groups.items() if nodes]
    applied = "" if receipt.applied or receipt.outcome.value != "committed" else " (not applied)"
    return f"{receipt.outcome.value}{applied}: {', '.join(parts)}"
