"""Sweeps on nodes in memory: what no log names is found and mended, and tombstones go when nothing
needs them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import count

import pytest

from redrepl.plans.copies.anti_entropy import SweepOrder, Swept, is_sweep_due, sweep
from redrepl.plans.copies.verify import verify
from redrepl.plans.epochs.change_members import change_topology
from redrepl.plans.epochs.membership import Tolerances
from redrepl.values import limits
from redrepl.values.errors import Unavailable
from redrepl.values.record import Record, tombstone
from redrepl.values.stamp import Stamp
from redrepl.values.sweep import (
    LAST,
    UNDER_WAY,
    Findings,
    Sweep,
    SweepReport,
    read_last,
    read_under_way,
)
from redrepl.values.topology import Mode
from tests.unit.support.in_memory import MAX_AGE_SECONDS, Nodes

OLD = 10 * MAX_AGE_SECONDS
RETENTION_SECONDS = 5 * MAX_AGE_SECONDS
PAGE = 100
MANY = 3 * PAGE
_numbers = count()


@pytest.fixture
def nodes() -> Nodes:
    """A primary a and replicas b and c that hold some old records and a tombstone, and have them
    confirmed.
    """
    return with_records(Nodes(3))


def with_records(nodes: Nodes) -> Nodes:
    for key in (b"one", b"two", b"three"):
        put(nodes, key, nodes.value(b"value of " + key, OLD))
    put(nodes, b"gone", grave(nodes))
    settle(nodes)
    return nodes


def put(nodes: Nodes, key: bytes, record: Record, on: str = "") -> None:
    for node in on or nodes.first.ids:
        nodes.put(node, key, record)


def grave(nodes: Nodes, seconds_ago: float = OLD) -> Record:
    return tombstone(nodes.value(b"", seconds_ago, writer=next(_numbers) + 1).stamp)


def settle(nodes: Nodes) -> None:
    for _ in range(2):
        for node in nodes.first.ids:
            if node not in nodes.down:
                nodes.bring_up(node)


def part(
    nodes: Nodes,
    repairs: bool = True,
    keys_per_second: float = 1e9,
    retention: float = RETENTION_SECONDS,
) -> Swept:
    return nodes.run(
        sweep(
            nodes.layout, nodes.first.ids, SweepOrder(nodes.at, keys_per_second, repairs, retention)
        )
    )


def whole(nodes: Nodes, repairs: bool = True, retention: float = RETENTION_SECONDS) -> Findings:
    """A sweep from its beginning to its end, in one part."""
    report = part(nodes, repairs, retention=retention).report
    assert report is not None
    return report.findings


def put_back(nodes: Nodes, key: bytes, record: Record, on: str) -> None:
    """Change what stands on a node behind the back of its log."""
    for node in on:
        nodes.client(node).execute_command("SET", nodes.layout.data(key), record.encode())


def drop(nodes: Nodes, key: bytes, on: str) -> None:
    for node in on:
        nodes.client(node).execute_command("DEL", nodes.layout.data(key))


# Comparing ----------------------------------------------------------------------------------------


def test_equal_copies_are_left_alone(nodes: Nodes) -> None:
    before = [nodes.contents(node) for node in "abc"]
    swept = part(nodes, retention=2 * OLD)
    assert swept.findings == Findings(keys=4)
    assert swept.mismatches == ()
    assert [nodes.contents(node) for node in "abc"] == before
    report = nodes.report("a")
    assert read_under_way(report.sweep) is None
    assert read_last(report.sweep) == swept.report


DAMAGE: dict[str, Callable[[Nodes], None]] = {
    "missing": lambda nodes: drop(nodes, b"one", "b"),
    "behind": lambda nodes: put_back(nodes, b"one", nodes.value(b"past", 2 * OLD), "b"),
    "ahead": lambda nodes: put_back(nodes, b"one", nodes.value(b"future", OLD / 2), "b"),
    "differs": lambda nodes: put_back(nodes, b"one", _damaged(nodes), "b"),
    "extra": lambda nodes: put_back(nodes, b"four", nodes.value(b"extra", OLD), "b"),
}


def _damaged(nodes: Nodes) -> Record:
    record = nodes.record("a", b"one")
    assert record is not None
    return record._replace(payload=b"damaged")


MORE = ("ahead", "extra")


@pytest.mark.parametrize("kind", [kind for kind in DAMAGE if kind not in MORE])
def test_what_no_log_names_is_found_and_mended(nodes: Nodes, kind: str) -> None:
    wanted = nodes.present("a")
    DAMAGE[kind](nodes)
    swept = part(nodes, retention=2 * OLD)
    assert [(mismatch.node, mismatch.kind) for mismatch in swept.mismatches] == [("b", kind)]
    assert (swept.findings.differences, swept.findings.repaired) == (1, 1)
    assert [nodes.present(node) for node in "abc"] == [wanted] * 3
    assert nodes.contents("a") == nodes.contents("b") == nodes.contents("c")
    assert whole(nodes, retention=2 * OLD).differences == 0


@pytest.mark.parametrize(
    ("kind", "repairs"), [*((kind, False) for kind in DAMAGE), *((kind, True) for kind in MORE)]
)
def test_nothing_is_taken_away_and_where_it_only_reports_nothing_changed(
    nodes: Nodes, kind: str, repairs: bool
) -> None:
    """The primary may have lost what a copy has more."""
    DAMAGE[kind](nodes)
    before = [nodes.contents(node) for node in "abc"]
    swept = part(nodes, repairs, retention=2 * OLD)
    assert [(mismatch.node, mismatch.kind) for mismatch in swept.mismatches] == [("b", kind)]
    assert (swept.findings.differences, swept.findings.repaired) == (1, 0)
    assert [nodes.contents(node) for node in "abc"] == before


def test_a_value_where_the_primary_has_an_old_tombstone_is_a_difference(nodes: Nodes) -> None:
    """Although the tombstone itself counts no more."""
    stale = nodes.value(b"stale", 2 * OLD)
    put_back(nodes, b"gone", stale, "c")
    found = whole(nodes)
    assert (found.differences, found.repaired) == (1, 1)
    assert [b"gone" in nodes.present(node) for node in "abc"] == [False] * 3


def test_a_tombstone_stays_while_a_copy_has_what_it_deleted(nodes: Nodes) -> None:
    put_back(nodes, b"gone", nodes.value(b"stale", 2 * OLD), "c")
    assert whole(nodes, repairs=False).purged == 0
    assert nodes.record("a", b"gone") is not None


def test_what_was_written_lately_is_left_to_the_logs(nodes: Nodes) -> None:
    nodes.write("ac", b"one", nodes.value(b"on its way"))
    nodes.write("c", b"two", nodes.value(b"undecided"))
    before = [nodes.contents(node) for node in "abc"]
    assert whole(nodes, retention=2 * OLD).differences == 0
    assert [nodes.contents(node) for node in "abc"] == before


def test_several_primaries_get_the_later_record_from_each_other() -> None:
    nodes = with_records(Nodes(3, Mode.MULTI_PRIMARY))
    late, extra = nodes.value(b"later", OLD / 2), nodes.value(b"extra", OLD)
    put_back(nodes, b"one", late, "c")
    put_back(nodes, b"four", extra, "b")
    whole(nodes)
    settle(nodes)
    assert [nodes.record(node, b"one") for node in "abc"] == [late] * 3
    assert [nodes.record(node, b"four") for node in "abc"] == [extra] * 3


def test_a_member_that_is_away_is_named(nodes: Nodes) -> None:
    nodes.down = {"c"}
    drop(nodes, b"one", "b")
    found = whole(nodes)
    assert (found.missed, found.repaired) == (("c",), 1)


def test_without_the_primary_nothing_is_compared(nodes: Nodes) -> None:
    nodes.down = {"a"}
    with pytest.raises(Unavailable, match="node 'a' is needed to compare with"):
        part(nodes)


# In parts -----------------------------------------------------------------------------------------


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Nodes:
    """A cluster with more keys than one page holds."""
    monkeypatch.setattr(limits, "SCAN_KEYS", PAGE)
    nodes = Nodes(2)
    for number in range(MANY):
        record = nodes.value(b"v", OLD)
        put_back(nodes, b"key-%d" % number, record, "ab")
    settle(nodes)
    return nodes


def test_a_sweep_goes_on_where_the_last_part_ended(full: Nodes) -> None:
    drop(full, b"key-7", "b")
    drop(full, b"key-200", "b")
    parts = [part(full, keys_per_second=limits.SCAN_KEYS)]
    while parts[-1].report is None:
        parts.append(part(full, keys_per_second=limits.SCAN_KEYS))
        assert len(parts) < 50
    assert len(parts) > 2
    assert parts[-1].findings == Findings(keys=MANY, differences=2, repaired=2)
    assert full.contents("a") == full.contents("b")


def test_a_part_is_as_large_as_the_time_that_passed(full: Nodes) -> None:
    """No sooner than a second after the last part ended is a whole second's share done again."""
    first = part(full, keys_per_second=2 * limits.SCAN_KEYS)
    second = part(full, keys_per_second=2 * limits.SCAN_KEYS)
    assert first.findings.keys > 0
    assert second.report is None
    assert second.findings.keys - first.findings.keys <= limits.SCAN_KEYS * 3 // 2


