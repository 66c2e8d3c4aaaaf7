"""Connections that open slowly or in a bad moment mix nothing up."""

from __future__ import annotations

import gc
import time

import pytest
import redis
from redis._parsers import _HiredisParser
from redis.connection import AbstractConnection

from redrepl import Administration, Unavailable
from redrepl.edges.admission import Purpose
from redrepl.edges.cluster import open_driver
from redrepl.edges.opening import NodeGate
from redrepl.plans.steps import Steps
from redrepl.values.effects import PlainCommand, Plan
from tests.servers.support.cluster import Cluster
from tests.support.waiting import wait_until


def test_a_connection_that_opens_at_once_keeps_the_order_of_questions(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a busy machine the opening thread may be done before the caller goes on to its second
    # question.
    ask = NodeGate.request

    def opens_at_once(gate: NodeGate, wake: object) -> str | None:
        trouble = ask(gate, wake)  # type: ignore[arg-type]
        wait_until(lambda: not gate._openings)
        return trouble

    monkeypatch.setattr(NodeGate, "request", opens_at_once)
    with Administration(cluster.configuration()) as administration:
        _, reports = administration.inspect()
    assert reports.silent == {}
    restarted = {node: report.has_restarted for node, report in reports.present.items()}
    assert restarted == {"a": False, "b": False, "c": False}


def test_a_silent_node_does_not_keep_another_from_being_brought_up(cluster: Cluster) -> None:
    store = cluster.open()
    store.set("key", b"v", level="all")
    proxy = cluster.proxy("c")
    proxy.blackhole()
    cluster["b"].restart()
    with Administration(cluster.configuration({"c": proxy.url()})) as administration:
        done = administration.bring_up("b")
    assert done.activated
    assert cluster.raw("b").values() == {b"key": b"v"}


def test_a_late_answer_is_not_taken_for_the_answer_to_another_question(cluster: Cluster) -> None:
    proxy, store = cluster.proxied("b")
    for number in range(20):
        store.set(f"key-{number}", b"v%d" % number, level="all")
    for number in range(20):
        proxy.blackhole()
        # b's share of the time runs out, c or a answers; then b's answer arrives, to the next read.
        assert store.get(f"key-{number}", prefer="replica", timeout_seconds=0.15) == b"v%d" % number
        proxy.heal()
        follower = (number + 1) % 20
        assert store.get(f"key-{follower}", prefer="replica") == b"v%d" % follower
        assert store.get_many([f"key-{number}"], prefer="replica") == {
            f"key-{number}": b"v%d" % number
        }


def test_upkeep_does_not_go_on_with_a_node_that_restarted_in_between(cluster: Cluster) -> None:
    # What it said before the restart, its mark above all, may be more than it holds now.
    def restart_in_between() -> Plan[list[object]]:
        answers: list[object] = []
        for number in range(3):
            if number == 1:
                cluster["b"].kill()
                cluster["b"].start()
            steps = Steps(time.monotonic())
            try:
                answers.append((yield from steps.ask("b", PlainCommand((b"PING",)), "asking")))
            except Unavailable as error:
                answers.append(error.evidence["b"])
        return answers

    configuration = cluster.configuration()
    for purpose, expected in ((Purpose.MAINTAIN, "restarted meanwhile"), (Purpose.DISCOVER, None)):
        driver = open_driver(configuration, list(configuration.endpoints), purpose)
        first, *later = driver.run(restart_in_between())
        assert first == b"PONG"
        if expected is None:
            assert later[-1] == b"PONG"
        else:
            assert expected in str(later[-1])
        assert driver.run(ping("b")) == b"PONG"
        driver.close()


def ping(node: str) -> Plan[object]:
    """One question to one node."""
    return (yield from Steps(time.monotonic()).ask(node, PlainCommand((b"PING",)), "asking"))


def _left_behind() -> int:
    return sum(isinstance(each, (AbstractConnection, _HiredisParser)) for each in gc.get_objects())


@pytest.mark.parametrize("trouble", ["none", "dead", "full"])
def test_what_redis_py_opened_a_connection_with_is_gone_at_once(
    cluster: Cluster, trouble: str
) -> None:
    """It has a `__del__`, in which the exception of a signal's handler would be lost.

    Also where opening failed.
    """
    with redis.Redis.from_url(cluster["c"].url) as client:
        client.ping()
        if trouble == "dead":
            cluster["c"].kill()
        elif trouble == "full":
            client.config_set("maxclients", 1)
        gc.collect()
        gc.disable()
        try:
            before = _left_behind()
            with cluster.open() as store:
                store.set("key", b"v", level="all" if trouble == "none" else "quorum")
                wait_until(
                    lambda: _left_behind() == before,
                    message="nothing is left of opening connections",
                )
        finally:
            gc.enable()
