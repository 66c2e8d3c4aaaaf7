"""Programs of the simulation: the third driver of the library's plans, on the library's own
switchboard.

What is sent when, whom an answer belongs to, gates, retries and admission are the library's code
(`redrepl.edges.switchboard`, `opening`, `admission`). Here is what stands for sockets, threads and
waiting.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

from redrepl.edges.addresses import WITHHELD
from redrepl.edges.admission import Admission, Purpose
from redrepl.edges.endpoint import split_url
from redrepl.edges.opening import NodeGate
from redrepl.edges.pending import Run
from redrepl.edges.restarts import RestartGuard
from redrepl.edges.switchboard import Switchboard
from redrepl.values.effects import (
    NOT_BEGUN,
    Ask,
    DeadlinePassed,
    Event,
    Exchange,
    Plan,
    Progress,
    Request,
)
from redrepl.values.keys import KeyLayout
from redrepl.values.reasons import LOST, REFUSES
from redrepl.values.topology import Topology
from tests.simulation.network import (
    Connection,
    Hello,
    Introduction,
    Link,
    Load,
    Machine,
    Network,
    address_of,
    brief,
)
from tests.simulation.world import BEGINNING_SECONDS, World
from tests.simulation.world import Event as Appointment
from tests.support.questions import Questions


class Rest(NamedTuple):
    """A script lets time pass."""

    seconds: float


Script: TypeAlias = Generator[Any, Any, None]
"""What a program does, one plan after the other: yields plans and rests, gets their results."""


class Gate(NodeGate):
    """The library's gate to a node, opening connections in the simulation instead of in a
    thread.
    """

    def __init__(
        self,
        program: Program,
        node: str,
        admission: Admission,
        timeout_seconds: float,
        url: str,
        identity: str | None = None,
    ) -> None:
        super().__init__(
            replace(split_url(node, url), identity=identity), admission, timeout_seconds
        )
        self._program = program
        self._node = node
        self._opening: Connection | None = None
        self._late: Appointment | None = None

    def request(self, wake: Callable[[], None]) -> str | None:
        """As the library's, without a thread."""
        if self._closed:
            return "the coordinator is closed"
        if not self._program.network.has(self.endpoint.url):
            return WITHHELD.format(url=self.endpoint.url)
        if self.trouble is not None and self._program.world.now < self._retry_at:
            return self.trouble
        if wake not in self._wanted and wake not in self._kept:
            self._wanted.append(wake)
        if self._opening is None:
            self.failed_opening = None
            self._begin()
        return None

    def _open_more(self) -> str | None:
        """Here one connection is opened after the other."""
        return None

    def _begin(self) -> None:
        program = self._program
        self._openings, self._asked_at = 1, program.world.now
        machine = program.network.at(self.endpoint.url)
        link = program.network.link(program.name, machine.name)
        self._opening = program.new_connection(link, machine, self._node)
        self._opening.on_readable = program.unless_paused(self._go_on)
        late = program.unless_paused(self._give_up)
        self._late = program.world.after(self.timeout_seconds, late, self._opening)
        self._opening.send(Hello())

    def _go_on(self, connection: Connection) -> None:
        if connection is not self._opening:
            return
        try:
            (content,) = connection.receive()
        except OSError as error:
            self._fail(
                f"{LOST} while it was opened: {error}" if REFUSES not in str(error) else str(error)
            )
            return
        if type(content) is not Introduction:
            self._hand_over(connection, None)
            return
        if (
            reason := self.admission.refusal(self._node, content.membership, self.endpoint.identity)
        ) is not None:
            self._fail(reason)
            return
        connection.run_id = content.membership.actual_run_id
        if content.missing:
            connection.send(Load(content.missing))
        else:
            self._hand_over(connection, None)

    def _give_up(self, connection: Connection) -> None:
        if connection is self._opening:
            self._fail("did not answer in time")

    def _fail(self, reason: str) -> None:
        if self._opening is not None:
            self._opening.close()
            self._hand_over(None, reason)

    def _hand_over(self, connection: Connection | None, trouble: str | None) -> None:
        if self._late is not None:
            self._late.cancel()
        if self._opening is not None:
            self._opening.on_readable = _nothing
        self._opening = None
        if not self._opened(connection, trouble):  # type: ignore[arg-type]  # stands for a NodeConnection
            self._begin()


def _nothing(_: Connection) -> None:
    """Nobody reads."""