def test_a_walk_begins_anew_on_a_server_that_restarted(full: Nodes) -> None:
    """A cursor means nothing to another run of the server."""
    part(full, keys_per_second=1)
    state = read_under_way(full.report("a").sweep)
    assert state is not None
    assert state.cursor != "0"
    full.restart("a")
    full.client("a").execute_command("HSET", full.layout.member, "run_id", full.report("a").run_id)
    assert part(full).findings.keys > MANY, "some are looked at twice"


def test_a_new_epoch_begins_a_new_sweep(full: Nodes) -> None:
    part(full, keys_per_second=1)
    old = full.view().topology
    full.run(change_topology(old, replace(old, epoch=old.epoch + 1), Tolerances(), "inc", full.at))
    assert part(full).findings.keys == MANY


def test_a_member_that_goes_away_is_passed_over(nodes: Nodes) -> None:
    state = read_under_way({UNDER_WAY: _begun(nodes)})
    assert state is not None
    long_ago = state.at_millis - 1000
    waiting = replace(
        state, node="b", run_id=nodes.report("b").run_id, left=("c",), at_millis=long_ago
    )
    nodes.client("a").execute_command("HSET", nodes.layout.sweep, UNDER_WAY, waiting.encode())
    nodes.down = {"b"}
    found = part(nodes)
    assert found.report is not None
    assert found.findings.missed == ("b",)


