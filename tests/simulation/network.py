"""Machines that run the servers, and the connections between programs and them.

A connection keeps the order of what is sent on it. What a cut link holds up arrives when the link
heals, as TCP sends again; a connection may also break, with everything on its way in one direction,
and the other side may or may not notice. What was sent before a client closed a connection may
still arrive, behind what it sent later on a new one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from redrepl.edges.admission import MEMBER_FIELDS, Membership
from redrepl.edges.introduction import membership_in
from redrepl.edges.pending import Run
from redrepl.plans.inspect import run_id_in
from redrepl.values.effects import Command, PlainCommand, Request, ScriptCall
from redrepl.values.keys import KeyLayout
from redrepl.values.reasons import NOT_OURS, REFUSES
from redrepl.values.report_answer import UNREADABLE
from tests.simulation.servers import Data, Server
from tests.simulation.sources import Sources
from tests.simulation.world import BEGINNING_SECONDS, World, latency_seconds

LATENCY_SECONDS = 0.0006
SERVICE_SECONDS = 0.0001
RETRANSMISSION_SECONDS = 0.3
STILL_ARRIVES = 0.8
"""How likely it is that what was under way on a connection arrives after the client has closed
it.
"""

COPYING = frozenset(("headers", "read_many", "log_page"))
"""Scripts with which a worker that has looked at a node goes on to what it holds."""

STORING = frozenset(("absorb", "absorb_oom"))
"""Scripts with which a worker brings to a node what it lacks."""


class Hello(NamedTuple):
    """The first thing on a new connection: who are you, and which scripts do you have?"""


class Load(NamedTuple):
    """Have these scripts loaded, by digest."""

    shas: tuple[bytes, ...]


class Introduction(NamedTuple):
    """The answer to Hello: membership, and digests of the scripts that are missing."""

    membership: Membership
    missing: tuple[bytes, ...]


class Lost(NamedTuple):
    """Comes instead of answers: the connection is gone."""

    reason: str


Packet = Hello | Load | Request
Twist = Callable[[Command, Callable[[], Any]], Any]


class Link:
    """The way between one program and one machine.

    cuts: how many faults cut it at present. under_way: packets that have neither arrived nor been
    lost.
    """

    def __init__(self, world: World, program: str, node: str, break_rate: float) -> None:
        self.random = world.stream(f"link {program} {node}")
        self.world = world
        self.cuts = 0
        self.under_way = 0
        self.usual_seconds = LATENCY_SECONDS
        self.is_steady = False
        self.break_rate = break_rate
        self._held_up: list[Pipe] = []

    def latency(self) -> float:
        """How long the next packet takes."""
        if self.is_steady:
            return self.usual_seconds * (0.8 + 0.4 * self.random.random())
        return latency_seconds(self.random, self.usual_seconds)

    def hold_up(self, pipe: Pipe) -> None:
        """This direction waits for the link to heal."""
        self._held_up.append(pipe)

    def heal(self) -> None:
        """One of the faults that cut it is over."""
        self.cuts -= 1
        if not self.cuts:
            waiting, self._held_up = self._held_up, []
            for pipe in waiting:
                self.world.after(self.random.random() * RETRANSMISSION_SECONDS, pipe.flush)


class Pipe:
    """One direction of a connection: what enters arrives in order, or no more."""

    __slots__ = ("_deliver", "_held", "_last", "_link", "is_broken")

    def __init__(self, link: Link, deliver: Callable[[Any], None]) -> None:
        self._link = link
        self._deliver = deliver
        self._held: list[Any] = []
        self._last = 0.0
        self.is_broken = False

    def push(self, packet: Any) -> None:
        """Send something."""
        if self.is_broken:
            return
        link = self._link
        link.under_way += 1
        self._last = max(self._last, link.world.now + link.latency())
        link.world.at(self._last, self._arrive, packet)

    def flush(self) -> None:
        """The link has healed: what was held up arrives, unless it is cut again."""
        held, self._held = self._held, []
        for packet in held:
            self._arrive(packet)

    def _arrive(self, packet: Any) -> None:
        if self.is_broken:
            self._link.under_way -= 1
        elif self._link.cuts or self._held:
            if not self._held:
                self._link.hold_up(self)
            self._held.append(packet)
        else:
            self._link.under_way -= 1
            self._deliver(packet)


def _ignore(_: Connection) -> None:
    """Nobody reads from the connection at present."""


NO_RUN = -1
"""In place of the run of the server that a connection belongs to, where the server has ended it."""


class Connection:
    """What the library's `NodeConnection` is to a switchboard, without a socket.

    run_id: the server's, if known. client_id: what the server calls this connection.
    """

    __slots__ = (
        "_from_node",
        "_link",
        "_lost",
        "_received",
        "_to_node",
        "client_id",
        "is_closed",
        "machine",
        "node",
        "on_readable",
        "owed",
        "program",
        "proven_at",
        "run",
        "run_id",
        "took_at",
        "unsent",
    )

    def __init__(self, program: str, link: Link, machine: Machine, node: str) -> None:
        self.program = program
        self.node = node
        self.machine = machine
        self.run = machine.run
        self.run_id = ""
        self.client_id: int | None = None
        self.owed: deque[tuple[Run, Request, float]] = deque()
        self.unsent = b""
        self.took_at = 0.0
        self.proven_at = link.world.now
        self.is_closed = False
        self.on_readable: Callable[[Connection], None] = _ignore
        self._link = link
        self._received: list[Any] = []
        self._lost: str | None = None
        self._to_node = Pipe(link, self._reach_node)
        self._from_node = Pipe(link, self._reach_program)

    @property
    def has_something(self) -> bool:
        """Whether `receive` would tell something."""
        return bool(self._received) or self._lost is not None

    def send(self, packet: Packet) -> None:
        """Send to the server. Now and then that breaks the connection."""
        if self._link.random.random() < self._link.break_rate:
            self._break()
        self._to_node.push(packet)

    def answer(self, content: Any) -> None:
        """The server answers."""
        self._from_node.push(content)

    def receive(self) -> list[Any]:
        """What has come. Raises OSError where the connection is lost."""
        if self._received:
            received, self._received = self._received, []
            return received
        if self._lost is not None:
            raise ConnectionResetError(self._lost)
        return []

    def close(self) -> None:
        """The program wants no more of it."""
        self.is_closed = True
        self._from_node.is_broken = True
        if self._link.random.random() > STILL_ARRIVES:
            self._to_node.is_broken = True

    def _break(self) -> None:
        """Lose what is on its way and what comes, in one direction; perhaps the program is told."""
        random = self._link.random
        broken = self._to_node if random.random() < 0.5 else self._from_node
        broken.is_broken = True
        if self._link.world.is_traced:
            self._link.world.note(self.program, f"   connection to {self.node} breaks")
        if random.random() < 0.5:
            self._link.world.after(random.random() * 0.05, self._reach_program, Lost("reset"))

    def _reach_node(self, packet: Packet) -> None:
        self.machine.receive(self, packet)

    def _reach_program(self, content: Any) -> None:
        if self.is_closed or self._lost is not None:
            return
        if type(content) is Lost:
            self._lost = content.reason
        else:
            self._received.append(content)
        self.on_readable(self)


def _nobody_cares(_: Machine) -> None:
    """A membership may have changed."""


class Machine:
    """Runs one server.

    ``run`` counts its starts. ``skew_seconds``: what its clock is ahead of the world's.

    on_change: called when somebody may have changed its membership. Its name is the host in its
    address.
    was_far_ahead: its clock was, by more than any deadline of a record, so that it dropped those
    that have one.
    before_copying, before_storing: called once, before the next script of `COPYING`, or `STORING`,
    runs.
    twist: what is answered in place of carrying a command out; it gets the command, and how to
    carry it out.
    """

    def __init__(
        self, world: World, server: Server, layout: KeyLayout, sources: Sources, skew_seconds: float
    ) -> None:
        self.world = world
        self.server = server
        self.name = server.name
        self.skew_seconds = skew_seconds
        self.is_in_time = True
        self.was_far_ahead = False
        self.largest_skew_seconds = float("inf")
        self.service_seconds = SERVICE_SECONDS
        self.is_up = True
        self.freezes = 0
        self.run = 0
        self.saved: Data | None = None
        self.on_change: Callable[[Machine], None] = _nobody_cares
        self.before_copying: Callable[[], None] | None = None
        self.before_storing: Callable[[], None] | None = None
        self.twist: Twist | None = None
        self._random = world.stream(f"machine {server.name}")
        self._sources = sources
        self._shas = tuple(script.sha for script in sources.values())
        self.layout = layout
        self._ask_member = PlainCommand((b"HMGET", layout.member, *MEMBER_FIELDS))
        self._waiting: deque[tuple[Connection, Packet]] = deque()
        self._connections: list[Connection] = []
        self._last_client = 0
        self._is_busy = False
        self.start({})

    def start(self, data: Data | None = None) -> None:
        """The server begins a new run, with the data it has or with this instead."""
        self.run += 1
        self._last_client = 0
        self.is_up = True
        self.server.start(f"run-{self.name}-{self.run}", data)

    def kill(self) -> None:
        """The server dies; its connections are reset, and what waited for it is gone."""
        self.is_up = False
        self._waiting.clear()
        connections, self._connections = self._connections, []
        for connection in connections:
            connection.answer(Lost("the server closed the connection"))

    def save(self) -> None:
        """Set the data aside, for a restart with an older file."""
        self.saved = self.server.set_aside()

    def set_back(self) -> None:
        """The server's memory is again what was set aside, and it goes on in the same run."""
        data, self.saved = self.saved, None
        self.server.hold(data)

    def flush_scripts(self) -> None:
        """Somebody calls SCRIPT FLUSH."""
        self.server.scripts.clear()

    def freeze(self) -> None:
        """Nothing is carried out until `thaw`; what arrives waits."""
        self.freezes += 1

    def thaw(self) -> None:
        """Go on with what waits."""
        self.freezes -= 1
        self._go_on()

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits for it."""
        return not self._waiting

    def ask(self, command: Command) -> Any:
        """What the server answers, behind everybody's back and at once."""
        if type(command) is ScriptCall:
            self.server.scripts.add(self._sources[command.script].sha)
        return self._carry_out(command)

    def receive(self, connection: Connection, packet: Packet) -> None:
        """Something arrives."""
        if type(packet) is Hello and self.is_up:
            connection.run = self.run
            self._last_client += 1
            connection.client_id = self._last_client
            self._connections.append(connection)
        if not self.is_up or connection.run != self.run:
            connection.answer(Lost("the server does not know it" if self.is_up else REFUSES))
            return
        self._waiting.append((connection, packet))
        self._go_on()

    def _go_on(self) -> None:
        if self._waiting and self.is_up and not self.freezes and not self._is_busy:
            self._is_busy = True
            self.world.after(self.service_seconds * (0.5 + self._random.random()), self._serve)

    def _serve(self) -> None:
        self._is_busy = False
        if self._waiting and self.is_up and not self.freezes:
            connection, packet = self._waiting.popleft()
            if type(packet) is Hello:
                content: Any = self._introduce()
            elif type(packet) is Load:
                self.server.scripts.update(packet.shas)
                content = None
            else:
                assert isinstance(packet, Request)
                self._let_happen(packet.command)
                content = self._answer(packet.command)
                if type(packet.command) is ScriptCall and packet.command.script == "change_member":
                    self.on_change(self)
                if self.world.is_traced:
                    what = (
                        f"   for {connection.program}: {brief(packet.command)} -> "
                        f"{brief_answer(content)}"
                    )
                    self.world.note(self.name, what)
            connection.answer(content)
        self._go_on()

    def _let_happen(self, command: Command) -> None:
        """What waits for a job to go on from its look at this node to its records happens now,
        once.
        """
        if type(command) is not ScriptCall:
            return
        if self.before_copying and command.script in COPYING:
            happen, self.before_copying = self.before_copying, None
            happen()
        if self.before_storing and command.script in STORING:
            happen, self.before_storing = self.before_storing, None
            happen()

    def _answer(self, command: Command) -> Any:
        if self.twist is None:
            return self._carry_out(command)
        return self.twist(command, lambda: self._carry_out(command))

    def _introduce(self) -> Introduction | Lost:
        """What is said on a new connection.

        What cannot be read ends it, as the library's introduction does.
        """
        fields, information = (
            self._answer(self._ask_member),
            self._answer(PlainCommand((b"INFO", b"server"))),
        )
        if isinstance(fields, Exception) and str(fields).startswith("WRONGTYPE"):
            fields = [None] * len(MEMBER_FIELDS)
        missing = tuple(sha for sha in self._shas if sha not in self.server.scripts)
        try:
            membership = membership_in(fields, run_id_in(information))
        except UNREADABLE:
            return Lost(NOT_OURS)
        return Introduction(membership, missing) if membership.actual_run_id else Lost(NOT_OURS)

    def _end_client(self, client_id: int) -> int:
        """`CLIENT KILL ID`: nothing that waits on that connection, or comes on it later, is carried
        out.
        """
        ended = [
            connection for connection in self._connections if connection.client_id == client_id
        ]
        for connection in ended:
            connection.run = NO_RUN
            self._connections.remove(connection)
        self._waiting = deque(
            (connection, packet) for connection, packet in self._waiting if connection not in ended
        )
        return len(ended)

    def _carry_out(self, command: Command) -> Any:
        if type(command) is PlainCommand and command.arguments[:3] == (b"CLIENT", b"KILL", b"ID"):
            return self._end_client(int(command.arguments[3]))
        return self.server.answer(command, self._sources, self.wall_seconds)

    @property
    def wall_seconds(self) -> float:
        """What the server's clock shows, in seconds since 1970."""
        return BEGINNING_SECONDS + self.world.now + self.skew_seconds


