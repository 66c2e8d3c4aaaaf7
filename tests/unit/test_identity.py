"""A member is a server, not a name: what is said of one server never counts for another of its
name.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from redrepl.edges.admission import Admission, Membership, Purpose
from redrepl.edges.cluster import endpoints_of
from redrepl.edges.configuration import Configuration
from redrepl.edges.endpoint import split_url, with_connect_url
from redrepl.edges.opening_errors import describe_error
from redrepl.plans.contradictions import contradictions
from redrepl.plans.epochs.membership import Tolerances, initialise
from redrepl.plans.inspect import inspect_nodes
from redrepl.values.keys import KeyLayout
from redrepl.values.report import Configured, NodeReport
from redrepl.values.reports import NO_REPORTS, Reports
from redrepl.values.topology import NodeRole, Topology
from tests.unit.support.by_hand import topology
from tests.unit.support.in_memory import Nodes
from tests.unit.support.reports import report, stranger

IDENTITIES = {"a": "ia", "b": "ib", "c": "ic"}


def named(copies: int = 3) -> Topology:
    return topology(copies, epoch=1).with_identities(IDENTITIES)


def test_the_identities_of_the_members_are_part_of_the_topology() -> None:
    assert Topology.parse(named().encode()) == named()
    assert Topology.parse(named().encode().replace(',"identity":"ib"', "")).identities == {
        **IDENTITIES,
        "b": "",
    }


@pytest.mark.parametrize(
    ("found", "named_as", "is_admitted"),
    [
        ("new", "new", True),
        ("old", "new", False),
        (None, "new", False),
        (None, "", True),
        ("old", None, True),
    ],
)
def test_a_server_of_the_name_with_another_identity_serves_nobody(
    found: str | None, named_as: str | None, is_admitted: bool
) -> None:
    membership = Membership("shop", "b", "active", "run", found, "7", "run")
    reason = Admission(KeyLayout("shop"), Purpose.SERVE).refusal("b", membership, named_as)
    assert (reason is None) is is_admitted
    # Upkeep needs to see who is there.
    assert Admission(KeyLayout("shop"), Purpose.MAINTAIN).refusal("b", membership, named_as) is None


def test_members_are_reached_where_the_topology_says_or_where_the_file_overrides_that() -> None:
    seeds = (
        split_url("a", "redis://me:secret@old-a:1"),
        with_connect_url(split_url("b", "redis://b:1"), "redis://tunnel:9"),
    )
    configuration = Configuration("shop", seeds, (NodeRole.PRIMARY, NodeRole.REPLICA))
    found = {each.node: each for each in endpoints_of(named(), configuration)}
    assert (found["a"].reached_at, found["a"].password) == ("redis://a:6379/0", "secret")
    assert (found["b"].url, found["b"].reached_at) == ("redis://b:6379/0", "redis://tunnel:9")
    assert found["c"].reached_at == "redis://c:6379/0"
    assert {node: each.identity for node, each in found.items()} == IDENTITIES


def test_where_the_cluster_has_a_member_at_another_address_a_failure_names_connect_url() -> None:
    seeds = (split_url("a", "redis://seen:1"), split_url("b", "redis://b:6379/0"))
    configuration = Configuration("shop", seeds, (NodeRole.PRIMARY, NodeRole.REPLICA))
    found = {each.node: each for each in endpoints_of(named(), configuration)}
    said = describe_error(found["a"], ConnectionRefusedError(111, "refused"), 1.0)
    assert said.startswith("a:6379 refuses connections")
    assert "found at redis://seen:1: set connect_url" in said
    for node in "bc":
        assert "connect_url" not in describe_error(
            found[node], ConnectionRefusedError(111, "refused"), 1.0
        )
    by_urls = Configuration("shop", (split_url("seed-1", "redis://seen:1"),), (NodeRole.PRIMARY,))
    named_by_seed = {
        each.node: each.configured_at for each in endpoints_of(named(), by_urls, {"a": "seed-1"})
    }
    assert named_by_seed == {"a": "redis://seen:1", "b": None, "c": None}


def test_an_endpoint_reached_elsewhere_keeps_its_login_unless_the_other_url_has_one() -> None:
    endpoint = split_url("b", "redis://me:secret@b:1")
    assert with_connect_url(endpoint, "redis://tunnel:9").password == "secret"
    other = with_connect_url(endpoint, "redis://you:other@tunnel:9")
    assert (other.username, other.password, other.connect_url) == (
        "you",
        "other",
        "redis://tunnel:9",
    )


def test_cursors_and_marks_of_another_server_of_the_name_are_not_seen() -> None:
    nodes = Nodes(3)
    client = nodes.client("a")
    for positions, value in ((nodes.layout.cursors, "5-0 3 9"), (nodes.layout.marks, "inc 5-0 3")):
        client.execute_command("HSET", positions, "b@ib", value, "c@former", value)
    plan = inspect_nodes(nodes.layout, ("a",), nodes.at + 5, known=replace(named(), epoch=2))
    report = nodes.run(plan).present["a"]
    assert (set(report.cursors), set(report.marks)) == ({"b"}, {"b"})


def test_a_report_is_about_the_server_that_the_newest_topology_names() -> None:
    nodes = Nodes(2)
    nodes.client("b").execute_command("HSET", nodes.layout.member, "identity", "ib")
    for identity, is_itself in (("ib", True), ("other", False)):
        known = replace(topology(2, epoch=2).with_identities({"a": "", "b": identity}))
        report = nodes.run(inspect_nodes(nodes.layout, ("b",), nodes.at + 5, known=known)).present[
            "b"
        ]
        assert (report.is_itself, report.is_serving) == (is_itself, is_itself)


def test_initialising_again_keeps_the_identities_of_the_first_time() -> None:
    nodes = Nodes(3)
    for node in "abc":
        nodes.client(node).flushall()
    nodes.run(initialise(named(), dict.fromkeys("abc", "inc"), Tolerances(), nodes.at))
    nodes.client("b").flushall()
    again = topology(3, epoch=1).with_identities({"a": "xa", "b": "xb", "c": "xc"})
    done = nodes.run(initialise(again, dict.fromkeys("abc", "inc"), Tolerances(), nodes.at))
    assert done == {"a": "already a member", "b": "created", "c": "already a member"}
    for node in "abc":
        report = nodes.report(node)
        assert report.topology == named()
        assert report.identity == IDENTITIES[node]


ELSEWHERE = "redis://other:1"


def server(node: str, identity: str, run_id: str = "run-1") -> NodeReport:
    """A member's server, which was admitted as run-1: as another run it restarted, or is a copy."""
    return report(node, run_id=run_id, identity=identity)


