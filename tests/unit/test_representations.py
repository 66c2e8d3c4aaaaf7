"""What `repr` shows of the objects that programs hold: what they are and how they are, in one line,
without secrets.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from redrepl import (
    Administration,
    AsyncBatch,
    AsyncCoordinator,
    AsyncTransaction,
    Batch,
    Coordinator,
    ReplicatedCache,
    Session,
    Transaction,
)
from redrepl.doors import coordinator, opening
from redrepl.edges.channel import Channel
from redrepl.edges.configuration import Configuration
from redrepl.edges.connection import NodeConnection
from redrepl.edges.driver import BlockingDriver
from redrepl.edges.pending import Run
from redrepl.plans.topology import Discovery
from redrepl.plans.view import ClusterView
from redrepl.values.effects import PlainCommand, Request
from redrepl.values.errors import Unavailable
from redrepl.values.reports import Reports
from redrepl.values.stamp import Stamp
from redrepl.values.topology import Mode
from tests.unit.support.by_hand import topology

SECRET = "s3cr3t-word"
URLS = [f"redis://ada:{SECRET}@{node}.example:6379/0" for node in "abc"]


@pytest.fixture(autouse=True)
def found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cluster is found without a server."""

    def find(configuration: Configuration) -> Discovery:
        assert configuration.endpoints[0].password == SECRET
        return Discovery(topology(3, epoch=3), {}, Reports())

    monkeypatch.setattr(coordinator, "find_cluster", find)
    monkeypatch.setattr(opening, "find_cluster", find)


@pytest.fixture
def store() -> Iterator[Coordinator[str, bytes]]:
    with Coordinator.connect(URLS, "shop") as opened:
        yield opened


def test_a_coordinator(store: Coordinator[str, bytes]) -> None:
    assert repr(store) == "<Coordinator shop primary=a epoch=3 nodes=a,b,c open>"
    store._store.cluster.take_up(topology(3).with_primary("b", 4))
    assert repr(store) == "<Coordinator shop primary=b epoch=4 nodes=a,b,c open>"
    store.close()
    assert repr(store) == "<Coordinator shop primary=b epoch=4 nodes=a,b,c closed>"


def test_an_asyncio_coordinator() -> None:
    async def look() -> list[str]:
        store = AsyncCoordinator.connect(URLS, "shop")
        seen = [repr(store)]
        await store.open()
        seen.append(repr(store))
        await store.close()
        return [*seen, repr(store)]

    assert asyncio.run(look()) == [
        "<AsyncCoordinator shop not open yet>",
        "<AsyncCoordinator shop primary=a epoch=3 nodes=a,b,c open>",
        "<AsyncCoordinator shop primary=a epoch=3 nodes=a,b,c closed>",
    ]


def test_an_asyncio_coordinator_that_was_closed_before_it_was_open() -> None:
    store = AsyncCoordinator.connect(URLS, "shop")
    asyncio.run(store.close())
    assert repr(store) == "<AsyncCoordinator shop closed>"


def test_batches_and_transactions(store: Coordinator[str, bytes]) -> None:
    batch = store.batch().set(SECRET, SECRET.encode())
    assert (type(batch), repr(batch)) == (Batch, "<Batch shop queued=1>")
    transaction = store.transaction().set(SECRET, b"v").check("other", Stamp(1, 1))
    assert type(transaction) is Transaction
    assert repr(transaction) == "<Transaction shop queued=1 expected=1 open>"
    transaction._end()
    assert repr(transaction) == "<Transaction shop queued=1 expected=1 over>"
    store.close()
    assert repr(batch) == "<Batch shop queued=1>"


def test_the_asyncio_ones() -> None:
    async def look() -> tuple[object, ...]:
        async with AsyncCoordinator.connect(URLS, "shop") as store:
            batch, transaction = store.batch().delete(SECRET), store.transaction()
            return type(batch), repr(batch), type(transaction), repr(transaction)

    assert asyncio.run(look()) == (
        AsyncBatch,
        "<AsyncBatch shop queued=1>",
        AsyncTransaction,
        "<AsyncTransaction shop queued=0 expected=0 open>",
    )


def test_a_connection() -> None:
    near, far = socket.socketpair()
    with far, closing(NodeConnection("a", near, "run-1", 12)) as connection:
        assert repr(connection) == "<NodeConnection a client=12 owed=0 open>"
        command = PlainCommand((b"GET", SECRET.encode()))
        connection.owed.append((Run(), Request("a", command), 0.0))
        connection.close()
        assert repr(connection) == "<NodeConnection a client=12 owed=1 closed>"
    near, far = socket.socketpair()
    with far, closing(NodeConnection("a", near, "run-1")) as connection:
        assert repr(connection) == "<NodeConnection a owed=0 open>"


def test_a_view() -> None:
    assert repr(ClusterView(topology(3))) == "<ClusterView shop primary=a epoch=7 nodes=a,b,c>"
    several = ClusterView(topology(2, Mode.MULTI_PRIMARY))
    assert repr(several) == "<ClusterView shop primaries=a,b epoch=7 nodes=a,b>"


def test_a_session() -> None:
    session = Session()
    session.note(SECRET.encode(), Stamp(1, 1))
    assert repr(session) == "<Session keys=1>"


def test_a_cache(store: Coordinator[str, bytes]) -> None:
    cache = ReplicatedCache(store, namespace="pages")
    assert repr(cache) == f"<ReplicatedCache pages on {store!r}>"
    store.close()
    assert repr(cache).endswith("closed>>")


def test_an_administration(store: Coordinator[str, bytes]) -> None:
    administration = Administration(store.configuration)
    assert repr(administration) == "<Administration shop nodes=seed-0,seed-1,seed-2>"
    administration.close()
    assert SECRET not in repr(administration)


def test_an_administration_that_finds_no_member_is_closed(
    store: Coordinator[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[str] = []
    close = Administration.close

    def find_no_member(_: Administration) -> None:
        raise Unavailable("no member answers", {})

    def note_and_close(administration: Administration) -> None:
        closed.append(repr(administration))
        close(administration)

    monkeypatch.setattr(Administration, "find_members", find_no_member)
    monkeypatch.setattr(Administration, "close", note_and_close)
    with pytest.raises(Unavailable, match="no member answers"):
        store.health()
    assert len(closed) == 1


def test_a_look_that_had_no_descriptors_is_repeated(
    store: Coordinator[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    with contextlib.closing(Administration(store.configuration)) as administration:
        own_channel, failures = BlockingDriver.own_channel, [OSError(24, "Too many open files")]

        def fail_once(driver: BlockingDriver) -> Channel:
            if failures:
                raise failures.pop()
            return own_channel(driver)

        monkeypatch.setattr(BlockingDriver, "own_channel", fail_once)
        with pytest.raises(OSError, match="Too many open files"):
            administration.probe(0.0, 1.0)
        assert administration.probe(0.0, 1.0)[0] is None
