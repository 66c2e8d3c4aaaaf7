"""`headers`, `read_many` and `inspect`: reading changes nothing and tells everything."""

from __future__ import annotations

import pytest

from redrepl.values.keys import CLUSTERS_KEY
from redrepl.values.report import Cursor, Log, Mark, Position
from redrepl.values.report_answer import parse_report
from redrepl.values.topology import Member, Mode, NodeRole, Topology
from tests.scripts.harness import EPOCH, LAYOUT, Node, deleted, value


def test_headers_are_the_first_35_bytes_in_the_order_of_the_keys(node: Node) -> None:
    first = node.put(b"first", value(node.stamp(), b"p" * 100, node.millis(60)))
    second = node.put(b"second", deleted(node.stamp()))
    answer = node.call("headers", [b"second", b"absent", b"first", b"second"], EPOCH, b"active")
    heads = [record.encode()[:35] for record in (second, first)]
    assert answer == [b"ok", heads[0], b"", heads[1], heads[0]]
    assert all(len(head) == 35 for head in heads)


@pytest.mark.parametrize("admit", [b"active", b"upkeep"])
def test_headers_of_no_keys(node: Node, admit: bytes) -> None:
    assert node.call("headers", [], EPOCH, admit) == [b"ok"]


def test_headers_tell_of_records_past_their_deadline(node: Node) -> None:
    record = node.put(b"key", value(node.stamp(-5), b"payload", node.millis(-1)))
    assert node.call("headers", [b"key"], EPOCH, b"active") == [b"ok", record.encode()[:35]]


def test_read_many_answers_whole_records_in_order(node: Node) -> None:
    first = node.put(b"first", value(node.stamp(), b"\x00\xff"))
    second = node.put(b"second", deleted(node.stamp()))
    answer = node.read_many([b"second", b"absent", b"first"])
    assert answer == [b"ok", second.encode(), None, first.encode()]


def test_read_many_ends_no_list_at_an_absent_key(node: Node) -> None:
    record = node.put(b"last", value(node.stamp()))
    keys = [b"absent-%d" % number for number in range(40)]
    assert node.read_many([*keys, b"last"]) == [
        b"ok",
        *([None] * 40),
        record.encode(),
    ]


def test_a_stranger_can_be_inspected(node: Node) -> None:
    node.client.flushall()
    before = node.now_micros() // 1000
    answer = node.call("inspect", [])
    assert answer[:5] == [[], [0, b"0-0", 0, b"", b"", 0], [], [], b""]
    assert before <= int(answer[5]) <= node.now_micros() // 1000
    assert answer[6] == []
    assert node.client.keys("*") == []


def test_a_node_of_other_clusters_tells_them(node: Node) -> None:
    node.client.flushall()
    node.client.hset(CLUSTERS_KEY, "bakery", "x")
    report = parse_report("a", node.call("inspect", []), "run")
    assert (report.member, report.clusters, report.epoch, report.state) == (
        {},
        {"bakery": "x"},
        0,
        "",
    )


def test_a_full_member_tells_everything(node: Node) -> None:
    members = (
        Member("a", "redis://a", NodeRole.PRIMARY),
        Member("b", "redis://b", NodeRole.REPLICA),
    )
    topology = Topology("shop", 7, Mode.PRIMARY_REPLICA, members)
    node.client.hset(LAYOUT.topology, "topology", topology.encode())
    node.client.hset(CLUSTERS_KEY, "shop", "a")
    for number in range(3):
        node.write(b"key-%d" % number, value(node.stamp()))
    ids = [stream_id.decode() for stream_id, _ in node.client.xrange(LAYOUT.log)]
    node.call("confirm", [], EPOCH, b"b", ids[1].encode(), 2, b"0", b"")
    node.call("absorb", [], EPOCH, b"b", b"inc", b"9-0", 4, 0, b"")
    node.client.hset(LAYOUT.sweep, "last", "{}")
    report = parse_report("a", node.call("inspect", []), "run-1")
    assert (report.sweep, report.purged_before) == ({"last": "{}"}, 0)
    assert (report.epoch, report.state, report.has_restarted, report.is_serving) == (
        7,
        "active",
        False,
        True,
    )
    assert report.log == Log(3, ids[2], 3, ids[0], ids[2])
    assert report.marks == {"b": Mark("inc", Position("9-0", 4))}
    assert set(report.cursors) == {"b"}
    assert report.cursors["b"] == Cursor(Position(ids[1], 2), report.cursors["b"].at_millis)
    assert (report.lag_of("b"), report.lag_of("c")) == (1, 3)
    assert report.topology == topology
    assert report.clusters == {"shop": "a"}
    assert report.member["max_age_micros"] == "30000000"


def test_a_cut_log_still_counts_what_was_added(node: Node) -> None:
    for number in range(5):
        node.write(b"key-%d" % number, value(node.stamp()))
    ids = [stream_id for stream_id, _ in node.client.xrange(LAYOUT.log)]
    node.client.xtrim(LAYOUT.log, maxlen=2, approximate=False)
    assert node.call("inspect", [])[1] == [2, ids[4], 5, ids[3], ids[4], 0]


def test_a_node_tells_whether_its_log_holds_an_entry(node: Node) -> None:
    for number in range(2):
        node.write(b"key-%d" % number, value(node.stamp()))
    first, second = (stream_id for stream_id, _ in node.client.xrange(LAYOUT.log))
    node.client.xdel(LAYOUT.log, second)
    assert node.call("inspect", [], first)[1] == [1, second, 2, first, first, 1]
    assert node.call("inspect", [], second)[1] == [1, second, 2, first, first, 0]


def test_a_log_cut_to_nothing_keeps_its_end(node: Node) -> None:
    node.write(b"key", value(node.stamp()))
    last = node.client.xrange(LAYOUT.log)[0][0]
    node.client.xtrim(LAYOUT.log, maxlen=0, approximate=False)
    assert node.call("inspect", [])[1] == [0, last, 1, b"", b"", 0]