def empty(**clusters: str) -> NodeReport:
    """A server that is no member of this cluster."""
    return replace(stranger("c", **clusters), run_id="run-2")


MEMBER = replace(server("c", "ic"), named="ic")
CONTRADICTIONS: dict[str, tuple[NodeReport | str, NodeReport | str, str]] = {
    "nobody answers": (
        MEMBER,
        "other:1 is silent",
        "the cluster's address counts; other:1 is silent",
    ),
    "an empty server": (
        MEMBER,
        empty(),
        "an empty server is there, no member; the cluster's address counts",
    ),
    "another cluster": (
        MEMBER,
        empty(bakery="x"),
        "a node of cluster bakery is there; the cluster's address counts",
    ),
    "another member": (
        MEMBER,
        server("b", "ib", "run-2"),
        "node 'b' is there; the cluster's address counts",
    ),
    "a former server": (
        MEMBER,
        server("c", "old", "run-2"),
        "another server that was node 'c' once is there",
    ),
    "a copy": (
        MEMBER,
        server("c", "ic", "run-2"),
        "another server with a copy of its data is there",
    ),
    "it moved": (
        "c:6379 refuses connections",
        server("c", "ic"),
        "`redrepl nodes replace c redis://other:1`",
    ),
}


@pytest.mark.parametrize("kind", list(CONTRADICTIONS))
def test_what_is_at_an_address_that_contradicts_the_cluster_is_said(kind: str) -> None:
    there, found, said = CONTRADICTIONS[kind]
    nodes = [Configured("a", "redis://a:6379/0", None), Configured("c", ELSEWHERE, found)]
    nodes.append(Configured("b", "redis://b:6379/0", None))
    wrong = contradictions(named(), Reports.collect({"c": there}), nodes, "redrepl.toml")
    assert list(wrong) == ["c"]
    assert wrong["c"].startswith(
        "redrepl.toml has it at redis://other:1, the cluster at redis://c:6379/0: "
    )
    assert said in wrong["c"]


def test_a_member_that_is_reached_by_another_way_contradicts_nothing() -> None:
    nodes = [Configured(node, ELSEWHERE, server(node, IDENTITIES[node])) for node in "abc"]
    there = {
        node: replace(server(node, IDENTITIES[node]), named=IDENTITIES[node]) for node in "abc"
    }
    assert contradictions(named(), Reports(there), nodes, "redrepl.toml") == {}


def test_nodes_that_the_file_or_the_cluster_alone_has_are_said() -> None:
    nodes = [Configured(node, f"redis://{node}:6379/0", None) for node in "abx"]
    wrong = contradictions(named(), NO_REPORTS, nodes, "redrepl.toml")
    assert list(wrong) == ["x", "c"]
    assert (
        wrong["x"]
        == "redrepl.toml names it, but it is no member of the cluster; members are a, b, c"
    )
    assert (
        wrong["c"]
        == "is a member, at redis://c:6379/0, that redrepl.toml does not name; add it, so that it "
        "is found"
    )
