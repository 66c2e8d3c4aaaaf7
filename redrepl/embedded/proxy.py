"""A TCP proxy that cuts, swallows, delays, narrows and forgets: the network between a client and an
embedded server.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

from redrepl.embedded.configuration import LOOPBACK_ADDRESS
from redrepl.embedded.ports import ReservedPort

T = TypeVar("T")

CHUNK_BYTES = 64 * 1024
"""One read; redis-py reads and writes pieces of the same size."""

HELD_CHUNKS = 64
"""Held per direction of a connection before the proxy stops reading, 4 MiB: a limit on
everything.
"""

PIECES_PER_SECOND = 50
"""How often a narrowed connection passes something on, so that it flows instead of coming in
bursts.
"""

CONTROL_TIMEOUT_SECONDS = 10.0
"""For the proxy's own thread to carry out an order; it takes well under a millisecond."""

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""The value of SO_LINGER "on, for 0 s": close with a reset and drop what is unsent."""


class _Pipe:
    """One direction of one connection: reads at once, writes when the delay is over and the gate is
    open.
    """

    def __init__(
        self,
        proxy: "TcpProxy",
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        is_forgotten: Callable[[], bool],
    ) -> None:
        self._proxy = proxy
        self._is_forgotten = is_forgotten
        self._reader = reader
        self._writer = writer
        self._held: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(HELD_CHUNKS)

    async def run(self) -> None:
        """Pass bytes until the sender ends its half, then end the receiver's."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._read())
            tasks.create_task(self._write())

    async def _read(self) -> None:
        data = b"-"
        while data:
            data = await self._reader.read(CHUNK_BYTES)
            self._proxy.read_bytes += len(data)
            due = asyncio.get_running_loop().time() + self._proxy.delay_seconds
            await self._held.put((due, data))

    async def _write(self) -> None:
        while True:
            due, data = await self._held.get()
            await asyncio.sleep(due - asyncio.get_running_loop().time())
            await self._proxy.gate.wait()
            if not data:
                if not self._is_forgotten():
                    self._writer.write_eof()
                return
            await self._pass_on(data)

    async def _pass_on(self, data: bytes) -> None:
        while data and not self._is_forgotten():
            rate = self._proxy.bytes_per_second
            size = max(1, rate // PIECES_PER_SECOND) if rate else len(data)
            piece, data = data[:size], data[size:]
            if rate:
                await asyncio.sleep(len(piece) / rate)
            self._writer.write(piece)
            await self._writer.drain()


class TcpProxy:
    """Passes TCP connections on to `target_host`:`target_port` until told otherwise.

    Listens on 127.0.0.1, on a port it keeps until `close()`, also while it is cut. Every order has
    taken effect when its method returns. Calls come from the owner's thread; the work is done in a
    thread of its own. Both share the interpreter's lock: to measure delays, run it in another
    process.

    Raises `OSError` when no port can be had.
    """

    def __init__(self, target_host: str, target_port: int) -> None:
        self.target = (target_host, target_port)
        self.delay_seconds = 0.0
        self.bytes_per_second = 0
        self.read_bytes = 0
        """Bytes taken from either side so far, passed on or held."""
        self._reserved = ReservedPort()
        self.port: int = self._reserved.number
        self.gate = asyncio.Event()
        self._connections: dict[asyncio.Task[None], list[asyncio.StreamWriter]] = {}
        self._forgotten: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name=f"proxy-{self.port}", daemon=True
        )
        self._thread.start()
        self._order(self._heal(deliver=True))

    def url(self, template: str = "redis://127.0.0.1/0") -> str:
        """`template`, usually the target's own address, with the host and port of the proxy."""
        parts = urlsplit(template)
        user, at, _ = parts.netloc.rpartition("@")
        return parts._replace(netloc=f"{user}{at}{LOOPBACK_ADDRESS}:{self.port}").geturl()

    @property
    def connection_count(self) -> int:
        """How many client connections are open now."""
        return len(self._connections)

    def cut(self) -> None:
        """Reset every connection and refuse new ones, as if the server's process had died."""
        self._order(self._cut())

    def blackhole(self) -> None:
        """Keep and accept connections, but pass nothing either way, as if packets were lost."""
        self._order(self._blackhole())

    def heal(self, deliver: bool = True) -> None:
        """End a cut or blackhole; the delay stays.

        What a blackhole held is delivered now; with `deliver=False` it is lost, and because TCP
        cannot lose bytes from the middle of a connection, every connection open during the
        blackhole is reset.
        """
        self._order(self._heal(deliver))

    def delay(self, seconds_each_direction: float) -> None:
        """Delay what is read from now on by so many seconds, each way; 0 ends it."""
        self.delay_seconds = seconds_each_direction

    def narrow(self, bytes_per_second: int) -> None:
        """Let each connection pass no more than so much, each way, from now on; 0 ends it."""
        self.bytes_per_second = bytes_per_second

    def reset(self) -> None:
        """Reset every connection, whatever is on its way; new ones are served at once."""
        self._order(self._reset_connections())

    def forget(self) -> None:
        """Let the connections that are open now stay open for ever and pass nothing; new ones are
        served as ever.

        So does a firewall that drops idle connections without telling either end.
        """
        self._order(self._forget())

    def lead_to(self, port: int) -> None:
        """End all connections, and from now on lead to the server at this port of the same host."""
        self.target = (self.target[0], port)
        self.reset()

    def close(self) -> None:
        """Reset all connections and give the port back; may be called again."""
        if self._loop.is_closed():
            return
        self._order(self._cut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CONTROL_TIMEOUT_SECONDS)
        self._loop.close()
        self._reserved.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _order(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(CONTROL_TIMEOUT_SECONDS)

    async def _cut(self) -> None:
        self.gate.set()
        if self._listener is not None:
            # No wait_closed(): it may wait for connections, and the socket itself is closed at
            # once.
            self._listener.close()
            self._listener = None
        await self._reset_connections()

    async def _blackhole(self) -> None:
        await self._listen()
        self.gate.clear()

    async def _heal(self, deliver: bool) -> None:
        if not deliver and not self.gate.is_set():
            await self._reset_connections()
        self.gate.set()
        await self._listen()

    async def _forget(self) -> None:
        self._forgotten.update(self._connections)

    async def _listen(self) -> None:
        if self._listener is None:
            self._listener = await asyncio.start_server(
                self._accept, LOOPBACK_ADDRESS, self.port, reuse_address=True
            )

    async def _reset_connections(self) -> None:
        tasks = list(self._connections)
        for task in tasks:
            for writer in self._connections[task]:
                _reset(writer)
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._listener is None:  # accepted just before the cut
            _reset(writer)
            return
        task = self._loop.create_task(self._serve(reader, writer))
        self._connections[task] = [writer]
        task.add_done_callback(self._connections.pop)
        task.add_done_callback(self._forgotten.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "runs as a task"
        # Either side may break off at any time; the other side then sees its connection reset as
        # well.
        end: Callable[[asyncio.StreamWriter], None] = _reset
        with contextlib.suppress(OSError, ExceptionGroup):
            await self.gate.wait()
            target_reader, target_writer = await asyncio.open_connection(*self.target)
            self._connections[task].append(target_writer)

            def is_forgotten() -> bool:
                return task in self._forgotten

            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_Pipe(self, reader, target_writer, is_forgotten).run())
                tasks.create_task(_Pipe(self, target_reader, writer, is_forgotten).run())
            end = asyncio.StreamWriter.close
        for open_writer in self._connections[task]:
            end(open_writer)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Drop a connection at once, unsent bytes included, with a reset instead of an orderly end."""
    connection: socket.socket | None = writer.get_extra_info("socket")
    # The socket may be closed already.
    with contextlib.suppress(OSError):
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    writer.transport.abort()