class Network:
    """All machines, and the links of every program to them. nodes: the members' names, each the
    host of its first address. invented: names of members that a node may tell of and that are
    nowhere.
    """

    def __init__(
        self,
        world: World,
        machines: list[Machine],
        nodes: tuple[str, ...],
        break_rate: float,
        farthest_seconds: float = 0.0,
    ) -> None:
        self.world = world
        self.nodes = nodes
        self.invented: tuple[str, ...] = ()
        self.machines = {machine.name: machine for machine in machines}
        self.links: dict[tuple[str, str], Link] = {}
        self._break_rate = break_rate
        self._farthest_seconds = farthest_seconds

    def hold_together(self) -> None:
        """From now on no connection breaks by itself."""
        self._break_rate = 0.0
        for link in self.links.values():
            link.break_rate = 0.0

    def at(self, url: str) -> Machine:
        """Which machine has this address."""
        return self.machines[host_of(url)]

    def has(self, url: str) -> bool:
        """Whether there is a machine at this address."""
        return host_of(url) in self.machines

    def link(self, program: str, node: str) -> Link:
        """The way between a program and a machine."""
        found = self.links.get((program, node))
        if found is None:
            found = self.links[program, node] = Link(self.world, program, node, self._break_rate)
            if self._farthest_seconds:
                found.is_steady = True
                found.usual_seconds = found.random.random() * self._farthest_seconds / 2
        return found


def address_of(host: str) -> str:
    """Where the machine of this name is reached."""
    return f"redis://{host}:6379/0"


def host_of(url: str) -> str:
    """The machine in an address."""
    return url.removeprefix("redis://").partition(":")[0]


def brief(command: Command) -> str:
    """A command as the trace shows it."""
    if type(command) is ScriptCall:
        keys = b" ".join(key for key in command.keys if b":k:" in key)
        return f"{command.script} {_short(keys)} {_short(b' '.join(map(_text, command.arguments)))}"
    return _short(b" ".join(map(_text, command.arguments)))


def brief_answer(content: Any) -> str:
    """An answer as the trace shows it."""
    return repr(content)[:150]


def _text(argument: bytes | int) -> bytes:
    return argument if isinstance(argument, bytes) else b"%d" % argument


def _short(text: bytes) -> str:
    shown = text.decode("utf-8", "replace")
    return shown if len(shown) <= 110 else f"{shown[:107]}..."
