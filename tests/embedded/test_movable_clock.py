"""Servers whose wall clock can be moved."""

from __future__ import annotations

import shutil
import time

import pytest

from redrepl.embedded import ClockNotMovable, EmbeddedCluster, EmbeddedServer, ServerBinary, clock
from tests.support.clients import connect
from tests.support.waiting import wait_until

pytestmark = pytest.mark.servers

CLOSE_SECONDS = 30.0
"""A busy machine may take long between two looks; the steps here are far larger."""


def seconds_ahead(server: EmbeddedServer) -> float:
    seconds, micros = connect(server).time()
    return float(seconds) + float(micros) / 1e6 - time.time()


@pytest.mark.usefixtures("movable_clocks")
def test_a_clock_steps_ahead_and_back_and_stays_moved_over_a_restart(
    server_binary: ServerBinary,
) -> None:
    with EmbeddedServer(binary=server_binary, movable_clock=True) as server:
        assert abs(seconds_ahead(server)) < CLOSE_SECONDS
        server.set_clock(3600.5)
        assert seconds_ahead(server) == pytest.approx(3600.5, abs=CLOSE_SECONDS)
        server.restart()
        assert seconds_ahead(server) == pytest.approx(3600.5, abs=CLOSE_SECONDS)
        server.set_clock(-3600.5)
        assert seconds_ahead(server) == pytest.approx(-3600.5, abs=CLOSE_SECONDS)


@pytest.mark.usefixtures("movable_clocks")
def test_keys_expire_by_the_moved_clock(server_binary: ServerBinary) -> None:
    with EmbeddedServer(binary=server_binary, movable_clock=True) as server:
        client = connect(server)
        client.set("key", "value", ex=1800)
        server.set_clock(3600)
        wait_until(lambda: client.get("key") is None, 10, "the key is gone")


@pytest.mark.usefixtures("movable_clocks")
def test_the_servers_of_a_cluster_have_clocks_of_their_own(server_binary: ServerBinary) -> None:
    with EmbeddedCluster(2, binary=server_binary, movable_clocks=True) as cluster:
        cluster["a"].set_clock(3600)
        assert seconds_ahead(cluster["a"]) == pytest.approx(3600, abs=CLOSE_SECONDS)
        assert abs(seconds_ahead(cluster["b"])) < CLOSE_SECONDS


def test_a_server_made_without_it_keeps_its_clock(server: EmbeddedServer) -> None:
    with pytest.raises(ClockNotMovable, match="without movable_clock"):
        server.set_clock(1)


def test_without_a_compiler_the_start_says_so(
    server_binary: ServerBinary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    clock._library.cache_clear()
    try:
        with pytest.raises(ClockNotMovable, match="C compiler"):
            EmbeddedServer(binary=server_binary, movable_clock=True).start()
        assert "C compiler" in (clock.why_clocks_are_fixed() or "")
    finally:
        clock._library.cache_clear()
