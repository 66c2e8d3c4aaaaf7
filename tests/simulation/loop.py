"""An event loop in the simulation's time, and connections that take bytes: what the asyncio driver
needs of the world.

The library's own board, operations and groups run on it as they are. A turn of the loop runs what
was ready when it began, as asyncio does; a paused program's loop does not turn, and its timers are
late.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import TYPE_CHECKING, Any

import hiredis

from redrepl.edges.scripts import all_scripts
from redrepl.values.effects import Command, PlainCommand, Request, ScriptCall
from tests.simulation.network import Connection, Link, Machine

if TYPE_CHECKING:
    from tests.simulation.programs import Program

FULL_RATE = 0.02
"""How often a socket takes only a part of what it is given."""

ROOM_SECONDS = 0.001
"""How long a socket that was full has no room, at most."""


class SimulatedLoop:
    """The loop of one program, as far as asyncio and the library use one.

    on_failure: called with an exception that no caller was there for, in words.
    """

    def __init__(self, program: Program) -> None:
        self.on_failure: Callable[[str], None] = _ignore
        self._program = program
        self._world = program.world
        self._ready: deque[asyncio.Handle] = deque()
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self._sockets: dict[int, WireConnection] = {}
        self._readers: dict[int, asyncio.Handle] = {}
        self._writers: dict[int, asyncio.Handle] = {}
        self._is_turn_due = False
        self._is_closed = False
        self._loop: Any = self  # typed for loops that can do everything

    # What asyncio asks of a loop ------------------------------------------------------------------

    def time(self) -> float:
        """The world's time."""
        return self._world.now

    def is_running(self) -> bool:
        """Whether callbacks still run."""
        return not self._is_closed

    def is_closed(self) -> bool:
        """Whether the program is gone."""
        return self._is_closed

    def get_debug(self) -> bool:
        """Never: debugging costs time."""
        return False

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """Have something called in the next turn."""
        handle = asyncio.Handle(callback, args, self._loop, context)
        self._make_ready(handle)
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """The same: there are no threads."""
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Have something called after so many seconds."""
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Have something called at a time."""
        timer = asyncio.TimerHandle(when, callback, args, self._loop, context)
        self._world.at(max(when, self.time()), self._make_ready, timer)
        return timer

    def create_future(self) -> asyncio.Future[Any]:
        """A future of this loop."""
        return asyncio.Future(loop=self._loop)

    def create_task(self, coro: Coroutine[Any, Any, Any], **options: Any) -> asyncio.Task[Any]:
        """A task of this loop, which ends with the program."""
        task = asyncio.Task(coro, loop=self._loop, **options)
        self._tasks[task] = None
        task.add_done_callback(self._forget)
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """An exception that no caller was there for."""
        if not self._is_closed:
            self.on_failure(f"{context.get('message')}: {context.get('exception')!r}")

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """asyncio's timers tell their loop. A cancelled one is skipped when its time comes."""

    def add_reader(self, fd: Any, callback: Callable[..., Any], *args: Any) -> None:
        """Call this in every turn in which the connection has something to read."""
        self._readers[fd] = asyncio.Handle(callback, args, self._loop)
        self._sockets[fd].on_readable = self._readable
        self._readable(self._sockets[fd])

    def remove_reader(self, fd: Any) -> bool:
        """No longer."""
        return self._readers.pop(fd, None) is not None

    def add_writer(self, fd: Any, callback: Callable[..., Any], *args: Any) -> None:
        """Call this when the connection takes bytes again."""
        self._writers[fd] = asyncio.Handle(callback, args, self._loop)
        self._world.after(ROOM_SECONDS * self._sockets[fd].chance(), self._writable, fd)

    def remove_writer(self, fd: Any) -> bool:
        """No longer."""
        return self._writers.pop(fd, None) is not None

    # The simulation's side ------------------------------------------------------------------------

    def register(self, connection: WireConnection) -> int:
        """The number by which a connection is known here, as sockets are."""
        number = len(self._sockets) + 1
        self._sockets[number] = connection
        return number

    def end(self) -> None:
        """The program is gone: nothing is called any more, and its tasks end where they are."""
        self._is_closed = True
        self._ready.clear()
        for task in list(self._tasks):
            task._log_destroy_pending = False  # type: ignore[attr-defined]  # else asyncio complains of each
            coroutine = task.get_coro()
            if coroutine is not None:
                coroutine.close()

    def calls_of(self, owner: object) -> list[asyncio.Handle]:
        """What is ready to be called of this object."""
        return [
            handle
            for handle in self._ready
            if getattr(_callback_of(handle), "__self__", None) is owner
        ]

    def lose_calls(self, owner: object) -> None:
        """An exception from outside loses what is ready to be called of this object."""
        for handle in self.calls_of(owner):
            self._ready.remove(handle)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(task, None)

    def _make_ready(self, handle: asyncio.Handle) -> None:
        if handle.cancelled() or self._is_closed:
            return
        self._ready.append(handle)
        if not self._is_turn_due:
            self._is_turn_due = True
            self._world.after(0.0, self._program.unless_paused(self._turn))

    def _turn(self) -> None:
        """One turn: what became ready meanwhile waits for the next one."""
        self._is_turn_due = False
        ready, self._ready = self._ready, deque()
        asyncio._set_running_loop(self._loop)
        try:
            for handle in ready:
                if not handle.cancelled() and not self._is_closed:
                    handle._run()
        finally:
            asyncio._set_running_loop(None)

    def _readable(self, connection: Connection) -> None:
        assert isinstance(connection, WireConnection)
        if connection.fileno in self._readers and connection.has_something:
            self.call_soon(self._read, connection)

    def _read(self, connection: WireConnection) -> None:
        handle = self._readers.get(connection.fileno)
        if handle is not None and connection.has_something and not connection.is_closed:
            handle._run()
            self._readable(connection)

    def _writable(self, fd: int) -> None:
        handle = self._writers.get(fd)
        if handle is not None:
            self._make_ready(handle)
            self._world.after(ROOM_SECONDS, self._writable, fd)


