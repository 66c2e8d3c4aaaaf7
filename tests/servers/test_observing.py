"""What happens to a cluster can be seen, in the log and by an observer, and an observer harms
nothing.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from redrepl import AsyncCoordinator, Coordinator, Observer, Unavailable
from redrepl.observe import Part, Source
from redrepl_workers.monitor import Monitor
from redrepl_workers.tick import Ticker
from tests.servers.conftest import MakeCluster
from tests.servers.support.cluster import Cluster
from tests.servers.support.processes import Child, environment
from tests.servers.support.writers import Writers
from tests.support.interruption import interrupt
from tests.support.recorder import Recorder
from tests.support.waiting import wait_until

DOCUMENT = Path(__file__).parents[2] / "docs/observing.md"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
VALUE = b"s3cr3t-value"

AT_FIRST = {"epoch_changed", "connection_opened"}
"""Facts of a cluster that is found and well."""

DEBUG_LOG = """
import logging
logging.basicConfig(level="DEBUG", format="%(levelname)s %(name)s %(message)s")
"""


@pytest.fixture
def cluster(make_cluster: MakeCluster) -> Cluster:
    """A cluster whose clients wait for long: on a busy machine a failover takes its time."""
    return make_cluster(timeout_seconds=10.0, max_age_seconds=12.0)


def assert_in_order(lines: list[str], story: list[str]) -> None:
    """Each of these patterns is found, one after the other, in lines of a log."""
    rest = iter(lines)
    for pattern in story:
        found = any(re.search(pattern, line) for line in rest)
        assert found, f"{pattern!r} is missing, or came too early, in:\n" + "\n".join(lines)


def client_lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the clients of this process logged, with levels and loggers."""
    records = [record for record in caplog.records if ", client] " in record.getMessage()]
    return [f"{record.levelname} {record.name} {record.getMessage()}" for record in records]


def test_a_failover_under_load_can_be_followed_in_the_logs(
    cluster: Cluster,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "redrepl")
    store = cluster.open()
    store.set("secret", VALUE)
    worker = cluster.worker(beginning=DEBUG_LOG)
    _wait_for_line(worker, r"monitor\] epoch 0 -> 1: primary a, members a, b, c")
    with Writers(store, 3) as writers:
        writers.wait_more(100)
        cluster["a"].kill()
        wait_until(lambda: store.topology.epoch == 2, 30, "the client follows")
        writers.wait_more(100)
        cluster["a"].start()
        _wait_for_line(worker, r"monitor\] node a: (?!unknown)\w+ -> active")
        wait_until(lambda: any("available again" in line for line in client_lines(caplog)), 30)
        writers.wait_more(100)
    assert writers.errors == []
    store.close()
    assert worker.stop() == 0
    primary = store.topology.decider
    assert_in_order(
        client_lines(caplog),
        [
            r"^DEBUG redrepl\.connection \[shop, epoch 1, client\] node a: connection to \S+ "
            r"opened$",
            r"^DEBUG redrepl\.connection \[shop, epoch 1, client\] node a: connection lost: ",
            r"^DEBUG redrepl\.client \[shop, epoch 1, client\] node a: write of 'writer-.* in "
            r"doubt: ",
            rf"^INFO redrepl\.cluster .* epoch 1 -> 2: primary {primary}, members a, b, c$",
            rf"^DEBUG redrepl\.client .* node {primary}: write of 'writer-.*: (looked up|sent "
            r"again)$",
            r"^DEBUG redrepl\.client .* write of 'writer-.*: committed$",
            r"^INFO redrepl\.connection .* node a: available again, after ",
        ],
    )
    unavailable = r"^WARNING redrepl\.connection .* node a: unavailable: \S+ refuses connections"
    assert_in_order(client_lines(caplog), [unavailable, "node a: available again"])
    assert _stamps(caplog, "in doubt") == _stamps(caplog, "committed") != set()
    assert VALUE.decode() not in caplog.text
    assert_in_order(
        worker.log.read_text().splitlines(),
        [
            r"^DEBUG redrepl\.cluster \[shop, epoch 1, monitor\] node a: active -> silent: ",
            r"^INFO redrepl\.failover .* failover begun: from a to the fittest member: primary "
            r"'a' is away: ",
            r"^DEBUG redrepl\.failover .* failover: fencing in epoch 2: (b, c|c, b): 2 of 3$",
            r"^DEBUG redrepl\.failover .* failover: fenced in epoch 2: (b, c|c, b): 2 of 3$",
            rf"^DEBUG redrepl\.failover .* failover: {primary} is to be the primary, with what "
            r"these have: ",
            rf"^DEBUG redrepl\.failover .* failover: records that {primary} took from the others: "
            r"\d+$",
            rf"^DEBUG redrepl\.failover .* failover: serving in epoch 2: {primary}, ",
            rf"^INFO redrepl\.failover .* failover decided: {primary} takes over from a in epoch "
            r"2, serving: ",
            rf"^INFO redrepl\.cluster \[shop, epoch 2, monitor\] epoch 1 -> 2: primary {primary}, ",
            r"^DEBUG redrepl\.sync \[shop, epoch 2, tick\] node a: resync began: ",
            r"^DEBUG redrepl\.sync .* node a: resync ended: \d+ log entries, \d+ records, it "
            r"serves again",
            r"^DEBUG redrepl\.cluster \[shop, epoch 2, monitor\] node a: \w+ -> active$",
        ],
    )


