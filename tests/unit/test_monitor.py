"""When a monitor acts, when it waits, and what it says about that."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest

from redrepl import Configuration, FailedOver, NodeRole, Unavailable
from redrepl.edges.endpoint import Endpoint
from redrepl.plans.lookout import Seen
from redrepl.values.report import NodeReport
from redrepl.values.reports import Reports
from redrepl.values.topology import Topology
from redrepl_workers import monitor as watched
from redrepl_workers.monitor import Monitor
from tests.unit.support.by_hand import topology
from tests.unit.support.reports import report

DEAD = "10.0.0.1:6379 refuses connections: no server runs there"
SILENT = "10.0.0.1:6379 did not answer within 0.2 s"
LOOK_SECONDS = 0.1
NEARLY_ALWAYS = 1.0
"""The longest part of a pause, so that no test depends on chance."""


class Cluster:
    """What a monitor sees: a primary that fails again as soon as another one has taken over."""

    def __init__(self, trouble: str) -> None:
        self.trouble = trouble
        self.epoch = 7
        self.primary = "a"
        self.can_fail_over = True
        self.failovers: list[float] = []
        self.now = 1000.0

    def probe(
        self, _wait_seconds: float, _patience_seconds: float, _writes: bool = False
    ) -> tuple[Topology, Seen]:
        seen: dict[str, NodeReport | str] = {
            node: report(node, lineage=str(self.epoch), epoch=str(self.epoch)) for node in "abc"
        }
        seen[self.primary] = self.trouble
        return topology(3).with_primary(self.primary, self.epoch), Seen(Reports.collect(seen), {})

    def failover(
        self, away: Iterable[str] = (), seen_epoch: int | None = None, why: str = ""
    ) -> FailedOver:
        assert (list(away), seen_epoch) == ([self.primary], self.epoch)
        assert self.trouble in why
        self.failovers.append(self.now)
        if not self.can_fail_over:
            raise Unavailable("node 'b' changed meanwhile")
        previous, self.primary = self.primary, "b" if self.primary == "a" else "a"
        self.epoch += 1
        return FailedOver(self.epoch, self.primary, previous, (self.primary, "c"))

    def set_aside_wrong_clocks(self, *_: object) -> dict[str, float]:
        """All clocks are right."""
        return {}

    def set_forgetful_aside(self, *_: object, **__: object) -> dict[str, str]:
        """Nobody forgets."""
        return {}

    def wall_ahead_seconds(self) -> None:
        """It is not asked."""

    def close(self) -> None:
        """Nothing is open."""


class _Chance:
    """In place of the module."""

    def uniform(self, _low: float, high: float) -> float:
        return NEARLY_ALWAYS * high

    def random(self) -> float:
        return NEARLY_ALWAYS


def _run(cluster: Cluster, monkeypatch: pytest.MonkeyPatch, seconds: float) -> Monitor:
    clock = SimpleNamespace(monotonic=lambda: cluster.now)
    monkeypatch.setattr(watched, "time", clock)
    monkeypatch.setattr(watched, "random", _Chance())
    endpoints = tuple(Endpoint(node, f"redis://{node}:6379/0") for node in "abc")
    roles = (NodeRole.PRIMARY, NodeRole.REPLICA, NodeRole.REPLICA)
    monitor = Monitor(Configuration("shop", endpoints, roles))
    monitor._administration.close()
    administration: Any = cluster
    monitor._administration = administration
    for _ in range(int(seconds / LOOK_SECONDS)):
        monitor.look()
        cluster.now += LOOK_SECONDS
    return monitor


def test_where_a_crash_is_proved_it_never_waits_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(DEAD)
    _run(cluster, monkeypatch, 20.0)
    pauses = [
        later - earlier
        for earlier, later in zip(cluster.failovers, cluster.failovers[1:], strict=False)
    ]
    assert len(cluster.failovers) > 20
    # What is put up with before the first look that acts, and a look: nothing more, the hundredth
    # time as the first.
    assert max(pauses) <= 0.1 + 2 * LOOK_SECONDS + 0.001


def test_rivals_that_meet_over_a_crash_wait_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(DEAD)
    cluster.can_fail_over = False
    _run(cluster, monkeypatch, 20.0)
    pauses = [
        later - earlier
        for earlier, later in zip(cluster.failovers, cluster.failovers[1:], strict=False)
    ]
    assert (
        pauses[0] < pauses[-1] <= watched.LONGEST_PAUSE_AFTER_CRASH_SECONDS + LOOK_SECONDS + 0.001
    )


def test_over_mere_silence_it_waits_ever_longer_and_says_how_long(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cluster = Cluster(SILENT)
    with caplog.at_level(logging.INFO, "redrepl.monitor"):
        _run(cluster, monkeypatch, 60.0)
    pauses = [
        later - earlier
        for earlier, later in zip(cluster.failovers, cluster.failovers[1:], strict=False)
    ]
    assert pauses[-1] >= watched.LONGEST_PAUSE_SECONDS > pauses[0]
    told = [line for line in caplog.messages if "it waits another" in line]
    assert told
    assert len(told) <= len(cluster.failovers)  # once for each pause, not at each look
    assert "`redrepl failover` does it at once" in told[0]


def test_looks_that_are_from_before_its_own_attempt_are_not_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = Cluster(DEAD)
    seen = cluster.probe

    def probe(wait_seconds: float, patience_seconds: float, _writes: bool) -> tuple[Topology, Seen]:
        topology, known = seen(wait_seconds, patience_seconds)
        return topology, known._replace(is_current=cluster.now >= 1010.0)

    monkeypatch.setattr(cluster, "probe", probe)
    _run(cluster, monkeypatch, 12.0)
    assert cluster.failovers
    assert cluster.failovers[0] >= 1010.0


def test_a_blocked_takeover_is_said_once_in_an_outage(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cluster = Cluster(DEAD)
    seen = cluster.probe

    def probe(wait_seconds: float, patience_seconds: float, _writes: bool) -> tuple[Topology, Seen]:
        topology, known = seen(wait_seconds, patience_seconds)
        changing = SILENT if int(cluster.now * 10) % 2 else "no answer in time"
        return topology, known._replace(
            reports=known.reports.updated(Reports(silent={"b": changing}))
        )

    monkeypatch.setattr(cluster, "probe", probe)
    with caplog.at_level(logging.INFO, "redrepl.monitor"):
        _run(cluster, monkeypatch, 30.0)
    assert cluster.failovers == []
    assert len(caplog.messages) == 1
    assert "no node takes over: 2 of 3 members must take part" in caplog.text
    assert "`redrepl failover --accept-loss --to c`" in caplog.text
