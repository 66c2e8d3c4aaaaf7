"""When a program that reads at ONE may go on with the primary that it knows, by what the members
tell.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from redrepl.edges.admission import Admission, Membership, Purpose
from redrepl.edges.clock import StampClock, SystemClock
from redrepl.edges.configuration import Configuration
from redrepl.edges.endpoint import Endpoint
from redrepl.edges.reporter import NOT_OBSERVED
from redrepl.plans.client.cluster_state import ClusterState
from redrepl.plans.client.codecs import Codecs
from redrepl.plans.client.store import ClientStore
from redrepl.plans.client.topology_watch import TOPOLOGY_SECONDS, TOPOLOGY_WAIT_SECONDS
from redrepl.plans.topology import Discovery
from redrepl.values.errors import Unavailable
from redrepl.values.keys import KeyLayout
from redrepl.values.level import ConsistencyLevel
from redrepl.values.preference import ReadPreference
from redrepl.values.reasons import epoch_served, having_served
from redrepl.values.record import value_record
from redrepl.values.report import NodeReport
from redrepl.values.reports import Reports
from redrepl.values.session import Session
from redrepl.values.stamp import Stamp
from redrepl.values.topology import Topology
from tests.support.access import ByName
from tests.unit.support.by_hand import START, ByHand, topology
from tests.unit.support.reports import report

SERVING, LATER = b"7 active", b"8 active"
OLD = topology(3, epoch=7)
NEW = OLD.with_primary("b", 8)
RECORD = value_record(Stamp(1000, 1), b"value").encode()
ONE, PRIMARY = ConsistencyLevel.ONE, ReadPreference.PRIMARY


class Surroundings:
    """A driver and a queue that only take notes; ``down``: what is known against nodes."""

    def __init__(self) -> None:
        self.at = START
        self.plan: ByHand[Any] | None = None

    def now(self) -> float:
        return self.at if self.plan is None else max(self.at, self.plan.at)

    def latency_seconds(self, node: str) -> float:
        return 0.0 if node else 1.0

    def trouble(self, node: str) -> str | None:
        return None if node else "unknown"

    def request(self, targets: Iterable[str]) -> None:
        raise AssertionError(f"a read wakes nobody for {targets}")


class Reader:
    """A program that reads at ONE and last heard of the topology when it was opened, at START."""

    def __init__(self, known: Topology = OLD, is_in_doubt: bool = False) -> None:
        self.around = Surroundings()
        roles = tuple(member.role for member in known.members)
        endpoints = tuple(Endpoint(member.id, member.url) for member in known.members)
        configuration = Configuration("shop", endpoints, roles, mode=known.mode)
        cluster = ClusterState(
            configuration, known, self.around, StampClock(SystemClock(), 9), ByName(), NOT_OBSERVED
        )
        codecs: Codecs[bytes, bytes] = Codecs()
        self.store = ClientStore(cluster, self.around, codecs, Session(), is_in_doubt)

    def get(self, at: float, timeout_seconds: float = 1.0, **how: Any) -> ByHand[bytes | None]:
        """A read that begins at this time."""
        self.around.at, self.around.plan = at, None
        plan = self.store.get_plan(
            b"key", how.get("level", ONE), how.get("prefer", PRIMARY), timeout_seconds
        )
        read = _At(plan, at)
        self.around.plan = read
        return read


class _At(ByHand[Any]):
    """A plan that is driven by hand from this time on."""

    def __init__(self, plan: Any, at: float) -> None:
        self._begins_at = at
        super().__init__(plan)

    def _go_on(self, event: Any) -> None:
        self.at = max(self.at, self._begins_at)
        super()._go_on(event)


def _tells(read: ByHand[Any], node: str, guard: bytes, told: Topology) -> None:
    read.replies(node, guard, tag=1)
    read.replies(node, told.encode().encode())


def _is_silent(read: ByHand[Any], node: str, why: str = "down") -> None:
    read.fails(node, why, tag=1)
    read.fails(node, why)


def _looks(read: ByHand[Any]) -> bool:
    return len(read.sent) == 6


def _reads(read: ByHand[Any], node: str, guard: bytes = SERVING) -> None:
    """One node is asked for the record, and has it."""
    assert read.targets() == [node]
    assert read.replies(node, [guard, RECORD]).result == b"value"


DUE = START + TOPOLOGY_SECONDS


def test_after_two_seconds_the_members_are_asked_first_and_a_majority_is_enough_for_two_more() -> (
    None
):
    reader = Reader()
    _reads(reader.get(DUE - 0.1), "a")
    read = reader.get(DUE)
    assert _looks(read)
    _tells(read, "a", SERVING, OLD)
    _tells(read, "c", SERVING, OLD)
    _reads(read, "a")
    _reads(reader.get(DUE + TOPOLOGY_SECONDS - 0.1), "a")
    assert _looks(reader.get(DUE + TOPOLOGY_SECONDS))


def _look_in_vain(read: ByHand[Any]) -> ByHand[Any]:
    """One look: the third member is silent, and of two none proves the other wrong.

    Then a pause.
    """
    assert _looks(read)
    _tells(read, "a", SERVING, OLD)
    _tells(read, "b", LATER, NEW)
    _is_silent(read, "c")
    return read


def test_one_member_that_tells_of_another_primary_keeps_a_program_from_the_former_one() -> None:
    reader = Reader()
    read = reader.get(DUE)

    def go_on() -> None:
        while _look_in_vain(read):
            read.times_out()

    with pytest.raises(Unavailable, match="may have been replaced") as caught:
        go_on()
    assert caught.value.evidence == {
        "a": "is in epoch 7",
        "b": "is in epoch 8",
        "c": "no answer in time",
    }
    assert read.at >= DUE + 0.9, "until its deadline it waits for who can decide"
    assert _looks(reader.get(read.at)), "nothing was learned, so the next read asks at once"


@pytest.mark.parametrize("prefer", list(ReadPreference))
def test_it_goes_on_with_the_primary_that_the_third_member_confirms(prefer: ReadPreference) -> None:
    read = _look_in_vain(Reader().get(DUE, prefer=prefer)).times_out()
    _tells(read, "a", SERVING, OLD)
    _tells(read, "b", LATER, NEW)
    _tells(read, "c", LATER, NEW)
    node = read.targets()[0]
    assert prefer not in (PRIMARY, ReadPreference.PRIMARY_PREFERRED) or node == "b"
    _reads(read, node, LATER)


def test_one_that_lies_of_a_later_epoch_stops_nobody_while_the_others_answer() -> None:
    read = _look_in_vain(Reader().get(DUE)).times_out()
    _tells(read, "a", SERVING, OLD)
    _tells(read, "b", LATER, NEW)
    _tells(read, "c", SERVING, OLD)
    _reads(read, "a")


def test_who_was_heard_to_be_in_a_later_epoch_and_is_silent_now_is_not_forgotten() -> None:
    read = _look_in_vain(Reader().get(DUE)).times_out()

    def go_on() -> None:
        while _looks(read):
            _tells(read, "a", SERVING, OLD)
            _is_silent(read, "b")
            _is_silent(read, "c")
            read.times_out()

    with pytest.raises(Unavailable, match="may have been replaced"):
        go_on()


def test_where_nobody_tells_of_another_epoch_silent_members_keep_nobody_from_the_primary() -> None:
    reader = Reader()
    read = reader.get(DUE)
    _tells(read, "a", SERVING, OLD)
    assert read.times_out().at == pytest.approx(DUE + TOPOLOGY_WAIT_SECONDS)
    _reads(read, "a")
    _reads(reader.get(DUE + TOPOLOGY_SECONDS - 0.1), "a")


def test_a_member_that_was_only_fenced_for_a_later_epoch_proves_nothing() -> None:
    read = Reader().get(DUE)
    _tells(read, "a", SERVING, OLD)
    _tells(read, "b", b"8 fenced", OLD)
    _is_silent(read, "c")
    _reads(read, "a")


@pytest.mark.parametrize(
    "why", ["is fenced: the workers are bringing it up", "restarted since it was admitted"]
)
def test_members_that_are_not_used_now_tell_in_which_epoch_they_served(why: str) -> None:
    """They are between epochs, or restarted, so that no connection is opened: their own word keeps
    readers away.
    """
    read = Reader().get(DUE)
    _tells(read, "a", SERVING, OLD)
    _is_silent(read, "b", having_served(why, "8"))
    _is_silent(read, "c", having_served(why, "7"))
    assert not read.targets(), "it pauses before it asks again"
    calm = Reader().get(DUE)
    _tells(calm, "a", SERVING, OLD)
    _is_silent(calm, "b", having_served(why, "7"))
    _is_silent(calm, "c", having_served(why, None))
    _reads(calm, "a")


def test_of_five_members_three_that_stay_are_enough() -> None:
    old = topology(5, epoch=7)
    read = Reader(old).get(DUE)
    for node in "acd":
        _tells(read, node, SERVING, old)
        if node == "a":
            _tells(read, "b", LATER, old.with_primary("b", 8))
    read.times_out()
    _reads(read, "a")


def test_while_one_operation_asks_others_go_on_only_with_what_is_not_too_old_yet() -> None:
    """After a program was idle, or stopped, for long, nobody reads before the members have told."""
    reader = Reader()
    assert _looks(reader.get(DUE))
    _reads(reader.get(DUE + 0.01), "a")
    assert _looks(reader.get(DUE + TOPOLOGY_WAIT_SECONDS)), "the other one may have been given up"
    idle = Reader()
    assert _looks(idle.get(DUE + 2.0))
    assert _looks(idle.get(DUE + 2.01))


def test_a_look_that_the_deadline_cut_short_told_nothing() -> None:
    reader = Reader()
    read = reader.get(DUE, timeout_seconds=0.1)
    with pytest.raises(Unavailable):
        read.times_out().times_out()
    assert _looks(reader.get(DUE + TOPOLOGY_WAIT_SECONDS))


def test_a_program_that_was_opened_while_members_disagreed_asks_before_its_first_read() -> None:
    def found(*members: NodeReport) -> Discovery:
        return Discovery(
            OLD, {}, Reports({member.node: member for member in members}, {"c": "down"})
        )

    moved = replace(report("b", epoch="8", lineage="8"), topology=NEW)
    assert found(report("a", lineage="7"), moved).is_in_doubt
    assert found(
        report("a", lineage="7"), report("b", epoch="9", state="fenced", lineage="8")
    ).is_in_doubt
    assert not found(report("a", lineage="7"), report("b", lineage="7")).is_in_doubt
    assert _looks(Reader(is_in_doubt=True).get(START))


@pytest.mark.parametrize("state", ["active", "fenced", "syncing"])
@pytest.mark.parametrize(
    ("lineage", "served"), [(None, 0), ("0", 0), ("12", 12), ("x", 0), ("1234567890", 0)]
)
def test_a_member_that_is_turned_away_is_quoted_with_the_epoch_it_served_in(
    state: str, lineage: str | None, served: int
) -> None:
    run_id = "other" if state == "active" else "run"
    found = Membership("shop", "b", state, run_id, "id", lineage, "run")
    reason = Admission(KeyLayout("shop"), Purpose.SERVE).refusal("b", found, "id")
    assert reason is not None
    assert epoch_served(f"redis://b:6379 {reason}") == served
