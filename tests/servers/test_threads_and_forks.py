"""One coordinator shared by threads and across a fork: every caller gets its own answers."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from redrepl.values.errors import RedreplError
from tests.servers.support.cluster import Cluster, Store
from tests.servers.support.writers import Writers
from tests.support.waiting import wait_until

THREADS = 8
ROUNDS = 60


class Caller:
    """Mixed operations on keys of its own, each answer compared with what only this caller can
    know.
    """

    def __init__(self, store: Store, name: str) -> None:
        self.store = store
        self.name = name
        self.wrong: list[str] = []
        self.count = 0

    def run(self) -> None:
        try:
            for number in range(ROUNDS):
                self.round(number)
        except Exception as error:
            self.wrong.append(f"{self.name}: {error!r}")

    def expect(self, found: object, expected: object, what: str) -> None:
        if found != expected:
            self.wrong.append(f"{self.name}: {what}: {found!r} instead of {expected!r}")

    def round(self, number: int) -> None:
        store, name = self.store, self.name
        value = f"{name}.{number}".encode()
        receipt = store.set(f"{name}-set", value)
        self.expect(receipt.key, f"{name}-set", "key of the receipt")
        self.expect(store.get(f"{name}-set"), value, "read at the primary")
        self.expect(
            store.get(f"{name}-set", prefer="replica"), value, "own write, read at a replica"
        )
        items = {f"{name}-{index}": f"{name}.{number}.{index}".encode() for index in range(5)}
        self.expect(set(store.set_many(items)), set(items), "receipts of the batch")
        self.expect(store.get_many(items), items, "batch")
        self.expect(store.get_many(items, level="quorum"), items, "confirmed batch")
        self.count += 1
        self.expect(store.increment(f"{name}-count"), self.count, "sum")
        self.expect(
            store.delete(f"{name}-{number % 5}").key, f"{name}-{number % 5}", "key of the delete"
        )
        self.expect(store.get(f"{name}-{number % 5}", level="quorum"), None, "deleted key")
        self.expect(
            store.add(f"{name}-{number % 5}", value).applied, True, "add where nothing stands"
        )
        self.expect(store.add(f"{name}-set", value).applied, False, "add where something stands")


def run_all(callers: list[Caller], meanwhile: Callable[[], None]) -> None:
    threads = [threading.Thread(target=caller.run) for caller in callers]
    for thread in threads:
        thread.start()
    meanwhile()
    for thread in threads:
        thread.join()
    assert [wrong for caller in callers for wrong in caller.wrong] == []


def test_threads_get_their_own_answers_while_a_replica_is_killed_and_restarted(
    cluster: Cluster,
) -> None:
    store = cluster.open(timeout_seconds=2.9)
    cluster.ticker()
    callers = [Caller(store, f"t{number}") for number in range(THREADS)]

    def kill_and_restart() -> None:
        for empty in (False, True):
            wait_until(lambda: sum(caller.count for caller in callers) > 20, message="they run")
            cluster["b"].kill()
            cluster["b"].restart(empty=empty)

    run_all(callers, kill_and_restart)
    cluster.wait_settled()
    values = cluster.values_everywhere()
    for caller in callers:
        assert values[f"{caller.name}-set".encode()] == f"{caller.name}.{ROUNDS - 1}".encode()
        assert values[f"{caller.name}-count".encode()] == str(ROUNDS).encode()


def test_the_last_acknowledged_write_of_every_thread_is_what_is_read(cluster: Cluster) -> None:
    store = cluster.open()
    cluster.ticker()
    with Writers(store, 3) as writers:
        for victim in "bc":
            writers.wait_more(200)
            cluster[victim].kill()
            writers.wait_more(200)
            cluster[victim].start()
            wait_until(
                lambda victim=victim: victim in store.set("probe", b"1", level="all").acked,  # type: ignore[misc]
                30,
                "it is back",
            )
    assert writers.errors == []
    for level in ("one", "quorum"):
        assert store.get_many(writers.last, level=level) == writers.last
    cluster.wait_settled()
    values = cluster.values_everywhere()
    assert {key: values[key.encode()] for key in writers.last} == writers.last


def test_threads_increment_one_counter_without_losing_any(cluster: Cluster) -> None:
    store = cluster.open(timeout_seconds=2.9)
    sums: list[int] = []
    threads = [
        threading.Thread(target=lambda: sums.extend(store.increment("count") for _ in range(50)))
        for _ in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(sums) == list(range(1, 50 * THREADS + 1))


def in_child(work: Callable[[], list[str]]) -> int:
    """Fork, and run this in the child; answers its process id.

    It ends with 0 if nothing is wrong.
    """
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        wrong = work()
        code = 0 if not wrong else 1
        if wrong:
            os.write(2, "\n".join(wrong[:5]).encode())
    finally:
        os._exit(code)


def caller_work(store: Store, name: str) -> list[str]:
    caller = Caller(store, name)
    caller.run()
    return caller.wrong


def test_parent_and_forked_children_share_a_coordinator(cluster: Cluster) -> None:
    store = cluster.open(timeout_seconds=2.9)
    # One write leaves a connection that was opened and not taken yet, and others that are idle.
    store.set("before", b"the fork")
    children = [
        in_child(lambda name=f"child-{number}": caller_work(store, name))  # type: ignore[misc]
        for number in range(2)
    ]
    assert caller_work(store, "parent") == []
    for child in children:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert store.get("before", level="quorum") == b"the fork"


def test_a_fork_while_connections_are_being_opened_harms_nobody(cluster: Cluster) -> None:
    proxy, store = cluster.proxied("b")
    store.set("before", b"the fork")
    proxy.blackhole()
    proxy.cut()
    proxy.blackhole()
    # The opening thread hangs in the blackhole while the process is forked.
    store.set("during", b"1")
    child = in_child(
        lambda: (
            [] if "b" in store.set("child", b"1", level="all").acked else ["b is lost to the child"]
        )
    )
    proxy.heal()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    wait_until(lambda: store.set("parent", b"1", level="all"), message="the parent reaches b again")


def test_two_writers_in_parent_and_child_never_share_a_stamp(cluster: Cluster) -> None:
    store = cluster.open()
    store.set("key", b"before")
    read, write = os.pipe()

    def write_some() -> list[str]:
        try:
            stamps = [str(store.set("key", b"child").stamp) for _ in range(200)]
        except RedreplError as error:
            return [str(error)]
        os.write(write, "\n".join(stamps).encode())
        return []

    child = in_child(write_some)
    mine = {str(store.set("key", b"parent").stamp) for _ in range(200)}
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    os.close(write)
    with os.fdopen(read) as pipe:
        theirs = set(pipe.read().split())
    assert len(theirs) == 200
    assert not mine & theirs
