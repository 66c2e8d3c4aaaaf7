"""Values of several megabytes: whoever copies, reads or compares them takes few at a time, and
small writes go on.
"""

from __future__ import annotations

from tests.servers.conftest import MakeCluster
from tests.servers.support.cluster import Cluster
from tests.servers.support.writers import Writers

SMALL = {f"small-{number}": b"s" * 50 for number in range(200)}
LARGE = {f"large-{number}": b"%02d" % number * 2_500_000 for number in range(30)}
VALUE_BYTES = 5_000_000
AT_A_TIME = 8
"""Values that a server may hold besides its data: in a script, in its answer, in its client's
buffers.
"""


def _memory(cluster: Cluster, node: str, figure: str) -> int:
    with cluster.raw(node).client as client:
        return int(client.info("memory")[figure])


def test_they_are_caught_up_after_an_outage_while_small_writes_go_on(cluster: Cluster) -> None:
    store = cluster.open()
    store.set("warm", b"up", level="all")
    cluster["c"].kill()
    for key, value in {**SMALL, **LARGE}.items():
        store.set(key, value)
    before = _memory(cluster, "a", "used_memory_peak")
    cluster["c"].start()
    with Writers(store, 2) as writers:
        writers.wait_more(50)
        done = cluster.bring_up("c")
        writers.wait_more(50)
    assert (done.full_syncs, done.finished, done.activated) == (0, True, True)
    assert done.payload_bytes > len(LARGE) * VALUE_BYTES
    assert writers.errors == []
    assert _memory(cluster, "a", "used_memory_peak") - before < AT_A_TIME * VALUE_BYTES
    assert (
        _memory(cluster, "c", "used_memory_peak") - _memory(cluster, "c", "used_memory")
        < AT_A_TIME * VALUE_BYTES
    )
    cluster.settle()
    values = cluster.values_everywhere()
    assert {key: values[key.encode()] for key in LARGE} == LARGE


def test_they_are_read_and_compared_a_few_at_a_time_and_replaced_unread(
    make_cluster: MakeCluster,
) -> None:
    cluster = make_cluster(timeout_seconds=10.0, max_age_seconds=20.0)
    store = cluster.open()
    for key, value in LARGE.items():
        store.set(key, value, level="all")
    before = {node: _memory(cluster, node, "used_memory_peak") for node in cluster.nodes}
    assert store.get_many([*SMALL, *LARGE], level="quorum") == {**dict.fromkeys(SMALL), **LARGE}
    report = cluster.administration.verify()
    assert (report.consistent, report.keys_checked) == (True, len(LARGE))
    cluster.raw("b").put("large-7", b"damaged")
    assert [mismatch.key for mismatch in cluster.administration.verify().mismatches] == [b"large-7"]
    with cluster.raw("b").client as client:
        client.delete("shop:k:large-7")
    receipts = store.delete_many([*SMALL, *LARGE], level="all")
    assert {len(receipt.acked) for receipt in receipts.values()} == {3}
    for node, peak in before.items():
        assert _memory(cluster, node, "used_memory_peak") - peak < AT_A_TIME * VALUE_BYTES, node
    cluster.settle()
    assert set(cluster.values_everywhere()) == set()
