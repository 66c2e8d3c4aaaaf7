"""Planted bugs: each is known to lose or invent data, and each has a test that must notice."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class PatchDoesNotApply(Exception):
    """The text to replace is not there exactly once: the library changed, adapt the mutant."""


class Mutant(NamedTuple):
    """One bug. ``killer`` is the test that fails with it, and ``evidence`` a part of how it fails.

    quick: run with the ordinary tests.
    """

    name: str
    file: str
    old: str
    new: str
    killer: str
    evidence: str
    quick: bool = False

    def plant(self, tree: Path) -> None:
        """Put the bug into a copy of the repository. Raises PatchDoesNotApply."""
        path = tree / self.file
        text = path.read_text(encoding="utf-8")
        found = text.count(self.old)
        if found != 1:
            raise PatchDoesNotApply(f"mutant {self.name!r}: its text is found {found} times in {self.file}, not once")
        path.write_text(text.replace(self.old, self.new), encoding="utf-8")


SERVERS = "tests/servers"

MUTANTS = (
    Mutant(
        name="write without a guard",
        file="redrepl/lua/write.lua",
        old="if not admits(member) then return refusal(member) end\n",
        new="",
        killer=f"{SERVERS}/test_membership.py::test_writes_of_an_old_epoch_are_refused_everywhere",
        evidence="b'refused'",
        quick=True,
    ),
    Mutant(
        name="delete removes the record",
        file="redrepl/lua/write.lua",
        old="store(key, record, member.max_age)\n",
        new=(
            "if string.sub(record, 23, 23) == 'v' then store(key, record, member.max_age)\n"
            "else redis.call('DEL', key) end\n"
        ),
        killer=f"{SERVERS}/test_client_killed.py::test_an_older_write_that_arrives_late_does_not_undo_a_delete[b]",
        evidence="assert ",
        quick=True,
    ),
    Mutant(
        name="no log entry",
        file="redrepl/lua/write.lua",
        old="log_change(key, record)\n",
        new="",
        killer=f"{SERVERS}/test_client_killed.py::test_a_write_that_reached_the_primary_alone_reaches_every_copy",
        evidence="differ in 1 keys",
        quick=True,
    ),
    Mutant(
        name="the mark moves before the data",
        file="redrepl/plans/catch_up.py",
        old="        yield from copier.copy(page.newest, Mark(start.incarnation, page.end))\n",
        new=(
            "        yield from copier.absorb((), (), Mark(start.incarnation, page.end))\n"
            "        yield from confirm(view, source.node, target, page.end, steps)\n"
            "        yield from copier.copy(page.newest, None)\n"
        ),
        killer=f"{SERVERS}/test_queue_loss.py::test_a_worker_that_dies_before_it_copied_has_moved_no_mark",
        evidence="differ in 100 keys",
        quick=True,
    ),
    Mutant(
        name="acknowledged by the primary alone",
        file="redrepl/plans/write.py",
        old="    committed = decided is not None and len(acked) >= order.required\n",
        new="    committed = decided is not None\n",
        killer=f"{SERVERS}/test_all_level.py::test_all_without_a_replica_is_unknown_and_says_who_lacks_it[kill]",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="undecided records are copied to the primary",
        file="redrepl/plans/bring_up.py",
        old="checked = yield from check_log(view, replica, primary, mark, steps, order.stop_at)",
        new="checked = yield from ship_log(view, replica, primary.node, mark, steps, order.stop_at)",
        killer=f"{SERVERS}/test_client_killed.py::test_an_undecided_write_is_not_taken_back_before_the_primary_refuses_it",
        evidence='stored("key") is None',
    ),
    Mutant(
        name="undecided records are removed at once",
        file="redrepl/plans/undecided.py",
        old="    oldest_open = now_micros - max_age_micros(primary)\n",
        new="    oldest_open = now_micros\n",
        killer=f"{SERVERS}/test_client_killed.py::test_an_undecided_write_is_not_taken_back_before_the_primary_refuses_it",
        evidence="undecided_replaced",
    ),
    Mutant(
        name="a restart is not noticed",
        file="redrepl/edges/admission.py",
        old="        if found.run_id != found.actual_run_id:\n",
        new="        if found.run_id is None:\n",
        killer=f"{SERVERS}/test_returning_replica.py::test_it_does_not_acknowledge_before_it_was_brought_up[come_back_with_older_data]",
        evidence="DID NOT RAISE WriteNotConfirmed",
    ),
    Mutant(
        name="no deadline in the record",
        file="redrepl/doors/base.py",
        old="value_record(self._clock.next(), payload, deadline)",
        new="value_record(self._clock.next(), payload)",
        killer=f"{SERVERS}/test_returning_values.py::test_a_record_past_its_deadline_reads_as_absent_on_every_copy_at_once",
        evidence="the deadline passes: not met",
    ),
    Mutant(
        name="no native expiry",
        file="redrepl/lua/parts/record.lua",
        old=", 'PXAT', string.format('%.0f', tonumber(deadline, 16) + max_age / 1000))",
        new=")",
        killer=f"{SERVERS}/test_returning_values.py::test_every_copy_forgets_at_the_same_deadline",
        evidence="native expiry only collects garbage",
    ),
    Mutant(
        name="a key that is gone at the source is not shipped",
        file="redrepl/plans/copying.py",
        old="tombstone(wanted[name], self.now_millis)",
        new="tombstone(NO_STAMP, self.now_millis)",
        killer=f"{SERVERS}/test_returning_values.py::test_a_key_that_expired_for_good_while_the_replica_was_away_stays_away[with_its_data]",
        evidence="not in",
    ),
    Mutant(
        name="the primary keeps an older stamp",
        file="redrepl/lua/write.lua",
        old="  record = restamp(stored, member.restamp_writer) .. string.sub(record, 23)\n",
        new="  return {'has', string.sub(stored, 1, 22)}\n",
        killer=f"{SERVERS}/test_clocks.py::test_a_later_delete_from_a_clock_behind_stands",
        evidence="b'key'",
    ),
    Mutant(
        name="a full sync leaves what is too much",
        file="redrepl/plans/full_sync.py",
        old="    removed = 0 if view.decider is None else (yield from _take_away(view, source, target, steps))\n",
        new="    removed = 0\n",
        killer=f"{SERVERS}/test_verify.py::test_sync_brings_back_exactly_what_the_primary_has",
        evidence="surplus",
    ),
    Mutant(
        name="replicas answer a session with its past",
        file="redrepl/plans/read.py",
        old="if at_least is NO_STAMP or node == view.decider or _stamp_of(record) >= at_least:",
        new="if True:",
        killer=f"{SERVERS}/test_reads.py::test_a_session_reads_its_own_writes_while_replicas_lag",
        evidence="b'old'",
    ),
    Mutant(
        name="a foreign value is taken for nothing",
        file="redrepl/lua/parts/record.lua",
        old="  if type(stored) ~= 'string' or not is_header(stored) then return nil end\n",
        new="  if type(stored) ~= 'string' or not is_header(stored) then return ABSENT end\n",
        killer=f"{SERVERS}/test_foreign.py::test_no_operation_overwrites_one_on_the_primary",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="several primaries keep what came first",
        file="redrepl/lua/absorb.lua",
        old="  if compare(record, stored[index]) > 0 then\n",
        new="  if stored[index] == ABSENT then\n",
        killer=f"{SERVERS}/test_multi_primary.py::test_primaries_cut_from_each_other_agree_on_the_later_stamp",
        evidence="assert ",
    ),
    Mutant(
        name="a copy between epochs is given up",
        file="redrepl/plans/write.py",
        old='    return content[0] == b"refused" and content[2] == b"active" and int(content[1]) < int(epoch)\n',
        new="    return False\n",
        killer=f"{SERVERS}/test_membership.py::test_a_node_is_added_while_clients_write",
        evidence="no quorum write fails because of the new epoch",
    ),
    Mutant(
        name="the tick leaves all work to the queue",
        file="workers/redrepl_workers/tick.py",
        old="        if self._blocked[node] >= PATIENCE_TICKS or self._queue is None:\n",
        new="        if False:\n",
        killer=f"{SERVERS}/test_queue_loss.py::test_without_the_queue_the_tick_does_it_all",
        evidence="not met within",
    ),
    Mutant(
        name="a write waits for every copy",
        file="redrepl/values/level.py",
        old="            return (replicas + 1) // 2\n",
        new="            return replicas\n",
        killer=f"{SERVERS}/test_replica_outage.py::test_a_replica_that_is_down_when_the_client_starts_fails_no_write",
        evidence="WriteNotConfirmed",
    ),
)