def _wait_for_line(worker: Child, pattern: str) -> None:
    wait_until(lambda: re.search(pattern, worker.log.read_text()), 40, pattern)


def _stamps(caplog: pytest.LogCaptureFixture, what: str) -> set[str]:
    """The stamps of writes of which this is said."""
    found = (re.search(rf"write of '[^']*', (\w+): {what}", line) for line in client_lines(caplog))
    return {match[1] for match in found if match}


def test_no_fact_is_told_for_what_succeeds(cluster: Cluster) -> None:
    recorder = Recorder()
    with Coordinator[str, bytes](cluster.configuration(), observer=recorder) as store:
        for number in range(100):
            store.set(f"key-{number}", VALUE, level="all")
            assert store.get(f"key-{number}", level="quorum") == VALUE
        store.set_many({f"key-{number}": VALUE for number in range(600)}, level="all")
        store.increment("count")
        store.batch().set("key-0", VALUE).get("key-0").execute()
    assert set(recorder.names()) == AT_FIRST
    assert len(recorder.of("epoch_changed")) == 1
    assert VALUE not in repr(recorder.facts).encode()


def test_none_is_told_by_the_asyncio_coordinator_either(cluster: Cluster) -> None:
    recorder = Recorder()

    async def work() -> None:
        async with AsyncCoordinator(cluster.configuration(), observer=recorder) as store:
            await asyncio.gather(*(store.set(f"key-{n}", VALUE, level="all") for n in range(200)))
            assert await store.get("key-0", level="quorum") == VALUE

    asyncio.run(work())
    assert set(recorder.names()) == AT_FIRST
    assert {fact.thread for fact in recorder.facts} == {"redrepl-observer"}


def test_the_asyncio_coordinator_tells_a_failover(cluster: Cluster) -> None:
    recorder = Recorder()
    cluster.monitor()

    async def work() -> None:
        async with AsyncCoordinator(cluster.configuration(), observer=recorder) as store:
            await store.set("before", VALUE)
            cluster["a"].kill()
            await asyncio.gather(*(store.set(f"key-{n}", VALUE) for n in range(50)))

    asyncio.run(work())
    (old, new) = (recorder.of("epoch_changed")[-1].named[name] for name in ("old", "new"))
    assert (old, new) == (1, 2)
    in_doubt = {key for fact in recorder.of("write_in_doubt") for key in fact.named["keys"]}
    resolved = {key for fact in recorder.of("write_resolved") for key in fact.named["keys"]}
    assert in_doubt == resolved != set()
    assert recorder.of("connection_lost")


def test_what_a_program_has_done_to_the_cluster_is_told_to_its_observer(cluster: Cluster) -> None:
    recorder = Recorder()
    with Coordinator[str, bytes](cluster.configuration(), observer=recorder) as store:
        store.set("key", VALUE)
        store.sync("c")
        store.switchover("b")
        store.failover("c")
    began, ended = (recorder.of(name)[0] for name in ("resync_began", "resync_ended"))
    assert began.source == Source("shop", 1, Part.ADMINISTRATION)
    assert (began.named["node"], began.named["why"]) == ("c", "asked for, key by key")
    assert ended.named["finished"]
    decisions = [fact.named for fact in recorder.of("failover_decided")]
    decided = [(named["previous"], named["primary"]) for named in decisions]
    assert decided == [("a", "b"), ("b", "c")]
    begun = [(fact.named["to"], fact.named["why"]) for fact in recorder.of("failover_begun")]
    assert begun == [("b", "switchover asked for"), ("c", "asked for")]
    changes = recorder.of("epoch_changed")
    followed = [fact.named["new"] for fact in changes if fact.source.part is Part.CLIENT]
    assert followed == [1, 2, 3]


def test_a_failover_that_cannot_be_is_told(cluster: Cluster) -> None:
    recorder = Recorder()
    cluster["b"].kill()
    cluster["c"].kill()
    with Coordinator[str, bytes](cluster.configuration(), observer=recorder) as store:
        with pytest.raises(Unavailable) as caught:
            store.failover("b")
        assert "b" in caught.value.evidence
    assert recorder.of("failover_refused")[0].named["why"]


