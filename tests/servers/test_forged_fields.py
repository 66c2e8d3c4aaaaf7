"""One field of one replica's bookkeeping says what is not so, while programs write and workers run.

The others serve, the replica is put right, and a failover after that loses nothing.
"""

from __future__ import annotations

import pytest

from redrepl import RedreplError
from redrepl.values.keys import KeyLayout
from tests.servers.support.cluster import Cluster
from tests.support.waiting import wait_until

LAYOUT = KeyLayout("shop")
AHEAD = "9999999999999-0 999999"

MARKS = {
    "mark of the primary": ("a@{id_a}", f"{{inc_a}} {AHEAD}"),
    "mark of a replica": ("b@{id_b}", f"{{inc_b}} {AHEAD}"),
}
CURSORS = {"cursor of the primary": ("a@{id_a}", f"{AHEAD} 1700000000000")}
FIELDS = {
    "its lineage ahead": ("lineage", "99"),
    "its lineage gone": ("lineage", "0"),
    "its era": ("era", "99"),
    "the beginning of its log": ("log_floor", "9999999999999-0"),
    "a gap in its log": ("log_gap", "x"),
    "the primary is replaced": ("voided", "2 a {id_a}"),
    "the other replica is replaced": ("voided", "2 b {id_b}"),
    "somebody is enrolled": ("pending", "b {id_b}"),
    "all know the members": ("settled", "99"),
    "no skew": ("max_skew_micros", "0"),
    "no age": ("max_age_micros", "0"),
    "any age": ("max_age_micros", "99999999999999"),
    "its clock was ahead": ("clock_off", "3 s ahead"),
    "a time to come": ("clock_latest", "99999999999999"),
    "purged up to a time to come": ("purged_before", "1999999999999999"),
    "another run": ("run_id", "{run_a}"),
    "the next epoch": ("epoch", "2"),
    "a far epoch": ("epoch", "12"),
    "an epoch before all": ("epoch", "0"),
    "it decides": ("rule", "decide"),
    "it is filled": ("state", "syncing"),
    "it is fenced": ("state", "fenced"),
    "the primary's log": ("incarnation", "{inc_a}"),
    "the primary's restamping": ("restamp_writer", "80001000"),
}
FORGERIES = [
    *((LAYOUT.marks, *each) for each in MARKS.values()),
    *((LAYOUT.cursors, *each) for each in CURSORS.values()),
    *((LAYOUT.member, *each) for each in FIELDS.values()),
]
QUICK = {"its lineage gone", "mark of the primary"}
CASES = [
    pytest.param(*forgery, id=name, marks=[] if name in QUICK else pytest.mark.soak)
    for name, forgery in zip([*MARKS, *CURSORS, *FIELDS], FORGERIES, strict=True)
]


def bookkeeping(cluster: Cluster) -> dict[str, str]:
    """What a forger knows of the others, by the names in the forgeries."""
    known = {}
    for node in "ab":
        member = cluster.raw(node).client.hgetall(LAYOUT.member)
        for name, field in (("inc", b"incarnation"), ("id", b"identity"), ("run", b"run_id")):
            known[f"{name}_{node}"] = member[field].decode()
    return known


@pytest.mark.parametrize(("key", "field", "value"), CASES)
def test_one_forged_field_stops_nobody(cluster: Cluster, key: bytes, field: str, value: str) -> None:
    store = cluster.open()
    expected = {f"key{number}".encode(): b"before" for number in range(20)}
    for name in expected:
        store.set(name, b"before", level="all")
    cluster.monitor()
    known = bookkeeping(cluster)
    cluster.raw("c").client.hset(key, field.format(**known), value.format(**known))

    def write_all(value: bytes) -> None:
        for name in expected:
            store.set(name, value)
            expected[name] = value

    write_all(b"beside")
    cluster.settle()
    write_all(b"after")
    cluster["a"].kill()

    def is_written() -> bool:
        try:
            return bool(store.set("last", b"1").acked)
        except RedreplError:
            return False

    wait_until(is_written, message="another node takes over")
    assert {name: store.get(name, level="quorum") for name in expected} == expected