class Channel(Switchboard):
    """Drives one plan at a time, as the library's blocking channel does, but never waits."""

    def __init__(self, program: Program, restart_guard: RestartGuard | None = None) -> None:
        super().__init__(lambda: program.gates, program.timeout_seconds, restart_guard)
        self._program = program
        self._world = program.world
        self._run = Run()
        self._plan: Plan[Any] | None = None
        self._done: Callable[[Any, BaseException | None], None] = _ignore
        self._deadline: Appointment | None = None
        self._holds = False
        self._gate: str | None = None
        self._is_called = False
        self._questions = Questions()

    def run(self, plan: Plan[Any], done: Callable[[Any, BaseException | None], None]) -> None:
        """Drive the plan to its end; ``done`` gets its result, or what it raised."""
        assert self._plan is None, "a channel drives one plan at a time"
        self._plan, self._done = plan, done
        self.begin_plan()
        self._poll()
        self._advance(NOT_BEGUN)

    def stop(self) -> None:
        """The program is no more."""
        plan, self._plan = self._plan, None
        if plan is not None:
            plan.close()
        if self._deadline is not None:
            self._deadline.cancel()
        self.close_connections()

    # Driving the plan -----------------------------------------------------------------------------

    def _advance(self, value: Event) -> None:
        plan = self._plan
        assert plan is not None
        try:
            while True:
                self._questions.answered(plan, value)
                effect = plan.send(value)
                if isinstance(effect, Progress):
                    value = DeadlinePassed(self._world.now)
                    continue
                self._questions.asked(plan, effect)
                event = self._exchange(effect)
                if event is None:
                    return
                value = event
        except StopIteration as end:
            self._finish(end.value, None)
        except Exception as error:
            self._finish(None, error)

    def _finish(self, result: Any, error: BaseException | None) -> None:
        self._plan = None
        self._done(result, error)

    def _exchange(self, effect: Exchange) -> Event | None:
        if isinstance(effect, Ask):
            self._abandon()
        run = self._run
        if effect.requests:
            self.start(run, effect)
        self._gate = None
        required = effect.required_node
        if (
            required is not None
            and not run.events
            and not self._waiting
            and required in self._connections
        ):
            self._gate = required
        if not run.events:
            self._poll()
        if run.events:
            return run.events.popleft()
        if effect.until <= self._world.now:
            return self._last_look(run, effect.is_deadline)
        self._is_deadline = effect.is_deadline
        self._deadline = self._world.at(effect.until, self._time_is_up)
        return None

    def _abandon(self) -> None:
        """Nothing that is owed from before is wanted any more."""
        self._run.is_live = False
        self._run = Run()
        if self._waiting:
            self._forget_waiting()
        self.follow_gates()

    def _last_look(self, run: Run, is_deadline: bool) -> Event:
        self._gate = None
        self._poll()
        if is_deadline:
            self.give_up(run)
            self._forget_waiting()
        return run.events.popleft() if run.events else DeadlinePassed(self._world.now)

    def _go_on(self) -> None:
        """Something may have happened that the plan waits for."""
        if self._plan is None or self._deadline is None or not self._run.events:
            return
        self._deadline.cancel()
        self._deadline = None
        self._gate = None
        self._advance(self._run.events.popleft())

    def _time_is_up(self) -> None:
        if self._program.is_paused:
            self._deadline = self._world.at(self._program.paused_until, self._time_is_up)
        elif self._plan is not None:
            self._deadline = None
            self._advance(self._last_look(self._run, self._is_deadline))

    # What the switchboard asks for ----------------------------------------------------------------

    def _poll(self) -> None:
        """Read what has come, on every connection."""
        for connection in [*self._connections.values(), *self._retired]:
            if not connection.is_closed and connection.has_something:  # type: ignore[attr-defined]
                self.receive(connection)

    def _readable(self, connection: Connection) -> None:
        """Something has come.

        Nobody reads while no plan runs, nor anything else before the gate's answer.
        """
        if self._plan is None or self._deadline is None or connection.is_closed:
            return
        if self._gate is not None and connection.node != self._gate:
            return
        self.receive(connection)  # type: ignore[arg-type]
        self._go_on()

    def _watch(self, connection: Any) -> None:
        connection.on_readable = self._program.unless_paused(self._readable)

    def _unwatch(self, connection: Any) -> None:
        connection.on_readable = _nothing

    def _send(self, run: Run, connection: Any, request: Request, data: bytes, now: float) -> None:  # noqa: ARG002
        connection.owed.append((run, request, now))
        if self._world.is_traced:
            self._world.note(self._program.name, f"-> {request.node} {brief(request.command)}")
        connection.send(request)

    def _look_again_at(self, at: float) -> None:
        self._world.at(at, self._program.unless_paused(self._give_up_silent))

    def _give_up_silent(self) -> None:
        if not self._closed:
            self.end_late_knocks()
            self._go_on()

    def _ring(self) -> None:
        if not self._is_called and not self._closed:
            self._is_called = True
            self._world.after(0.0, self._program.unless_paused(self._answer))

    def _answer(self) -> None:
        self._is_called = False
        if self._closed:
            return
        self.answer_bell()
        self._go_on()


def _ignore(_result: Any, _error: BaseException | None) -> None:
    """Nobody waits for the result."""