def _callback_of(handle: asyncio.Handle) -> object:
    return handle._callback  # type: ignore[attr-defined]  # asyncio shows it nowhere else


def _ignore(_: str) -> None:
    """Nobody is told."""


class WireConnection(Connection):
    """A connection that takes bytes, as a socket does: sometimes only a part of them."""

    __slots__ = ("_loop", "_sent", "fileno")

    def __init__(
        self, program: str, link: Link, machine: Machine, node: str, loop: SimulatedLoop
    ) -> None:
        super().__init__(program, link, machine, node)
        self.unsent: bytearray = bytearray()  # type: ignore[assignment]  # elsewhere nothing is ever left
        self.fileno = loop.register(self)
        self._sent = hiredis.Reader()

    def chance(self) -> float:
        """A number of the link's chance."""
        return self._link.random.random()

    def send(self, packet: Any) -> None:
        """Send packets while the connection is opened, and bytes from then on; what is not taken
        stays in `unsent`.
        """
        if not isinstance(packet, bytes):
            super().send(packet)
        elif self.unsent:
            self.unsent += packet
        else:
            self.unsent += packet[self._take(packet) :]

    def flush(self) -> None:
        """Send on what is unsent."""
        if self.unsent:
            del self.unsent[: self._take(bytes(self.unsent))]

    def flush_backlog(self) -> None:
        """The same, after the socket had no room: what it takes now is a sign of life."""
        waiting_bytes = len(self.unsent)
        self.flush()
        if len(self.unsent) < waiting_bytes:
            self.took_at = self._link.world.now

    def _take(self, data: bytes) -> int:
        """How many bytes the socket takes. Whole commands among them leave."""
        taken = int(self.chance() * len(data)) if self.chance() < FULL_RATE else len(data)
        self._sent.feed(data[:taken])
        while (parts := self._sent.gets()) is not False:
            super().send(Request(self.node, _command_of(parts)))
        return taken


def _command_of(parts: list[bytes]) -> Command:
    """The command that was packed into these bytes."""
    if parts[0] != b"EVALSHA":
        return PlainCommand(tuple(parts))
    name, count = _name_of(parts[1]), int(parts[2])
    return ScriptCall(name, tuple(parts[3 : 3 + count]), tuple(parts[3 + count :]))


def _name_of(sha: bytes) -> str:
    return next(script.name for script in all_scripts().values() if script.sha == sha)
