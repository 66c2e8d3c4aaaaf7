"""One replica's bookkeeping, or the topology that it tells, says what is not so, while programs
write and workers run.

The others serve, the replica is put right, and a failover after that loses nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TypeAlias

import pytest

from redrepl import RedreplError
from redrepl.values.keys import KeyLayout
from tests.servers.support.cluster import Cluster
from tests.support.waiting import wait_until

Members: TypeAlias = list[dict[str, str]]

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
NOWHERE = "redis://127.0.0.1:1/0"


def _with_primary(members: Members, primary: str) -> Members:
    return [{**each, "role": "primary" if each["id"] == primary else "replica"} for each in members]


def _replaced(members: Members, node: str) -> Members:
    return [
        {**each, "identity": "id-new" if each["id"] == node else each["identity"]}
        for each in members
    ]


TOPOLOGIES: dict[str, Callable[[Members], dict[str, object]]] = {
    "it alone": lambda members: {"members": _with_primary(members, "c")[2:]},
    "it is the primary": lambda members: {"members": _with_primary(members, "c")},
    "the other replica is the primary": lambda members: {"members": _with_primary(members, "b")},
    "the other replica is gone": lambda members: {"members": [members[0], members[2]]},
    "one more": lambda members: {
        "members": [{"id": "x", "url": NOWHERE, "role": "replica", "identity": "id-x"}, *members]
    },
    "others are elsewhere": lambda members: {
        "members": [*({**each, "url": NOWHERE} for each in members[:2]), members[2]]
    },
    "the other replica is replaced": lambda members: {"members": _replaced(members, "b")},
    "the primary is replaced": lambda members: {"members": _replaced(members, "a")},
    "several primaries": lambda members: {
        "mode": "multi-primary",
        "members": [{**each, "role": "primary"} for each in members],
    },
    "another cluster": lambda members: {"cluster": "other", "members": members},
}
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
def test_one_forged_field_stops_nobody(
    cluster: Cluster, key: bytes, field: str, value: str
) -> None:
    def forge() -> None:
        known = bookkeeping(cluster)
        cluster.raw("c").client.hset(key, field.format(**known), value.format(**known))

    check_that_it_stops_nobody(cluster, forge)


@pytest.mark.soak
@pytest.mark.parametrize("later", [0, 1, 11, 100, 2000])
@pytest.mark.parametrize("kind", TOPOLOGIES)
def test_one_forged_topology_stops_nobody(cluster: Cluster, kind: str, later: int) -> None:
    """It works in the epoch of that topology, and serves there."""

    def forge() -> None:
        client = cluster.raw("c").client
        told = json.loads(client.hget(LAYOUT.topology, "topology"))
        epoch = told["epoch"] + later
        forged = {**told, "epoch": epoch, **TOPOLOGIES[kind](told["members"])}
        rule = (
            "decide"
            if {"id": "c", "role": "primary"}.items() <= forged["members"][-1].items()
            else "follow"
        )
        rule = "merge" if forged["mode"] == "multi-primary" else rule
        client.hset(LAYOUT.topology, "topology", json.dumps(forged))
        client.hset(
            LAYOUT.member,
            mapping={"epoch": epoch, "lineage": epoch, "rule": rule, "state": "active"},
        )
        client.set(LAYOUT.guard, f"{epoch} active")

    check_that_it_stops_nobody(cluster, forge)


def check_that_it_stops_nobody(cluster: Cluster, forge: Callable[[], None]) -> None:
    """Programs that were there before, and one that comes after, write without a failure; a
    failover loses nothing.
    """
    store = cluster.open()
    expected = {f"key{number}".encode(): b"before" for number in range(20)}
    for name in expected:
        store.set(name, b"before", level="all")
    cluster.monitor()
    forge()
    newcomer = cluster.open()

    def write_all(value: bytes) -> None:
        for number, name in enumerate(expected):
            (store, newcomer)[number % 2].set(name, value)
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