def _begun(nodes: Nodes) -> str:
    """The state of a sweep of which nothing was done."""
    nodes.run(
        sweep(nodes.layout, nodes.first.ids, SweepOrder(nodes.at, 0.0, True, RETENTION_SECONDS))
    )
    return nodes.report("a").sweep[UNDER_WAY]


def test_a_state_that_cannot_be_read_begins_anew(nodes: Nodes) -> None:
    for text in ("", "[]", "{}", '{"epoch": 1}'):
        nodes.client("a").execute_command("HSET", nodes.layout.sweep, UNDER_WAY, text)
        assert whole(nodes, retention=2 * OLD).keys == 4


def test_a_sweep_is_due_some_time_after_the_last_one(nodes: Nodes) -> None:
    assert is_sweep_due(nodes.report("a"), 100.0)
    _begun(nodes)
    assert is_sweep_due(nodes.report("a"), 100.0)
    swept = part(nodes)
    assert swept.report is not None
    report = nodes.report("a")
    assert not is_sweep_due(report, 100.0)
    ended = swept.report.ended_millis
    assert not is_sweep_due(replace(report, now_millis=ended + 99_999), 100.0)
    assert is_sweep_due(replace(report, now_millis=ended + 100_000), 100.0)


def test_a_sweep_that_ended_in_the_future_says_nothing(nodes: Nodes) -> None:
    """The primary's clock was ahead then, and has been set right."""
    ended = SweepReport(0, nodes.report("a").now_millis + 86_400_000, Findings())
    nodes.client("a").execute_command("HSET", nodes.layout.sweep, LAST, ended.encode())
    assert is_sweep_due(nodes.report("a"), 100.0)