def test_a_worker_takes_an_observer(cluster: Cluster) -> None:
    recorder = Recorder()
    ticker = Ticker(cluster.configuration(), observer=recorder)
    monitor = Monitor(cluster.configuration(), observer=recorder)
    cluster.stack.callback(ticker.stop)
    cluster.stack.callback(monitor.stop)
    ticker.start()
    monitor.start()
    states = recorder.wait_for("member_state_changed", 6)
    assert {fact.source.part for fact in states} == {Part.TICK, Part.MONITOR}
    cluster["b"].kill()
    cluster["b"].restart(empty=True)
    wait_until(lambda: any(fact.named["admitted"] for fact in recorder.of("resync_ended")), 40)
    (began, *_) = (fact for fact in recorder.of("resync_began") if fact.named["node"] == "b")
    assert began.source.part is Part.TICK


class Raises(Recorder):
    """Raises at every fact."""

    def take(self, name: str, source: Source, named: dict[str, Any]) -> None:
        super().take(name, source, named)
        raise LookupError(name)


class Blocks(Recorder):
    """Returns from no fact before the test is over."""

    def __init__(self) -> None:
        super().__init__()
        self.is_over = threading.Event()

    def take(self, name: str, source: Source, named: dict[str, Any]) -> None:
        super().take(name, source, named)
        self.is_over.wait(120)


@pytest.fixture
def blocks() -> Iterator[Blocks]:
    made = Blocks()
    yield made
    made.is_over.set()


def _live_through_a_failover(cluster: Cluster, observer: Observer) -> None:
    cluster.monitor()
    configuration = cluster.configuration()
    with Coordinator[str, bytes](configuration, observer=observer) as store:
        store.set("before", VALUE)
        cluster["a"].kill()
        for number in range(20):
            store.set(f"key-{number}", VALUE)
        assert store.topology.epoch == 2
        assert store.get("key-19", level="quorum") == VALUE


def test_an_observer_that_raises_harms_nothing(cluster: Cluster) -> None:
    observer = Raises()
    _live_through_a_failover(cluster, observer)
    assert observer.of("write_resolved")


def test_an_observer_that_blocks_harms_nothing(cluster: Cluster, blocks: Blocks) -> None:
    _live_through_a_failover(cluster, blocks)
    assert len(blocks.facts) == 1


def test_an_exception_from_outside_while_facts_are_noted_harms_neither(cluster: Cluster) -> None:
    """At every few lines of a call that meets lost connections: the calls after it are right, and
    facts go on.
    """
    recorder = Recorder()
    with Coordinator[str, bytes](cluster.configuration(), observer=recorder) as store:
        for at_line in itertools.count(1, 23):
            store.set("key", b"before-%d" % at_line)
            for node in cluster.nodes:
                cluster.raw(node).client.execute_command(
                    "CLIENT",
                    "KILL",
                    "TYPE",
                    "normal",
                    "SKIPME",
                    "yes",
                )
            was_raised = interrupt(lambda: store.set("key", b"within"), at_line)
            value = b"after-%d" % at_line
            store.set("key", value)
            assert store.get("key", level="all") == value
            if not was_raised:
                break
        before = len(recorder.of("connection_lost"))
        cluster["b"].kill()
        store.set("key", VALUE)
        recorder.wait_for("connection_lost", before + 1)


_ENDS = """
import logging, sys, threading
from redrepl import Coordinator, Observer, load_configuration
logging.basicConfig(level="DEBUG", format="%(message)s")

class Blocks(Observer):
    def connection_opened(self, source, /, **_):
        threading.Event().wait()

observer = Blocks() if sys.argv[2] == "blocks" else None
store = Coordinator(load_configuration(sys.argv[1]), observer=observer)
store.set("key", b"value")
"""


@pytest.mark.parametrize("observer", ["logs", "blocks"])
def test_a_program_that_ends_without_closing_ends_well(cluster: Cluster, observer: str) -> None:
    file = str(cluster.configuration_file())
    command = [sys.executable, "-c", _ENDS, file, observer]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment(),
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "Fatal" not in done.stderr
    lines = re.findall(r"node [abc]: connection to \S+ opened", done.stderr)
    assert bool(lines) == (observer == "logs")


def test_the_code_of_the_document_runs_as_it_stands(
    cluster: Cluster,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    blocks = BLOCK.findall(DOCUMENT.read_text("utf-8"))
    assert len(blocks) >= 2
    monkeypatch.setenv("REDREPL_CONFIG", str(cluster.configuration_file()))
    level = logging.getLogger("redrepl").level
    try:
        for block in blocks:
            exec(compile(block, str(DOCUMENT), "exec"), {"__name__": "__main__"})
    finally:
        logging.getLogger("redrepl").setLevel(level)
    assert_in_order(client_lines(caplog), ["epoch 0 -> 1: primary a, members a, b, c"])


def test_the_document_has_every_fact() -> None:
    named = re.findall(r"^\| `(\w+)` \|", DOCUMENT.read_text("utf-8"), re.MULTILINE)
    assert named == [name for name in vars(Observer) if not name.startswith("_")]