class Program:
    """One process somewhere: gates to all nodes, threads that run scripts, a clock, and pauses.

    It may be killed.
    """

    def __init__(
        self,
        name: str,
        network: Network,
        layout: KeyLayout,
        purpose: Purpose,
        timeout_seconds: float,
        skew_seconds: float = 0.0,
    ) -> None:
        self.name = name
        self.network = network
        self.world: World = network.world
        self.timeout_seconds = timeout_seconds
        self.skew_seconds = skew_seconds
        self.paused_until = 0.0
        self.is_alive = True
        self.open_scripts = 0
        self.layout = layout
        self._purpose = purpose
        self._channels: list[Channel] = []
        self._scripts: list[Script] = []
        self._admission = Admission(layout, purpose)
        self.gates: dict[str, Gate] = {}
        for node in (*network.nodes, *network.invented):
            self.reach(node, address_of(node))

    def follow(self, topology: Topology) -> bool:
        """From now on these servers are the members; to others connections are neither kept nor
        opened.

        Answers whether any of them is reached at another address than before.
        """
        urls = {node: gate.endpoint.url for node, gate in self.gates.items()}
        for member in topology.members:
            if (
                self.gates[member.id].endpoint.identity != member.identity
                or urls[member.id] != member.url
            ):
                self.reach(member.id, member.url, member.identity)
        return any(urls[member.id] != member.url for member in topology.members)

    def reach(self, node: str, url: str, identity: str | None = None) -> None:
        """Have a node reached at an address, as a configuration file or a topology says."""
        former = self.gates.get(node)
        self.gates = {
            **self.gates,
            node: Gate(self, node, self._admission, self.timeout_seconds, url, identity),
        }
        if former is not None:
            former.close()

    @property
    def reached_urls(self) -> dict[str, str]:
        """By which url each node is reached."""
        return {node: gate.endpoint.url for node, gate in self.gates.items()}

    def new_connection(self, link: Link, machine: Machine, node: str) -> Connection:
        """A connection on which nothing was said yet."""
        return Connection(self.name, link, machine, node)

    def start(self, script: Script) -> None:
        """Begin to do something, in a thread of its own."""
        channel = Channel(self, RestartGuard() if self._purpose is Purpose.MAINTAIN else None)
        self._channels.append(channel)
        self._scripts.append(script)
        self.open_scripts += 1
        self.world.after(0.0, self._step, script, channel, None, None)

    def kill(self) -> None:
        """It is gone, in the middle of whatever it did; what it sent may still arrive."""
        self.is_alive = False
        for script in self._scripts:
            script.close()
        for channel in self._channels:
            channel.stop()
        for gate in self.gates.values():
            gate.close()

    def pause(self, seconds: float) -> None:
        """Nothing goes on here for a while; what comes waits."""
        self.paused_until = max(self.paused_until, self.world.now + seconds)

    @property
    def is_paused(self) -> bool:
        """Whether nothing goes on here."""
        return self.world.now < self.paused_until

    def unless_paused(self, call: Callable[..., None]) -> Callable[..., None]:
        """The call, when the program goes on."""

        def later(*arguments: Any) -> None:
            if not self.is_alive:
                return
            if self.is_paused:
                self.world.at(self.paused_until, later, *arguments)
            else:
                call(*arguments)

        return later

    @property
    def wall_seconds(self) -> float:
        """What its clock shows, in seconds since 1970."""
        return BEGINNING_SECONDS + self.world.now + self.skew_seconds

    @property
    def wall_ahead_seconds(self) -> float:
        """What its clock is ahead of the clock of deadlines."""
        return self.wall_seconds - self.now()

    # What a coordinator asks of its driver --------------------------------------------------------

    def now(self) -> float:
        """The clock of deadlines."""
        return self.world.now

    def latency_seconds(self, node: str) -> float:
        """How fast a node answers."""
        return self.gates[node].round_trip.smoothed_seconds

    def trouble(self, node: str) -> str | None:
        """What is known against a node."""
        return self.gates[node].current_trouble()

    def request(self, targets: Iterable[str]) -> None:
        """Wake-ups are lost: the tick is the guarantee."""

    def _step(
        self, script: Script, channel: Channel, result: Any, error: BaseException | None
    ) -> None:
        if not self.is_alive:
            return
        if self.is_paused:
            self.world.at(self.paused_until, self._step, script, channel, result, error)
            return
        try:
            wanted = script.throw(error) if error is not None else script.send(result)
        except StopIteration:
            self.open_scripts -= 1
            return
        if isinstance(wanted, Rest):
            self.world.after(wanted.seconds, self._step, script, channel, None, None)
        else:
            channel.run(wanted, lambda result, error: self._later(script, channel, result, error))

    def _later(
        self, script: Script, channel: Channel, result: Any, error: BaseException | None
    ) -> None:
        self.world.after(0.0, self._step, script, channel, result, error)
