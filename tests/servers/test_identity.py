"""A member is a server: two servers of one name are never one member, whatever files say."""

from __future__ import annotations

import logging

import pytest

from redrepl import (
    Administration,
    Configuration,
    Coordinator,
    RequestError,
    Unavailable,
    load_configuration,
)
from redrepl.edges.endpoint import split_url
from redrepl.embedded import EmbeddedServer
from redrepl.values.reports import NO_REPORTS, Reports
from redrepl_workers.monitor import Monitor
from redrepl_workers.tick import Ticker
from tests.servers.conftest import MakeCluster
from tests.servers.support.cluster import Cluster, Store
from tests.servers.support.writers import Writers
from tests.support.waiting import wait_until


def stale_file(cluster: Cluster, **urls: str) -> Configuration:
    """The configuration of a program whose file names other addresses for these nodes."""
    text = cluster.configuration_file().read_text()
    for node, url in urls.items():
        text = text.replace(f'url = "{cluster.servers.urls[node]}"', f'url = "{url}"')
    file = cluster.folder / f"stale-{len(list(cluster.folder.iterdir()))}.toml"
    file.write_text(text)
    return load_configuration(file, {})


def administration_of(cluster: Cluster, configuration: Configuration) -> Administration:
    return cluster.stack.enter_context(Administration(configuration))


def open_store(cluster: Cluster, configuration: Configuration) -> Store:
    return cluster.stack.enter_context(Coordinator(configuration))


def worker_with(cluster: Cluster, configuration: Configuration) -> None:
    """A worker's tick and monitor in this process."""
    for part in (Ticker(configuration), Monitor(configuration)):
        cluster.stack.callback(part.stop)
        part.start()


def value_on(cluster: Cluster, node: str, key: str) -> bytes | None:
    return cluster.raw(node).values().get(key.encode())


def replace_by_spare(
    cluster: Cluster, node: str, name: str = "spare", accept_loss: bool = False
) -> EmbeddedServer:
    server = cluster.spare(name)
    cluster.administration.replace_node(split_url(node, server.url), accept_loss)
    return server


def test_an_empty_server_that_a_file_names_does_not_become_the_member(cluster: Cluster) -> None:
    store = cluster.open()
    store.set_many({f"key-{number}": b"old" for number in range(100)}, level="all")
    other = cluster.spare("spare")
    moved = stale_file(cluster, c=other.url)
    administration_of(cluster, moved).sync("c")
    assert cluster.raw("spare").member() == {}
    program = open_store(cluster, moved)
    assert program.set("key-1", b"new", level="all").acked == {"a", "b", "c"}
    assert value_on(cluster, "c", "key-1") == b"new"


