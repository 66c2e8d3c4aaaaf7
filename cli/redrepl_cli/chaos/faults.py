"""The faults: each does harm when it is entered and heals it when it is left.

Between, and for a while after, clients go on. Each tells the moment of its harm by `Scene.begins`,
because some faults need preparation.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from redrepl.embedded.proxy import TcpProxy
from redrepl_cli.chaos import forged_jobs, holdings, lies, links, node_clocks, refusals, twins
from redrepl_cli.chaos.scene import EVERYBODY, Harm, Scene, meanwhile
from redrepl_cli.chaos.stage import CLIENTS, HALF, MAX_SKEW_SECONDS, TIMEOUT_SECONDS, WORKERS

PRIMARY: Final = "primary"
REPLICA: Final = "replica"
NOBODY: Final = ""
"""The target of faults that hit no node."""

DELAY_SECONDS = 0.03
"""Each way: far more than a local network takes, far less than the time-out of an operation."""

OLD_SECONDS = 2.0
"""Age of the older copy that a node is restarted with."""

BROKEN_SECONDS, WHOLE_SECONDS = 1.3 * TIMEOUT_SECONDS, 0.3
"""Of a flaky link.

An operation times out while it is broken, and arrives when others have gone on.
"""

BETWEEN_CLIENTS_SECONDS = 1.0
"""One client after the other is killed."""

SKEWS_SECONDS = (0.75 * MAX_SKEW_SECONDS, -0.75 * MAX_SKEW_SECONDS, 2.5 * MAX_SKEW_SECONDS)
"""Two clocks that are off by less than the cluster tolerates, and one that is ahead by more."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind of fault.

    ``targets``: the roles that it can hit. ``moves_clocks``: the nodes' clocks must be movable.

    replaces: a primary that it hits is replaced by another node while it lasts. stops_writes_on:
    the targets on which no QUORUM write can be committed while it lasts.
    """

    name: str
    summary: str
    harm: Harm
    targets: tuple[str, ...] = (PRIMARY, REPLICA)
    moves_clocks: bool = False
    replaces: bool = False
    stops_writes_on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Planned:
    """A fault and whom it is to hit."""

    fault: Fault
    role: str

    @property
    def name(self) -> str:
        """As it is chosen and reported: "kill:primary"."""
        return f"{self.fault.name}:{self.role}" if self.role else self.fault.name

    @property
    def replaces_primary(self) -> bool:
        """Whether another node becomes the primary while it lasts."""
        return self.fault.replaces and self.role == PRIMARY

    @property
    def lets_write(self) -> bool:
        """Whether QUORUM writes are committed while it lasts."""
        return self.role not in self.fault.stops_writes_on


@contextmanager
def _kill(scene: Scene) -> Iterator[None]:
    server = scene.server
    proxies = scene.everywhere()
    scene.begins()
    server.kill()
    for proxy in proxies:
        proxy.cut()  # else it would accept connections, which a dead server does not
    yield
    server.start()
    for proxy in proxies:
        proxy.heal()


@contextmanager
def _freeze(scene: Scene) -> Iterator[None]:
    server = scene.server
    scene.begins()
    server.freeze()
    yield
    server.resume()


@contextmanager
def _empty(scene: Scene) -> Iterator[None]:
    server = scene.server
    scene.begins()
    server.restart(empty=True)
    yield


@contextmanager
def _old_copy(scene: Scene) -> Iterator[None]:
    server = scene.server
    copy = server.snapshot_directory()
    time.sleep(OLD_SECONDS)  # the copy is to grow old
    scene.begins()
    server.restore_directory(copy)
    server.start()
    yield


def _cut(*between: str) -> Harm:
    @contextmanager
    def cut(scene: Scene) -> Iterator[None]:
        proxies = scene.proxies(*between)
        scene.begins()
        for proxy in proxies:
            proxy.blackhole()
        yield
        for proxy in proxies:
            proxy.heal()  # what was on its way arrives late

    return cut


@contextmanager
def _clocks(scene: Scene) -> Iterator[None]:
    scene.begins()
    scene.stage.skew(SKEWS_SECONDS)
    yield
    scene.stage.skew((0.0,))


@contextmanager
def _flaky(scene: Scene) -> Iterator[None]:
    (proxy,) = scene.proxies(HALF)

    def break_and_mend(over: threading.Event) -> None:
        while not over.is_set():
            proxy.blackhole()
            over.wait(BROKEN_SECONDS)
            proxy.heal()
            over.wait(WHOLE_SECONDS)

    scene.begins()
    with meanwhile(break_and_mend):
        yield


@contextmanager
def _clients(scene: Scene) -> Iterator[None]:
    def kill_one_after_the_other(over: threading.Event) -> None:
        while not over.is_set():
            scene.stage.replace_client()
            over.wait(BETWEEN_CLIENTS_SECONDS)

    scene.begins()
    with meanwhile(kill_one_after_the_other):
        yield


@contextmanager
def _workers(scene: Scene) -> Iterator[None]:
    scene.begins()
    scene.stage.kill_workers()
    yield
    scene.stage.start_workers()


@contextmanager
def _queue_away(scene: Scene) -> Iterator[None]:
    scene.begins()
    scene.stage.queue.kill()
    yield
    scene.stage.queue.start()


@contextmanager
def _queue_emptied(scene: Scene) -> Iterator[None]:
    scene.begins()
    scene.stage.queue.restart(empty=True)
    yield


_ALL = (
    Fault("kill", "kill -9, started again at the end", _kill, replaces=True),
    Fault("freeze", "SIGSTOP, resumed at the end", _freeze, replaces=True),
    Fault("empty", "restarted without its data", _empty, replaces=True),
    Fault(
        "old",
        f"restarted with a copy of its data that is {OLD_SECONDS:g} s old",
        _old_copy,
        replaces=True,
    ),
    Fault(
        "cut",
        "cut off from clients and workers; what was sent meanwhile arrives late",
        _cut(*EVERYBODY),
        replaces=True,
    ),
    Fault(
        "cut-clients", "cut off from clients alone", _cut(CLIENTS, HALF), stops_writes_on=(PRIMARY,)
    ),
    Fault(
        "flaky",
        "cut off from half of the clients again and again; what they sent arrives late",
        _flaky,
    ),
    Fault("cut-workers", "cut off from workers alone", _cut(WORKERS)),
    Fault("slow", f"{DELAY_SECONDS * 1000:g} ms delay each way", links.slow(DELAY_SECONDS)),
    Fault("far", f"{links.FAR_SECONDS:g} s away, each way", links.slow(links.FAR_SECONDS)),
    Fault(
        "narrow",
        f"{links.NARROW_BYTES_PER_SECOND // 1024} KiB a second on each connection",
        links.narrow,
    ),
    Fault(
        "reset",
        f"all connections are reset every {links.BETWEEN_RESETS_SECONDS:g} s",
        links.again_and_again(TcpProxy.reset, links.BETWEEN_RESETS_SECONDS),
    ),
    Fault(
        "forget",
        "all connections stay open and pass nothing any more, every "
        f"{links.BETWEEN_FORGETTING_SECONDS:g} s",
        links.again_and_again(TcpProxy.forget, links.BETWEEN_FORGETTING_SECONDS),
    ),
    Fault(
        "no-replicas",
        "takes no writes (min-replicas-to-write)",
        refusals.refuses(refusals.NO_REPLICAS),
        replaces=True,
    ),
    Fault(
        "read-only",
        "takes no writes (REPLICAOF a host that is not there)",
        refusals.refuses(refusals.READ_ONLY),
        replaces=True,
    ),
    Fault(
        "denied",
        "takes no writes (the login lost XADD)",
        refusals.refuses(refusals.NO_PERMISSION),
        replaces=True,
    ),
    Fault("full", "its memory is full", refusals.refuses(refusals.FULL)),
    Fault(
        "all-full",
        "the memory of all nodes is full",
        refusals.all_refuse(refusals.FULL),
        (NOBODY,),
        stops_writes_on=(NOBODY,),
    ),
    Fault("flushed", "FLUSHALL", holdings.flushed),
    Fault("log-deleted", "its change log is deleted by hand", holdings.log_deleted),
    Fault(
        "set-back",
        f"its memory becomes what it was {twins.BACK_SECONDS:g} s ago while its server goes on",
        twins.set_back,
        (REPLICA,),
    ),
    Fault(
        "replaced",
        "another server gets its place; the former one goes on, and half of the clients reach it",
        twins.replaced,
        replaces=True,
    ),
    Fault(
        "refill",
        f"restarted without its data, beside {holdings.BULK_KEYS:,} more keys",
        holdings.refilled,
    ),
    Fault("clocks", "the clients' clocks jump, one of them too far", _clocks, (NOBODY,)),
    Fault(
        "clock-ahead",
        f"the node's clock steps {node_clocks.STEP_SECONDS / 3600:g} hours ahead, and back at the "
        "end",
        node_clocks.stepped(node_clocks.STEP_SECONDS),
        moves_clocks=True,
        replaces=True,
    ),
    Fault(
        "clock-behind",
        f"the node's clock steps {node_clocks.STEP_SECONDS / 3600:g} hours back, and is set right "
        "at the end",
        node_clocks.stepped(-node_clocks.STEP_SECONDS),
        moves_clocks=True,
        replaces=True,
    ),
    Fault(
        "lies", "a replica tells of topologies and epochs that nobody began", lies.lies, (REPLICA,)
    ),
    Fault("clients", "kill -9 of one client after the other", _clients, (NOBODY,)),
    Fault("workers", "kill -9 of all workers, started again at the end", _workers, (NOBODY,)),
    Fault(
        "queue",
        "kill -9 of the queue's server, started again empty at the end",
        _queue_away,
        (NOBODY,),
    ),
    Fault("queue-emptied", "the queue loses everything", _queue_emptied, (NOBODY,)),
    Fault(
        "forged-jobs",
        "killed, while others flood the queue with jobs of their own and take its workers' entries",
        forged_jobs.killed_in_a_flood,
        replaces=True,
    ),
)
FAULTS: Final = {fault.name: fault for fault in _ALL}


def planned(names: str | None, *, clocks_can_be_moved: bool = True) -> list[Planned]:
    """The faults of a list such as "kill,freeze:primary", in its order; all that can be had where
    there is none.

    Raises ValueError for a name or target that does not exist.
    """
    chosen: list[Planned] = []
    possible = [
        name for name, fault in FAULTS.items() if clocks_can_be_moved or not fault.moves_clocks
    ]
    for text in [name.strip() for name in names.split(",")] if names is not None else possible:
        name, _, role = text.partition(":")
        fault = FAULTS.get(name)
        if fault is None:
            raise ValueError(f"{name!r} is no fault; there are {', '.join(FAULTS)}")
        if role and role not in fault.targets:
            allowed = ", ".join(f"{name}:{target}" for target in fault.targets if target) or name
            raise ValueError(f"{text!r} is no fault; there is {allowed}")
        chosen += [Planned(fault, target) for target in fault.targets if not role or target == role]
    return chosen
