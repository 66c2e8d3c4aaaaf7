"""Programs that only read, and were idle while another node became the primary or a node was taken
out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace
from typing import Any

import pytest

from redrepl import (
    Administration,
    AsyncCoordinator,
    Configuration,
    Coordinator,
    NodeRole,
    ReplicatedCache,
    Unavailable,
)
from redrepl.edges.endpoint import split_url
from tests.servers.support.cluster import Cluster, Store
from tests.support.waiting import wait_until

READS: dict[str, Callable[[Any], Any]] = {
    "get": lambda store: store.get("cache:x"),
    "get at QUORUM": lambda store: store.get("cache:x", level="quorum"),
    "get_record": lambda store: store.get_record("cache:x"),
    "get_record at QUORUM": lambda store: store.get_record("cache:x", level="quorum"),
    "get_many": lambda store: store.get_many(["cache:x"]),
    "get_many at ALL": lambda store: store.get_many(["cache:x"], level="all"),
    "ttl": lambda store: store.ttl("cache:x"),
    "ttl at QUORUM": lambda store: store.ttl("cache:x", level="quorum"),
    "batch": lambda store: store.batch().get("cache:x").execute(),
    "transaction": lambda store: store.transaction().get("cache:x"),
    "transaction, the record": lambda store: store.transaction().get_record("cache:x"),
}
ONLY_BLOCKING: dict[str, Callable[[Any], Any]] = {
    "keys": lambda store: sorted(store.keys("new:")),
    "cache": lambda store: ReplicatedCache(store, values="bytes").get("x"),
    "cache, several": lambda store: ReplicatedCache(store, values="bytes").get_many(["x"]),
}


async def keys_of(store: AsyncCoordinator[str, bytes]) -> list[bytes]:
    return sorted([key async for key in store.keys("new:")])


OF_ASYNCIO: dict[str, Callable[[Any], Any]] = {**READS, "keys": keys_of}


def _move(cluster: Cluster, how: str) -> None:
    if how == "switchover":
        cluster.administration.switchover("b")
    elif how == "removed":
        cluster.administration.add_node(split_url("d", cluster.spare("d").url))
        cluster.bring_up("d")
        cluster.administration.remove_node("a")
    else:
        cluster["a"].kill()
        cluster.administration.failover("b")
        cluster["a"].start()
        cluster.settle()


def _write_on_the_new_primary(cluster: Cluster) -> Store:
    """The former primary gets none of it: no worker runs."""
    writer = cluster.open()
    writer.set_many({"cache:x": b"new", "new:1": b"1"}, ttl=100, level="async")
    return writer


@pytest.mark.parametrize("how", ["switchover", "removed", "restarted"])
def test_every_reading_call_follows(cluster: Cluster, how: str) -> None:
    calls = {**READS, **ONLY_BLOCKING}
    readers = {name: cluster.open() for name in calls}
    cluster.open().set("cache:x", b"old", level="all")
    for name, read in calls.items():
        read(readers[name])
    _move(cluster, how)
    writer = _write_on_the_new_primary(cluster)
    for name, read in calls.items():
        found = read(readers[name])
        assert found > 0 if name.startswith("ttl") else found == read(writer), name


@pytest.mark.parametrize("how", ["switchover", "removed", "restarted"])
def test_every_reading_call_of_asyncio_follows(cluster: Cluster, how: str) -> None:
    calls = {**READS, **ONLY_BLOCKING}

    async def go() -> None:
        async with AsyncExitStack() as stack:
            stores = {
                name: AsyncCoordinator[str, bytes](cluster.configuration()) for name in OF_ASYNCIO
            }
            for name, store in stores.items():
                await stack.enter_async_context(store)
                await OF_ASYNCIO[name](store)
            await asyncio.to_thread(_move, cluster, how)
            writer = await asyncio.to_thread(_write_on_the_new_primary, cluster)
            for name, store in stores.items():
                found = await OF_ASYNCIO[name](store)
                assert found > 0 if name.startswith("ttl") else found == calls[name](writer), name

    cluster.open().set("cache:x", b"old", level="all")
    asyncio.run(go())


def test_a_former_primary_that_is_cut_off_from_all_but_the_reader_is_left_in_the_end(
    cluster: Cluster,
) -> None:
    proxy, reader = cluster.proxy("a"), cluster.open()
    reader.set("x", b"old", level="all")
    proxy.cut()
    with Administration(cluster.configuration({"a": proxy.url(cluster["a"].url)})) as others:
        others.failover("b")
        assert others.inspect()[0].decider == "b"  # type: ignore[union-attr]
    assert cluster.raw("a").member()["state"] == "active", "it does not know"
    wait_until(
        lambda: reader.topology.decider == "b" or reader.get("x") is None,
        20,
        "the reader has followed",
    )


def _replace_all(cluster: Cluster) -> None:
    """One member after the other gives its place to a new server; what is written after that the
    old ones lack.
    """
    for name, node in zip("def", "cba", strict=True):
        new = cluster["d"] if name == "d" else cluster.spare(name)
        cluster.administration.replace_node(split_url(node, new.url))
        cluster.settle()
    with Coordinator[str, bytes](_naming_one_of_the_new(cluster)) as writer:
        writer.set("cache:x", b"new", level="all")


def _naming_one_of_the_new(cluster: Cluster) -> Configuration:
    """A program's file, in which somebody has put one of the new addresses too."""
    old = cluster.configuration()
    return replace(
        old,
        endpoints=(*old.endpoints, split_url("later", cluster["d"].url)),
        roles=(*old.roles, NodeRole.REPLICA),
    )


FROM_NEW_SERVERS: dict[str, Callable[[Any], Any]] = {
    "get": lambda store: store.get("cache:x", timeout_seconds=2.5),
    "get from a replica": lambda store: store.get("cache:x", prefer="replica", timeout_seconds=2.5),
    "get at QUORUM": lambda store: store.get("cache:x", level="quorum", timeout_seconds=2.5),
    "get_many": lambda store: store.get_many(["cache:x"], timeout_seconds=2.5),
    "get_many at QUORUM": lambda store: store.get_many(
        ["cache:x"], level="quorum", timeout_seconds=2.5
    ),
}
ONLY_NEW = (b"new", {"cache:x": b"new"})


def test_readers_follow_when_all_members_were_replaced_one_by_one(cluster: Cluster) -> None:
    """While they were idle: nobody whom they know is a member any more."""
    cluster.open().set("cache:x", b"old", level="all")
    cluster.spare("d")
    lost = cluster.open()
    readers = {
        name: Coordinator[str, bytes](_naming_one_of_the_new(cluster)) for name in FROM_NEW_SERVERS
    }
    with ExitStack() as stack:
        for name, reader in readers.items():
            FROM_NEW_SERVERS[name](stack.enter_context(reader))
        assert lost.get("cache:x", prefer="replica") == b"old"

        async def follow() -> dict[str, Any]:
            async with AsyncCoordinator[str, bytes](_naming_one_of_the_new(cluster)) as store:
                for read in FROM_NEW_SERVERS.values():
                    await read(store)
                await asyncio.to_thread(_replace_all, cluster)
                return {name: await read(store) for name, read in FROM_NEW_SERVERS.items()}

        found = asyncio.run(follow())
        found |= {
            f"{name} of a thread": FROM_NEW_SERVERS[name](reader)
            for name, reader in readers.items()
        }
        assert [name for name, value in found.items() if value not in ONLY_NEW] == []
        with pytest.raises(
            Unavailable
        ):  # it knows nobody to ask, and says nothing rather than what was
            lost.get("cache:x", prefer="replica", timeout_seconds=0.3)