def test_status_and_workers_name_an_empty_server_in_the_file_until_the_cluster_agrees(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    other = cluster.spare("spare")
    moved = stale_file(cluster, c=other.url)
    said = (
        f"{moved.origin} has it at {other.url}, the cluster at {cluster['c'].url}: an empty "
        "server is there, "
        "no member; the cluster's address counts"
    )
    administration = administration_of(cluster, moved)
    assert f"c: {said}" in administration.status(look_at_keys=False).problems
    assert cluster.administration.status(look_at_keys=False).problems == (), (
        "the cluster is sound, the file is not"
    )
    with caplog.at_level(logging.INFO):
        worker_with(cluster, moved)
        wait_until(lambda: is_told(caplog, f"node 'c': {said}"), 30, "worker and monitor name it")
        administration.replace_node(split_url("c", other.url))
        wait_until(
            lambda: is_told(caplog, f"node 'c' is as {moved.origin} says"),
            30,
            "they say that it is over",
        )
    cluster.wait_active("c")
    assert administration.status(look_at_keys=False).problems == ()


def test_status_and_workers_name_a_dead_address_in_the_file(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    stale = stale_file(cluster, b="redis://127.0.0.1:1/0")
    said = (
        f"{stale.origin} has it at redis://127.0.0.1:1/0, the cluster at {cluster['b'].url}: the "
        "cluster's address "
        "counts; 127.0.0.1:1 refuses connections"
    )
    administration = administration_of(cluster, stale)
    assert [
        problem.startswith(f"b: {said}")
        for problem in administration.status(look_at_keys=False).problems
    ] == [True]
    with caplog.at_level(logging.INFO):
        worker_with(cluster, stale)
        wait_until(lambda: is_told(caplog, f"node 'b': {said}"), 30, "worker and monitor name it")


def is_told(caplog: pytest.LogCaptureFixture, text: str) -> bool:
    """Whether the worker's tick and the monitor have both said it."""
    return {record.name for record in caplog.records if text in record.getMessage()} >= {
        "redrepl.worker",
        "redrepl.monitor",
    }


def test_a_name_that_is_used_again_is_another_member_for_a_worker_with_the_old_file(
    cluster: Cluster,
) -> None:
    """The order of the issue: `nodes remove a`, `nodes add a NEWURL`; the worker keeps the old
    file.
    """
    store = cluster.open()
    store.set("key", b"before", level="all")
    old = stale_file(cluster)
    worker_with(cluster, old)
    cluster.administration.remove_node("a")
    spare = cluster.spare("spare")
    cluster.administration.add_node(split_url("a", spare.url))
    wait_until(
        lambda: store.set("probe", b"1", level="quorum").outcome.name == "COMMITTED",
        message="writes go on",
    )
    cluster.wait_active("a")
    acked = [f"key-{number}" for number in range(50)]
    for key in acked:
        store.set(key, b"acked", level="all")
    assert cluster.raw("a").member() == {}, "the server that was removed is nobody, and stays so"
    assert value_on(cluster, "a", "key-1") is None
    primary = store.topology.decider
    assert primary is not None
    cluster[primary].kill()
    survivor = cluster.open()
    wait_until(lambda: survivor.get("probe", level="quorum") == b"1", 40, "another primary")
    assert [survivor.get(key, level="quorum") for key in acked] == [b"acked"] * len(acked)


def test_a_dead_machine_is_replaced_while_clients_write(cluster: Cluster) -> None:
    store = cluster.open()
    cluster.ticker()
    cluster["c"].kill()
    with Writers(store, 2) as writers:
        writers.wait_more(50)
        server = replace_by_spare(cluster, "c")
        writers.wait_more(50)
        cluster.wait_active("c")
        wait_until(lambda: "c" in store.set("probe", b"1").acked, message="the new c confirms")
    assert writers.errors == []
    cluster.wait_settled()
    assert cluster.raw("spare").values() == cluster.raw("a").values()
    assert store.topology.member("c").url == server.url


def test_a_file_that_names_former_members_leads_to_the_present_ones(cluster: Cluster) -> None:
    """What it names are a dead server and two former members, each of which knows only who came
    after it.

    What one of them says alone leads nowhere: it may lie. Where the file is brought up to date it
    leads to all.
    """
    old = stale_file(cluster)
    cluster.open().set("key", b"value", level="all")
    for node in "bc":
        cluster[node].freeze()
        replace_by_spare(cluster, node, f"new-{node}")
        cluster.settle()
    cluster["a"].kill()
    cluster.administration.failover(away="a")
    for node in "bc":
        cluster[node].resume()
    _, reports = administration_of(cluster, old).inspect()
    assert "nothing is sent there" in reports.reason("b", "")
    old = stale_file(cluster, b=cluster["new-b"].url, c=cluster["new-c"].url)
    topology, reports = administration_of(cluster, old).inspect()
    assert topology is not None
    assert topology == cluster.administration.inspect()[0]
    serving = {report.node for report in reports.among("abc") if report.is_serving}
    assert serving == {"b", "c"}
    assert administration_of(cluster, old).find_members() == topology
    other = cluster.spare("new-a")
    administration_of(cluster, old).replace_node(split_url("a", other.url))
    cluster.settle()
    assert cluster.raw("new-a").values() == {b"key": b"value"}


def test_former_members_lead_on_step_by_step(cluster: Cluster) -> None:
    """All three that the file names were replaced, one after the other: each step makes sure of one
    address more.
    """
    old = stale_file(cluster)
    cluster.open().set("key", b"value", level="all")
    for node in "bca":
        if node == "a":
            cluster.administration.failover(to="b")
        cluster[node].freeze()
        replace_by_spare(cluster, node, f"new-{node}")
        cluster.settle()
        cluster[node].resume()
    topology, reports = administration_of(cluster, old).inspect()
    assert topology == cluster.administration.inspect()[0]
    assert [node for node, found in reports.present.items() if found.is_serving] == [*"abc"]


def test_a_server_that_was_replaced_comes_back_and_is_nobody(cluster: Cluster) -> None:
    store = cluster.open()
    store.set("key", b"first", level="all")
    cluster["c"].freeze()
    replace_by_spare(cluster, "c")
    cluster["c"].resume()
    cluster.settle()
    wait_until(
        lambda: store.set("key", b"second", level="all").acked == {"a", "b", "c"},
        message="they follow",
    )
    store.set("later", b"1", level="all")
    assert value_on(cluster, "c", "later") is None, "the server that was c gets nothing"
    assert value_on(cluster, "spare", "later") == b"1"
    old = stale_file(cluster, a="redis://127.0.0.1:1/0", b="redis://127.0.0.1:2/0")
    follows = open_store(cluster, old).get("later", level="quorum")
    assert follows == b"1", (
        "a program that finds the old c alone learns the members from it, and their newest state"
    )


def test_of_three_the_one_that_was_replaced_makes_no_majority(cluster: Cluster) -> None:
    """b, which was moved along, and the old c know the members before: nobody may fail over to them
    without a.
    """
    store = cluster.open()
    store.set("key", b"first", level="all")
    old = stale_file(cluster)
    replace_by_spare(cluster, "c")
    alone = administration_of(cluster, stale_file(cluster, a="redis://127.0.0.1:1/0"))
    with pytest.raises((Unavailable, RequestError)):
        alone.failover("c", away=("a",))
    assert store.set("key", b"second").outcome.name == "COMMITTED"
    assert administration_of(cluster, old).find_members().decider == "a"


def test_the_primary_hands_its_role_over_before_it_is_replaced(cluster: Cluster) -> None:
    store = cluster.open()
    store.set("key", b"first", level="all")
    server = replace_by_spare(cluster, "a")
    cluster.settle()
    assert store.set("key", b"second", level="all").acked == {"a", "b", "c"}
    topology = cluster.administration.find_members()
    assert topology.decider in ("b", "c")
    assert topology.member("a").url == server.url


def test_a_server_that_cannot_be_a_new_one_is_refused(cluster: Cluster) -> None:
    epoch = cluster.administration.find_members().epoch
    for url, what in (
        (cluster["b"].url, "are one server|is node 'b'|is the same server"),
        (cluster["b"].url[:-1] + "1", "is the same server|are one server"),
    ):
        with pytest.raises(RequestError) as refused:
            cluster.administration.replace_node(split_url("c", url))
        assert any(part in str(refused.value) for part in what.split("|")), str(refused.value)
    with pytest.raises(RequestError, match="is no member"):
        cluster.administration.replace_node(split_url("x", cluster["b"].url))
    assert cluster.administration.find_members().epoch == epoch


def test_an_address_changes_where_the_server_stays(cluster: Cluster) -> None:
    """Reached by another name it is the same server, and nothing is copied anew."""
    store = cluster.open()
    store.set("key", b"first", level="all")
    cluster.settle()
    before = cluster.administration.find_members()
    url = cluster["c"].url.replace("127.0.0.1", "localhost")
    cluster.administration.replace_node(split_url("c", url))
    after = cluster.administration.find_members()
    assert (after.member("c").url, after.identities) == (url, before.identities)
    assert store.set("key", b"second", level="all").acked == {"a", "b", "c"}
    assert cluster.bring_up("c").full_syncs == 0


def test_two_machines_of_three_that_are_gone_for_good_are_replaced_on_the_operators_word(
    cluster: Cluster,
) -> None:
    store = cluster.open()
    store.set("key", b"first", level="all")
    cluster["b"].kill()
    cluster["c"].kill()
    with pytest.raises(Unavailable, match="--accept-loss"):
        replace_by_spare(cluster, "c", "one")
    server = cluster.spares["one"]
    cluster.administration.replace_node(split_url("c", server.url), accept_loss=True)
    cluster.administration.bring_up("c")
    replace_by_spare(cluster, "b", "two")
    cluster.settle()
    assert store.set("key", b"second", level="all").acked == {"a", "b", "c"}


def test_an_empty_return_begins_an_epoch_and_the_server_with_the_data_counts_no_more(
    make_cluster: MakeCluster,
) -> None:
    cluster = make_cluster(persistence="none")
    store = cluster.open()
    store.set("key", b"first", level="all")
    before = cluster.administration.find_members()
    cluster["c"].kill()
    cluster["c"].restart()
    cluster.settle()
    after = cluster.administration.find_members()
    assert after.epoch == before.epoch + 1
    changed = {node for node in "abc" if before.identities[node] != after.identities[node]}
    assert changed == {"c"}
    assert store.set("key", b"second", level="all").acked == {"a", "b", "c"}
    cluster.assert_identical()


def test_two_of_three_that_came_back_empty_wait_for_the_operator(make_cluster: MakeCluster) -> None:
    """Where their addresses were given to new servers, the old ones may still be a majority
    somewhere.
    """
    cluster = make_cluster(persistence="none")
    store = cluster.open()
    store.set("key", b"first", level="all")
    for node in "bc":
        cluster[node].kill()
        cluster[node].restart()
    with pytest.raises(Unavailable, match="nodes replace ID URL --accept-loss"):
        cluster.bring_up("b")
    problems = cluster.administration.status(look_at_keys=False).problems
    assert any("nodes replace" in problem for problem in problems), problems
    cluster.administration.replace_node(split_url("b", cluster["b"].url), accept_loss=True)
    cluster.settle()
    assert store.set("key", b"second", level="all").acked == {"a", "b", "c"}


def test_a_copy_of_a_members_data_on_another_machine_is_not_the_member(cluster: Cluster) -> None:
    """c's data was copied to a new machine, the file says so, and the original still runs."""
    store = cluster.open()
    store.set("key", b"first", level="all")
    copy = restored(cluster, "c")
    moved = stale_file(cluster, c=copy.url)
    program = open_store(cluster, moved)
    assert program.set("key", b"second", level="all").acked == {"a", "b", "c"}
    assert value_on(cluster, "spare", "key") == b"first"
    administration_of(cluster, moved).sync("c")
    assert cluster.raw("spare").member()["run_id"] == cluster.raw("c").member()["run_id"], (
        "nobody admitted it"
    )
    with pytest.raises(RequestError, match="is node 'c' of a cluster 'shop'"):
        administration_of(cluster, moved).replace_node(split_url("c", copy.url))


def restored(cluster: Cluster, node: str) -> EmbeddedServer:
    """A server on another port with a copy of this node's data."""
    snapshot = cluster[node].snapshot_directory()
    spare = cluster.spare("spare")
    spare.kill()
    spare.restore_directory(snapshot)
    spare.restart()
    return spare


def test_a_restored_backup_that_became_the_truth_meets_its_original(cluster: Cluster) -> None:
    store = cluster.open()
    store.set("key", b"backup", level="all")
    copy = restored(cluster, "a")
    store.set("key", b"later", level="all")
    for node in "abc":
        cluster[node].kill()
    file = stale_file(cluster, a=copy.url)
    with Administration(file) as administration:
        done = administration.failover("a", accept_loss=True)
        assert done.primary == "a"
        topology = administration.find_members()
        assert topology.member("a").url == copy.url
    for node in "abc":
        cluster[node].restart()
    with Administration(file) as administration:
        for node in ("b", "c"):
            wait_until(
                lambda node=node: administration.bring_up(node).finished,  # type: ignore[misc]
                20,
                f"{node} follows",
            )
        assert administration.inspect()[0] == topology
    program = open_store(cluster, file)
    assert program.get("key", level="quorum") == b"backup"
    assert program.set("key", b"new", level="all").acked == {"a", "b", "c"}
    assert value_on(cluster, "a", "key") == b"later", "the original is nobody"
    old = open_store(cluster, stale_file(cluster))
    assert old.get("key", level="quorum") == b"new", (
        "a program with the old file finds the members by the others"
    )


def with_data_swapped(cluster: Cluster) -> None:
    """b and c start with each other's data."""
    snapshots = {node: cluster[node].snapshot_directory() for node in "bc"}
    for node, other in ("bc", "cb"):
        cluster[node].restore_directory(snapshots[other])
        cluster[node].start()


def errors_of(cluster: Cluster) -> dict[str, str]:
    """What status says of the nodes with which something is wrong."""
    return {node.id: node.error for node in cluster.administration.status().nodes if node.error}


def test_what_is_advised_where_two_started_with_each_others_data_helps(
    make_cluster: MakeCluster,
) -> None:
    cluster = make_cluster(count=5)
    store = cluster.open()
    store.set_many(dict.fromkeys("xyz", b"1"), level="all")
    with_data_swapped(cluster)
    said = errors_of(cluster)
    for node in "bc":
        assert f"`redrepl nodes replace {node} URL`" in said[node]
        assert "empty server" in said[node]
        with pytest.raises(Unavailable) as failed:
            cluster.bring_up(node)
        assert said[node].partition("; ")[2] in str(failed.value), "one voice"
    with pytest.raises(RequestError) as refused:
        cluster.administration.replace_node(cluster.administration.configuration.endpoints[1])
    emptied = "the keys shop:m:* and the entry shop in 'redrepl:clusters' were deleted there"
    for told in (*said.values(), str(refused.value)):
        assert f"this one is empty once {emptied}" in told.replace("This", "this")
    cluster.administration.replace_node(split_url("b", cluster.spare("b2").url))
    with cluster.raw("c").client as client:
        client.delete(*client.keys("shop:m:*"))
        client.hdel("redrepl:clusters", "shop")
    cluster.settle()
    assert store.set("x", b"2", level="all").acked == set("abcde")
    assert cluster.raw("b2").values() == cluster.raw("c").values() == cluster.raw("a").values()


def test_of_three_that_two_have_each_others_data_is_too_much_to_replace_one(
    cluster: Cluster,
) -> None:
    cluster.open().set("x", b"1", level="all")
    with_data_swapped(cluster)
    assert "2 of the present 3 must be there; usable: a" in errors_of(cluster)["b"]
    with pytest.raises(Unavailable, match="2 of the present 3 must be there; usable: a"):
        cluster.administration.replace_node(split_url("b", cluster.spare("b2").url))


def test_a_member_at_a_wrong_address_is_not_to_be_emptied(cluster: Cluster) -> None:
    """What answers there is the member itself, and may be the only one that has its data."""
    urls = {"b": cluster["c"].url, "c": cluster["b"].url}
    with Administration(cluster.configuration(urls)) as administration:
        said = [node.error or "" for node in administration.status().nodes if node.id in urls]
    assert all(
        "correct its address, or give the place to an empty server" in text for text in said
    ), said
    assert not any("deleted" in text for text in said)


def replace_frozen_c(cluster: Cluster) -> EmbeddedServer:
    """c's place is given to a spare, while c hangs; then the former c is started again with all it
    had.
    """
    cluster.open().set("key", b"value", level="all")
    cluster["c"].freeze()
    spare = replace_by_spare(cluster, "c")
    cluster["c"].resume()
    cluster.settle()
    cluster["c"].kill()
    cluster["c"].restart()
    return spare


def test_a_worker_that_still_asks_at_a_former_address_gives_nothing_to_the_server_there(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its look was told nothing, so that it asks where its file says; the look of its job is told
    of the members.
    """
    old = administration_of(cluster, stale_file(cluster))
    spare = replace_frozen_c(cluster)
    epoch = cluster.raw("a").member()["epoch"]
    monkeypatch.setattr(old, "inspect", lambda: (None, NO_REPORTS))
    with pytest.raises(
        Unavailable, match=f"c: is at {spare.url}, and was asked at {cluster['c'].url}"
    ):
        old.bring_up("c")
    assert cluster.raw("c").member()["state"] == "active"
    assert cluster.raw("a").member()["epoch"] == epoch
    monkeypatch.undo()
    assert old.bring_up("c").finished


def test_who_knows_the_members_asks_them_although_a_second_look_is_told_less(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = administration_of(cluster, stale_file(cluster))
    spare = replace_frozen_c(cluster)

    def told_nothing(_: float) -> tuple[None, Reports]:
        old._reach_members(None)
        return None, NO_REPORTS

    monkeypatch.setattr(old, "_inspect", told_nothing)
    assert old.find_members().member("c").url == spare.url
    assert old._reached_urls["c"] == spare.url
