"""Walks over all keys on real servers: slow ones, ones whose worker dies, and ones behind which
much is written.
"""

from __future__ import annotations

import pytest

from redrepl import Administration, Unavailable
from redrepl.plans.steps import STEP_SECONDS
from redrepl.values import limits
from redrepl.values.effects import Progress
from redrepl.values.report import NodeReport
from redrepl.values.walk import Walk, held_for, read_walk
from tests.servers.conftest import MakeCluster
from tests.servers.support.cluster import Cluster
from tests.servers.test_log_retention import trim
from tests.support.waiting import wait_until

KEYS = 3000
PAGE = 100


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SCAN_KEYS", PAGE)


def _fill(cluster: Cluster) -> None:
    cluster.open().set_many({f"key-{number}": b"v" for number in range(KEYS)})
    cluster.settle()


def _report(cluster: Cluster, node: str) -> NodeReport:
    _, reports = cluster.administration.inspect()
    assert node in reports.present, reports.silent
    return reports.present[node]


def _walk(cluster: Cluster, node: str = "b") -> Walk:
    walk = read_walk(_report(cluster, node), "a")
    assert walk is not None
    return walk


def _begin(cluster: Cluster) -> Walk:
    """The first part of a walk that fills b."""
    cluster["b"].restart(empty=True)
    cluster.administration.bring_up("b", budget_seconds=0.0)
    return _walk(cluster)


def test_a_walk_that_takes_longer_than_any_step_may(make_cluster: MakeCluster) -> None:
    """Nothing is lacking, so nothing but the walk itself can move its deadline."""
    cluster = make_cluster(count=2)
    _fill(cluster)
    proxy = cluster.proxy("a")
    took: list[float] = []
    with Administration(cluster.configuration({"a": proxy.url(cluster["a"].url)})) as slow:
        slow.inspect()
        proxy.delay(0.6 * STEP_SECONDS * PAGE / KEYS)
        began = slow._driver.now()
        done = slow.sync("b", on_progress=lambda _: took.append(slow._driver.now() - began))
    assert took[-1] > STEP_SECONDS, "it was too fast to show anything"
    assert [(each.full_syncs, each.finished) for each in done] == [(1, True)]
    cluster.assert_identical()


@pytest.mark.usefixtures("server_binary")
def test_a_worker_that_is_killed_is_followed_by_one_that_goes_on(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(sync_keys_per_second=400)
    _fill(cluster)
    cluster["b"].restart(empty=True)
    worker = cluster.worker()
    wait_until(lambda: KEYS > _walk(cluster).keys >= KEYS // 5, 20, "part of the keys walked")
    worker.kill()
    noted = _walk(cluster)
    listed: list[Progress] = []
    with Administration(cluster.configuration(sync_keys_per_second=100_000)) as next_worker:
        done = next_worker.bring_up("b", on_progress=listed.append)
    assert done.activated
    copied = [progress.done for progress in listed if progress.stage.startswith("copy")]
    assert copied == [] or copied[0] > noted.keys, "it went on behind what was noted"
    assert done.records <= KEYS - noted.keys
    cluster.assert_identical()


@pytest.mark.usefixtures("server_binary")
def test_the_log_is_held_from_the_beginning_of_a_walk(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(log_cap_entries=300)
    _fill(cluster)
    began = _begin(cluster).began
    store = cluster.open()
    for number in range(1500):
        store.set(f"key-{number % 700}", b"during", level="one")
    store.delete("key-7")
    trim(cluster.administration)
    assert _report(cluster, "a").log.length > 1500
    assert held_for(_report(cluster, "a"), "b", limits.HOLD_SECONDS) == began
    done = cluster.bring_up("b")
    assert (done.activated, done.notes) == (True, ["was set to syncing"])
    assert read_walk(_report(cluster, "b"), "a") is None
    assert held_for(_report(cluster, "a"), "b", limits.HOLD_SECONDS) is None
    cluster.settle()
    cluster.assert_identical()
    assert trim(cluster.administration) > 1000, "nothing holds it any more"


def test_a_walk_whose_log_takes_too_much_begins_anew_and_says_so(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(log_cap_entries=300, log_cap_bytes=20_000)
    _fill(cluster)
    _begin(cluster)
    store = cluster.open()

    def write_and_cut(_: Progress) -> None:
        for number in range(1000):
            store.set(f"key-{number}", b"during", level="one")
        trim(cluster.administration)

    with (
        Administration(cluster.configuration(sync_keys_per_second=200)) as slow,
        pytest.raises(Unavailable, match="log_cap_bytes"),
    ):
        slow.bring_up("b", on_progress=write_and_cut)
    cluster.administration.bring_up("b", budget_seconds=0.0)
    assert _walk(cluster).begun_anew == 1
    status = cluster.administration.status(look_at_keys=False)
    assert "raise log_cap_bytes" in str(next(node.error for node in status.nodes if node.id == "b"))
    assert cluster.bring_up("b").activated
    cluster.settle()
    cluster.assert_identical()
