"""Mistakes of a caller end in an error of redrepl's own that names the argument; nothing is
sent.
"""

from __future__ import annotations

import asyncio
import errno
import os
import pickle
from collections.abc import Callable
from typing import Any, NoReturn

import pytest

from redrepl import (
    AsyncCoordinator,
    ConfigError,
    Coordinator,
    ReplicatedCache,
    RequestError,
    Unavailable,
)
from tests.servers.support.cluster import Cluster, Store

Call = Callable[[Store, str], Any]

CONNECTIONS: dict[str, tuple[str, Call]] = {
    "no url": ("urls must hold at least one", lambda _, __: Coordinator.connect([], "shop")),
    "one url": ("urls must be a list", lambda _, url: Coordinator.connect(url, "shop")),
    "no text": ("urls must hold texts", lambda _, __: Coordinator.connect([None], "shop")),  # type: ignore[list-item]
    "a mode": (
        "mode must be one of",
        lambda _, url: Coordinator.connect([url], "shop", mode="both"),
    ),
    "a level": (
        "level 99 is out of range",
        lambda _, url: Coordinator.connect([url], "shop", level=99),
    ),
    "a number": (
        "tick_seconds must be a number",
        lambda _, url: Coordinator.connect([url], "shop", tick_seconds="1"),
    ),
    "a text": (
        "queue_url must be a string",
        lambda _, url: Coordinator.connect([url], "shop", queue_url=6379),
    ),
    "None": (
        "tick_seconds must not be None",
        lambda _, url: Coordinator.connect([url], "shop", tick_seconds=None),
    ),
    "unknown": (
        "unknown setting 'no_such'",
        lambda _, url: Coordinator.connect([url], "shop", no_such=1),
    ),
    "a session": (
        "session must be a Session, not str",
        lambda _, url: Coordinator.connect([url], "shop", session="token"),  # type: ignore[arg-type]
    ),
    "a pool's option": (
        "max_connections",
        lambda _, url: Coordinator.connect([f"{url}?max_connections=10"], "shop"),
    ),
}
CALLS: dict[str, tuple[str, Call]] = {
    "prefix None": ("key must be str or bytes", lambda store, _: store.keys(None)),  # type: ignore[arg-type]
    "prefix list": ("key must be str or bytes", lambda store, _: store.keys([1])),  # type: ignore[arg-type]
    "prefix surrogate": ("cannot be encoded as UTF-8", lambda store, _: store.keys("\udce9")),
    "items": ("items must be a mapping", lambda store, _: store.set_many(["a"])),  # type: ignore[arg-type]
    "namespace": ("namespace must be", lambda store, _: ReplicatedCache(store, namespace=b"x")),  # type: ignore[arg-type]
    "cached keys": ("keys must be a list", lambda store, _: ReplicatedCache(store).get_many("abc")),
    "cached number": ("keys must be a list", lambda store, _: ReplicatedCache(store).get_many(5)),  # type: ignore[arg-type]
    "cached items": (
        "items must be a mapping",
        lambda store, _: ReplicatedCache(store).set_many(["a"]),  # type: ignore[arg-type]
    ),
    "pickle": ("cannot be pickled", lambda store, _: pickle.dumps(store)),
}


@pytest.mark.parametrize("kind", [CONNECTIONS, CALLS], ids=["connections", "calls"])
def test_every_mistake_names_the_argument(
    cluster: Cluster, kind: dict[str, tuple[str, Call]]
) -> None:
    store, url = cluster.open(), cluster["a"].url
    for words, call in kind.values():
        with pytest.raises((RequestError, ConfigError), match=words):
            call(store, url)


def test_after_close_every_operation_says_so(cluster: Cluster) -> None:
    store = cluster.open()
    store.close()
    store.close()
    calls: list[Callable[[], object]] = [
        lambda: store.set("k", b"v"),
        lambda: store.get("k"),
        lambda: list(store.keys()),
        lambda: store.batch().set("k", b"v").execute(),
        lambda: store.health(),
    ]
    for call in calls:
        with pytest.raises(RequestError, match="this coordinator is closed"):
            call()

    async def work() -> None:
        beside = AsyncCoordinator[str, bytes](cluster.configuration())
        await beside.set("k", b"v")
        await beside.close()
        with pytest.raises(RequestError, match="this coordinator is closed"):
            await beside.set("k", b"v")
        with pytest.raises(RequestError, match="key must be str or bytes"):
            beside.keys(5)  # type: ignore[arg-type]

    asyncio.run(work())


def test_where_no_file_can_be_opened_that_is_said(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = cluster.open()

    def no_more() -> NoReturn:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as patch:
        patch.setattr(os, "pipe", no_more)
        for call in (lambda: store.set("k", b"v"), lambda: store.get("k")):
            with pytest.raises(Unavailable, match=r"nothing was sent.*Too many open files"):
                call()
    assert store.set("k", b"v").acked
