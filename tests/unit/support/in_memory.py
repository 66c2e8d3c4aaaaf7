"""A cluster in memory: plans run against fakeredis nodes, with a clock that stands still until
somebody waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from copy import deepcopy
from typing import Any, TypeVar

import fakeredis

from redrepl.edges.scripts import all_scripts
from redrepl.plans.epochs.change_members import change_topology
from redrepl.plans.epochs.membership import Tolerances, initialise
from redrepl.plans.inspect import inspect_nodes
from redrepl.plans.recovery.bring_up import BringUpOrder, BroughtUp, bring_up
from redrepl.plans.view import ClusterView
from redrepl.values.effects import (
    Ask,
    Command,
    DeadlinePassed,
    Event,
    Exchange,
    Failure,
    Plan,
    Reply,
    Request,
    ScriptCall,
)
from redrepl.values.keys import KeyLayout
from redrepl.values.record import TOMBSTONE, Record, parse_record, value_record
from redrepl.values.report import NodeReport
from redrepl.values.stamp import Stamp
from redrepl.values.topology import Member, Mode, NodeRole, Topology
from tests.support.questions import Questions
from tests.support.scripts import load_scripts
from tests.unit.support.by_hand import topology
from tests.unit.support.compiled_scripts import compile_scripts_once
from tests.unit.support.digest import digest

R = TypeVar("R")
SECOND = 1_000_000
MAX_AGE_SECONDS = 30.0
QUICK_SECONDS = 0.0001
"""Less than an answer really takes: the nodes tell the real time, which must not fall behind."""
FRESH = {node: f"id-fresh-{node}" for node in "abcdefgxy"}
"""Identities for whoever gets one."""


class Nodes:
    """Servers a, b, c ... of one cluster.

    A node in ``down`` answers nothing.

    clocks_ahead: seconds by which nodes' clocks are ahead when they are looked at; scripts and
    expiry do not follow.
    meanwhile: what happens just before a script runs the next time, by the script's name.
    answer_seconds: how long a node takes for each answer, one after the other; where it is more
    than QUICK_SECONDS, deadlines pass before that.
    """

    def __init__(self, copies: int, mode: Mode = Mode.PRIMARY_REPLICA) -> None:
        self.layout = KeyLayout("shop")
        self.first = topology(copies, mode, epoch=1)
        self.down: set[str] = set()
        self.at = 100.0
        self.answer_seconds = QUICK_SECONDS
        self.meanwhile: dict[str, Callable[[], None]] = {}
        self.clocks_ahead: dict[str, float] = {}
        self._servers = {node: fakeredis.FakeServer(version=(7,)) for node in self.first.ids}
        self._incarnations = 0
        self._clients = {node: self._new_client(server) for node, server in self._servers.items()}
        self._runs = dict.fromkeys(self.first.ids, 1)
        self._ready_at: dict[str, float] = {}
        self._slept_seconds = 0.0
        self.run(
            initialise(self.first, {n: f"inc-{n}" for n in self.first.ids}, Tolerances(), self.at)
        )

    def run(self, plan: Plan[R]) -> R:
        """Drive a plan to its end."""
        events: deque[Event] = deque()
        questions = Questions()
        try:
            effect = next(plan)
            while True:
                if not isinstance(effect, Exchange):
                    effect = plan.send(DeadlinePassed(self.at))
                    continue
                if isinstance(effect, Ask):
                    events.clear()
                questions.asked(plan, effect)
                events.extend(self._event(request) for request in effect.requests)
                if not events:
                    self.at = max(self.at, effect.until)
                    events.append(DeadlinePassed(self.at))
                event = self._next(events, effect.until)
                questions.answered(plan, event)
                effect = plan.send(event)
        except StopIteration as end:
            result: R = end.value
            return result

    def send(self, node: str, command: Command) -> Any:
        """What a node answers, as it comes over the wire."""
        client = self._clients[node]
        if isinstance(command, ScriptCall) and command.script in self.meanwhile:
            self.meanwhile.pop(command.script)()
        if isinstance(command, ScriptCall) and command.script == "digest":
            return digest(client, command)
        if isinstance(command, ScriptCall):
            sha = all_scripts()[command.script].sha.decode()
            answer = client.execute_command(
                "EVALSHA", sha, len(command.keys), *command.keys, *command.arguments
            )
            if command.script == "inspect":
                shown = self.clocks_ahead.get(node, 0.0) + self._slept_seconds
                answer[5] = b"%d" % (int(answer[5]) + int(1000 * shown))
            return answer
        if command.arguments[0] == b"INFO":
            return f"# Server\r\nrun_id:run-{node}-{self._runs[node]}\r\n".encode()
        return client.execute_command(*command.arguments)

    def client(self, node: str) -> Any:
        """The bare server, to do things behind the cluster's back."""
        return self._clients[node]

    def restart(self, node: str) -> None:
        """The server comes back with its data and another run id."""
        self._runs[node] += 1

    def dump(self, node: str) -> Any:
        """All that a server holds now, to be put back with `restore`."""
        return deepcopy(self._servers[node].dbs[0]._dict)

    def restore(self, node: str, data: Any) -> None:
        """The server comes back with older data."""
        self.set_back(node, data)
        self.restart(node)

    def set_back(self, node: str, data: Any) -> None:
        """The server goes on with older data."""
        self._servers[node].dbs[0]._dict = deepcopy(data)

    def lose_everything(self, node: str) -> None:
        """The server comes back empty."""
        self.client(node).flushall()
        self.restart(node)

    def start(self, node: str) -> None:
        """One more server, which belongs to nobody yet."""
        self._servers[node] = fakeredis.FakeServer(version=(7,))
        self._clients[node], self._runs[node] = self._new_client(self._servers[node]), 1

    def add(self, node: str) -> None:
        """Take one more server in, empty and syncing."""
        self.start(node)
        self.take_in(node)

    def take_in(self, node: str) -> None:
        """Make a server a member, with whatever it holds."""
        self._change(
            self.view().topology.with_member(Member(node, f"redis://{node}", NodeRole.REPLICA))
        )

    def remove(self, node: str) -> None:
        """Take a member out."""
        self._change(self.view().topology.without_member(node))

    def _change(self, changed: Topology) -> None:
        old = self.view().topology
        self.run(
            change_topology(old, changed, Tolerances(), f"inc-joined-{changed.epoch}", self.at)
        )
        self.first = changed

    def report(self, node: str) -> NodeReport:
        """What a node tells about itself."""
        found = self.run(inspect_nodes(self.layout, (node,), self.at + 5))
        assert node in found.present, found.silent
        return found.present[node]

    def view(self) -> ClusterView:
        """The view of the newest topology."""
        known = [self.report(node).topology for node in self.first.ids if node not in self.down]
        newest: Topology = max((t for t in known if t is not None), key=lambda t: t.epoch)
        return ClusterView(newest)

    def bring_up(
        self,
        node: str,
        exactly: bool = False,
        fails_over: bool = False,
        budget_seconds: float = 60.0,
        may_replace: bool = True,
    ) -> BroughtUp:
        """One run of the workers' job."""
        self._incarnations += 1
        until, n = self.at + budget_seconds, self._incarnations
        order = BringUpOrder(
            f"inc-{n}",
            f"id-{n}",
            Tolerances(),
            self.at,
            until,
            exactly,
            fails_over,
            may_replace=may_replace,
        )
        return self.run(bring_up(self.layout, self.first.ids, node, order))

    def write(self, nodes: str, key: bytes, record: Record) -> None:
        """A write that arrives at these nodes alone."""
        call = self.view().write_call(key, record.encode())
        for node in nodes:
            assert self.send(node, call) == 1

    def put(self, node: str, key: bytes, record: Record) -> None:
        """Let a record and its log entry stand on a node, as if it had been written long ago."""
        client = self.client(node)
        client.execute_command("SET", self.layout.data(key), record.encode())
        client.execute_command(
            "XADD", self.layout.log, "*", self.layout.data(key), record.stamp.encode()
        )

    def record(self, node: str, key: bytes) -> Record | None:
        """What stands on a node."""
        found = self.client(node).execute_command("GET", self.layout.data(key))
        return None if found is None else parse_record(found)

    def contents(self, node: str) -> dict[bytes, Record]:
        """All records of a node."""
        names = self.client(node).execute_command("KEYS", self.layout.data_pattern)
        found = {
            self.layout.user_key(name): self.record(node, self.layout.user_key(name))
            for name in names
        }
        return {key: record for key, record in found.items() if record is not None}

    def present(self, node: str) -> dict[bytes, Record]:
        """The records of a node that are no tombstones."""
        return {
            key: record for key, record in self.contents(node).items() if record.kind != TOMBSTONE
        }

    def value(self, payload: bytes, seconds_ago: float = 0.0, writer: int = 1) -> Record:
        """A record with a stamp so long before the servers' present."""
        seconds, micros = self.client("a").execute_command("TIME")
        return value_record(
            Stamp(int(seconds) * SECOND + int(micros) - int(seconds_ago * SECOND), writer), payload
        )

    def _next(self, events: deque[Event], until: float) -> Event:
        """The next event; of slow nodes, the deadline where that comes first."""
        if self.answer_seconds <= QUICK_SECONDS:
            return events.popleft()
        first = min(events, key=_time_of)
        if _time_of(first) > until:
            self._sleep_until(until)
            return DeadlinePassed(self.at)
        events.remove(first)
        self._sleep_until(_time_of(first))
        return first

    def _sleep_until(self, at: float) -> None:
        """Let time pass that no test waits for: the nodes' clocks show it too."""
        self._slept_seconds += max(0.0, at - self.at)
        self.at = max(self.at, at)

    def _event(self, request: Request) -> Event:
        at = self._answered_at(request.node)
        if request.node in self.down or request.node not in self._clients:
            return Failure(request.node, request.tag, "down", False, at)
        return Reply(request.node, request.tag, self.send(request.node, request.command), at)

    def _answered_at(self, node: str) -> float:
        if self.answer_seconds <= QUICK_SECONDS:
            self.at += QUICK_SECONDS
            return self.at
        at = self._ready_at[node] = (
            max(self.at, self._ready_at.get(node, 0.0)) + self.answer_seconds
        )
        return at

    def _new_client(self, server: fakeredis.FakeServer) -> Any:
        client: Any = fakeredis.FakeRedis(server=server, protocol=2)
        compile_scripts_once(server, client)
        load_scripts(
            server, (script for script in all_scripts().values() if script.name != "digest")
        )
        client.response_callbacks.clear()
        return client


def _time_of(event: Event) -> float:
    return event.at