@pytest.mark.parametrize("name", ["began_millis", "at_millis"])
def test_a_sweep_that_a_wrong_clock_began_or_went_on_with_begins_anew(
    nodes: Nodes, name: str
) -> None:
    _begun(nodes)
    begun = read_under_way(nodes.report("a").sweep)
    assert begun is not None
    ahead = 86_400_000
    wrong = replace(
        begun,
        purge_before=begun.purge_before + ahead * 1000,
        **{name: getattr(begun, name) + ahead},
    )
    nodes.client("a").execute_command("HSET", nodes.layout.sweep, UNDER_WAY, wrong.encode())
    _begun(nodes)
    anew = read_under_way(nodes.report("a").sweep)
    assert anew is not None
    assert (
        max(anew.began_millis, anew.at_millis, anew.purge_before // 1000)
        <= nodes.report("a").now_millis
    )
    assert whole(nodes).purged == 1


# Purging ------------------------------------------------------------------------------------------


def tombstones(nodes: Nodes, node: str) -> set[bytes]:
    return set(nodes.contents(node)) - set(nodes.present(node))


def test_old_tombstones_go_everywhere_and_young_ones_stay(nodes: Nodes) -> None:
    put(nodes, b"lately", grave(nodes, RETENTION_SECONDS - 5))
    settle(nodes)
    found = whole(nodes)
    assert (found.purged, found.waiting, found.differences) == (1, 0, 0)
    assert [tombstones(nodes, node) for node in "abc"] == [{b"lately"}] * 3
    assert [len(nodes.present(node)) for node in "abc"] == [3] * 3
    limits_kept = [nodes.report(node).purged_before for node in "abc"]
    assert len(set(limits_kept)) == 1
    assert limits_kept[0] < nodes.value(b"", RETENTION_SECONDS - 5).stamp.micros
    assert whole(nodes).differences == 0


def _lagging(nodes: Nodes) -> None:
    nodes.write("a", b"new", nodes.value(b"new"))


def _away(nodes: Nodes) -> None:
    nodes.down = {"c"}


def _syncing(nodes: Nodes) -> None:
    nodes.client("c").execute_command("HSET", nodes.layout.member, "state", "syncing")


def _restarted(nodes: Nodes) -> None:
    nodes.restart("c")


def _unchecked(nodes: Nodes) -> None:
    nodes.write("c", b"new", nodes.value(b"undecided"))


HINDRANCES = [_lagging, _away, _syncing, _restarted, _unchecked]


@pytest.mark.parametrize("hinder", HINDRANCES)
def test_no_tombstone_goes_before_every_member_has_confirmed_it(
    nodes: Nodes, hinder: Callable[[Nodes], None]
) -> None:
    hinder(nodes)
    found = whole(nodes)
    assert (found.purged, found.waiting) == (0, 1)
    assert [b"gone" in nodes.contents(node) for node in "abc"] == [True] * 3
    assert [nodes.report(node).purged_before for node in "abc" if node not in nodes.down] == [0] * (
        3 - len(nodes.down)
    )


def test_it_goes_when_they_have_within_the_same_sweep(nodes: Nodes) -> None:
    _lagging(nodes)
    _begun(nodes)
    settle(nodes)
    assert part(nodes).findings.purged == 1


def test_what_was_decided_after_the_sweep_began_waits_for_the_next(nodes: Nodes) -> None:
    """Its age alone does not tell: a clock may have been set."""
    state = read_under_way({UNDER_WAY: _begun(nodes)})
    assert state is not None
    gone = nodes.record("a", b"gone")
    assert gone is not None
    early = replace(state, purge_before=gone.stamp.micros)
    nodes.client("a").execute_command("HSET", nodes.layout.sweep, UNDER_WAY, early.encode())
    found = part(nodes).findings
    assert (found.purged, found.waiting) == (0, 1)
    assert whole(nodes).purged == 1


def test_several_primaries_purge_nothing() -> None:
    nodes = with_records(Nodes(3, Mode.MULTI_PRIMARY))
    assert whole(nodes).purged == 0
    assert [tombstones(nodes, node) for node in "abc"] == [{b"gone"}] * 3


def test_what_a_copy_still_has_after_a_purge_goes_at_the_next_sweep(nodes: Nodes) -> None:
    gone = nodes.record("a", b"gone")
    assert gone is not None
    whole(nodes)
    put_back(nodes, b"gone", gone, "b")
    assert whole(nodes).differences == 0
    assert [tombstones(nodes, node) for node in "abc"] == [set()] * 3


def test_an_undecided_tombstone_is_not_purged_from_the_copy_alone(nodes: Nodes) -> None:
    """The primary has an earlier value under this key: that is what counts."""
    undecided, wanted = grave(nodes, OLD - 10), nodes.record("a", b"one")
    put_back(nodes, b"one", undecided, "b")
    assert whole(nodes).differences == 1
    assert [nodes.record(node, b"one") for node in "abc"] == [wanted, undecided, wanted]
    nodes.run(verify(nodes.layout, nodes.first.ids, nodes.at, repair=True))
    assert [nodes.record(node, b"one") for node in "abc"] == [wanted] * 3


@pytest.mark.parametrize("node", ["a", "b"])
def test_a_write_from_before_a_purge_takes_no_effect(nodes: Nodes, node: str) -> None:
    """A client that was stopped for so long sends what was deleted since."""
    late = nodes.value(b"late", OLD + 1)
    whole(nodes)
    assert nodes.send(node, nodes.view().write_call(b"gone", late.encode()))[0] == b"expired"
    assert nodes.record(node, b"gone") is None


def test_a_worker_that_was_stopped_before_a_purge_copies_nothing_old(nodes: Nodes) -> None:
    """It read the record, slept, and goes on when its tombstone has come and gone."""
    order = SweepOrder(nodes.at, 1e9, True, 2 * OLD)
    stale = nodes.value(b"stale", OLD + 1)
    put_back(nodes, b"gone", stale, "ac")
    drop(nodes, b"gone", "b")
    plan = sweep(nodes.layout, nodes.first.ids, order)

    def meanwhile() -> None:
        put_back(nodes, b"gone", grave(nodes), "abc")
        assert whole(nodes).purged == 1

    nodes.meanwhile["absorb"] = meanwhile
    with pytest.raises(
        Unavailable, match="node 'b' purged tombstones while records were copied to it"
    ):
        nodes.run(plan)
    assert [nodes.record(node, b"gone") for node in "abc"] == [None] * 3


def test_a_node_that_comes_back_empty_turns_down_the_same_old_writes(nodes: Nodes) -> None:
    late = nodes.value(b"late", OLD + 1)
    whole(nodes)
    nodes.lose_everything("c")
    settle(nodes)
    assert nodes.report("c").is_serving
    assert nodes.report("c").purged_before == nodes.report("a").purged_before
    assert nodes.send("c", nodes.view().write_call(b"gone", late.encode()))[0] == b"expired"
    assert nodes.contents("c") == nodes.contents("a")


@pytest.mark.parametrize("is_cut", [False, True])
def test_a_replica_with_data_from_before_the_delete_does_not_bring_it_back(is_cut: bool) -> None:
    nodes = Nodes(3)
    value = nodes.value(b"deleted later", 2 * OLD)
    put(nodes, b"key", value)
    settle(nodes)
    kept = nodes.dump("c")
    put(nodes, b"key", grave(nodes))
    settle(nodes)
    assert whole(nodes).purged == 1
    if is_cut:
        cut_log(nodes, "a")
    nodes.restore("c", kept)
    assert nodes.record("c", b"key") == value
    settle(nodes)
    assert nodes.report("c").is_serving
    assert [b"key" in nodes.present(node) for node in "abc"] == [False] * 3
    assert nodes.send("c", nodes.view().write_call(b"key", value.encode()))[0] in (
        b"expired",
        b"has",
    )


@pytest.mark.parametrize("is_cut", [False, True])
def test_a_primary_with_data_from_before_the_delete_hands_over_without_it(is_cut: bool) -> None:
    """Its log, whole since its beginning, names the value alone, and nothing stands there on its
    successor.
    """
    nodes, value = _deleted_since_the_primary_was_saved(3, is_cut)
    nodes.bring_up("a", fails_over=True)
    settle(nodes)
    assert nodes.view().decider != "a"
    assert [nodes.report(node).is_serving for node in "abc"] == [True] * 3
    assert [b"key" in nodes.present(node) for node in "abc"] == [False] * 3
    assert nodes.send("a", nodes.view().write_call(b"key", value.encode()))[0] in (
        b"expired",
        b"has",
    )


def test_what_a_primary_took_last_is_taken_along_beside_what_was_purged_without_it() -> None:
    """In its log stand a value that was deleted and purged since, and a write that nobody else
    has.
    """
    nodes, _ = _deleted_since_the_primary_was_saved(3, False)
    last, name = nodes.value(b"nobody else has it"), nodes.layout.data(b"last")
    # Soon after what stands there: the marks that others have of its log are beyond, and count for
    # nothing.
    millis, number = nodes.report("a").log.last_id.split("-")
    nodes.client("a").execute_command(
        "XADD", nodes.layout.log, f"{millis}-{int(number) + 1}", name, last.stamp.encode()
    )
    nodes.client("a").execute_command("SET", name, last.encode())
    nodes.bring_up("a", fails_over=True)
    settle(nodes)
    assert nodes.view().decider != "a"
    assert [set(nodes.present(node)) for node in "abc"] == [{b"kept", b"last"}] * 3


@pytest.mark.parametrize("is_cut", [False, True])
def test_a_primary_that_is_put_back_to_work_gives_up_what_was_purged_without_it(
    is_cut: bool,
) -> None:
    nodes, _ = _deleted_since_the_primary_was_saved(2, is_cut)
    done = nodes.bring_up("a")
    assert nodes.view().decider == "a"
    assert any("gave up 1 records" in note for note in done.notes) is is_cut
    assert nodes.report("a").purged_before == nodes.report("b").purged_before
    settle(nodes)
    assert [nodes.present(node) for node in "ab"] == [{b"kept": nodes.record("a", b"kept")}] * 2


def _deleted_since_the_primary_was_saved(copies: int, is_cut: bool) -> tuple[Nodes, Record]:
    """The primary is back with a value that was deleted since. is_cut: no other's log reaches back
    to the delete.
    """
    nodes = Nodes(copies)
    value = nodes.value(b"deleted later", 2 * OLD)
    put(nodes, b"key", value)
    put(nodes, b"kept", nodes.value(b"kept", 2 * OLD))
    settle(nodes)
    kept = nodes.dump("a")
    put(nodes, b"key", grave(nodes))
    settle(nodes)
    assert whole(nodes).purged == 1
    if is_cut:
        for node in nodes.first.ids[1:]:
            cut_log(nodes, node)
    nodes.restore("a", kept)
    return nodes, value


def cut_log(nodes: Nodes, node: str) -> None:
    """Cut a log as the workers would."""
    end = nodes.report(node).log.last_id
    nodes.client(node).execute_command("XTRIM", nodes.layout.log, "MINID", "=", end)
    nodes.client(node).execute_command("HSET", nodes.layout.member, "log_floor", end)


def test_a_tombstone_that_an_old_log_entry_brings_back_is_not_decided_anew(nodes: Nodes) -> None:
    """It goes again, instead of making another one."""
    gone = nodes.record("a", b"gone")
    assert gone is not None
    whole(nodes)
    nodes.put("b", b"gone", gone)
    settle(nodes)
    assert [nodes.record(node, b"gone") for node in "abc"] == [None] * 3


def test_the_key_can_be_used_again(nodes: Nodes) -> None:
    whole(nodes)
    again = nodes.value(b"again")
    nodes.write("abc", b"gone", again)
    settle(nodes)
    assert [nodes.record(node, b"gone") for node in "abc"] == [again] * 3


def test_a_tombstone_is_younger_than_the_record_it_takes_away_from_a_copy(nodes: Nodes) -> None:
    """With an old stamp it could be purged before the other copies have it."""
    put_back(nodes, b"four", nodes.value(b"extra", OLD), "b")
    nodes.run(verify(nodes.layout, nodes.first.ids, nodes.at, repair=True))
    settle(nodes)
    assert whole(nodes).purged == 1
    decided = nodes.record("a", b"four")
    assert decided is not None
    assert decided.stamp > Stamp(nodes.value(b"", 5.0).stamp.micros, 0)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("at_millis", "x"),
        ("left", [1]),
        ("left", 5),
        ("cursor", "zz"),
        ("epoch", None),
        ("epoch", True),
    ],
)
def test_notes_that_cannot_be_true_are_none(field: str, value: object) -> None:
    noted = json.loads(Sweep(1, "a", "run", ("b",), 1, 1, {"b": 1}, 1, 1).encode())
    assert read_under_way({UNDER_WAY: json.dumps(noted)}) is not None
    assert read_under_way({UNDER_WAY: json.dumps({**noted, field: value})}) is None
