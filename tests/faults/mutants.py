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
BATCHES = f"{SERVERS}/test_batch_and_transaction.py"

ASYNCIO = f"{SERVERS}/test_asyncio.py"

ACCEPT_LOSS = "tests/unit/test_accept_loss.py"
FAILOVER = "tests/unit/test_failover.py"
SWEEPS = "tests/unit/test_anti_entropy.py"
PURGED = "tests/unit/test_purged_without_it.py"
CHANGES = "tests/unit/test_change_members.py"
FOLLOWING = "tests/unit/test_following_epochs.py"
WITNESSES = "tests/unit/test_witnesses.py"
WALKS = "tests/unit/test_long_walks.py"

MUTANTS = (
    Mutant(
        name="all steps of a walk have one deadline",
        file="redrepl/plans/steps.py",
        old="                if event is not None:\n                    self.at = event.at\n",
        new="",
        killer=f"{WALKS}::test_a_replica_is_walked_that_has_everything_and_more",
        evidence="no answer in time",
    ),
    Mutant(
        name="what is under way on several lanes has one deadline",
        file="redrepl/plans/lanes.py",
        old="        self._steps.at = event.at\n",
        new="",
        killer=f"{WALKS}::test_an_empty_replica_is_filled",
        evidence="no answer in time",
    ),
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
        name="the short way through write without a guard",
        file="redrepl/lua/write.lua",
        old="if found[1] == ARGV[1] and found[2] == 'active' and ",
        new="if ",
        killer=f"{SERVERS}/test_membership.py::test_writes_of_an_old_epoch_are_refused_everywhere",
        evidence="b'refused'",
    ),
    Mutant(
        name="the short way through write replaces later records",
        file="redrepl/lua/write.lua",
        old=" and micros > number(sub(stored, 1, 14), 16)\n",
        new="\n",
        killer="tests/scripts/test_write.py::test_a_rule_takes_or_keeps",
        evidence="assert ",
    ),
    Mutant(
        name="delete removes the record",
        file="redrepl/lua/write.lua",
        old="    call('SET', key, record)\n",
        new="    if sub(record, 23, 23) == 'v' then call('SET', key, record) else call('DEL', key) end\n",
        killer=f"{SERVERS}/test_client_killed.py::test_an_older_write_that_arrives_late_does_not_undo_a_delete[b]",
        evidence="assert ",
        quick=True,
    ),
    Mutant(
        name="no log entry",
        file="redrepl/lua/write.lua",
        old="    call('XADD', KEYS[2], '*', key, sub(record, 1, 22))\n",
        new="",
        killer=f"{SERVERS}/test_client_killed.py::test_a_write_that_reached_the_primary_alone_reaches_every_copy",
        evidence="differ in 1 keys",
        quick=True,
    ),
    Mutant(
        name="the mark moves before the data",
        file="redrepl/plans/copies/catch_up.py",
        old="            yield from copier.send(page.stamps, Mark(start.incarnation, position))\n",
        new=(
            "            yield from copier.absorb((), (), Mark(start.incarnation, position))\n"
            "            yield from confirming.follow(copier.stored)\n"
            "            yield from confirming.settle()\n"
            "            yield from copier.send(page.stamps, None)\n"
        ),
        killer=f"{SERVERS}/test_queue_loss.py::test_a_worker_that_dies_before_it_copied_has_moved_no_mark",
        evidence="differ in 100 keys",
        quick=True,
    ),
    Mutant(
        name="acknowledged by the primary alone",
        file="redrepl/plans/operations/write.py",
        old="    committed = decided is not None and len(acked) >= order.required\n",
        new="    committed = decided is not None\n",
        killer=f"{SERVERS}/test_all_level.py::test_all_without_a_replica_is_unknown_and_says_who_lacks_it[kill]",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="undecided records are copied to the primary",
        file="redrepl/plans/copies/bring_up.py",
        old="checked = yield from check_log(view, replica, primary, mark, steps, order.stop_at)",
        new="checked = yield from ship_log(view, replica, primary.node, mark, steps, order.stop_at)",
        killer=f"{SERVERS}/test_client_killed.py::test_an_undecided_write_is_not_taken_back_before_the_primary_refuses_it",
        evidence='stored("key") is None',
    ),
    Mutant(
        name="undecided records are removed at once",
        file="redrepl/plans/copies/undecided.py",
        old="    oldest_open = now_micros - max_age_micros(primary)\n",
        new="    oldest_open = now_micros\n",
        killer=f"{SERVERS}/test_client_killed.py::test_an_undecided_write_is_not_taken_back_before_the_primary_refuses_it",
        evidence=".stored",
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
        file="redrepl/doors/writes.py",
        old="VALUE, self._value(value), self._deadline(ttl), how)",
        new="VALUE, self._value(value), NO_DEADLINE, how)",
        killer=f"{SERVERS}/test_returning_values.py::test_a_record_past_its_deadline_reads_as_absent_on_every_copy_at_once",
        evidence="the deadline passes: not met",
    ),
    Mutant(
        name="no native expiry",
        file="redrepl/lua/parts/record.lua",
        old=", 'PXAT', expiry)",
        new=")",
        killer=f"{SERVERS}/test_returning_values.py::test_every_copy_forgets_at_the_same_deadline",
        evidence="native expiry only collects garbage",
    ),
    Mutant(
        name="a key that is gone at the source is not shipped",
        file="redrepl/plans/copies/copying.py",
        old="tombstone(Stamp.parse(wanted[name]), self.now_millis)",
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
        file="redrepl/plans/copies/full_sync.py",
        old="    replaced = 0 if view.decider is None else (yield from _take_away(view, source, target, steps, why))\n",
        new="    replaced = 0\n",
        killer=f"{SERVERS}/test_verify.py::test_sync_brings_back_exactly_what_the_primary_has",
        evidence="surplus",
    ),
    Mutant(
        name="a repair leaves what the primary decided to the next catch-up",
        file="redrepl/plans/copies/verify.py",
        old="    if decided:\n",
        new="    if decided and not repair:\n",
        killer=f"{SERVERS}/test_verify.py::test_repair_makes_the_copies_equal",
        evidence="b'extra'",
    ),
    Mutant(
        name="tombstones are purged before every member has confirmed them",
        file="redrepl/plans/copies/anti_entropy.py",
        old="self._purges = may_purge(view, reference, present, state)\n",
        new="self._purges = True\n",
        killer=f"{SWEEPS}::test_no_tombstone_goes_before_every_member_has_confirmed_it",
        evidence="assert (1, 0) == (0, 1)",
    ),
    Mutant(
        name="tombstones are purged that were decided after the sweep began",
        file="redrepl/plans/copies/anti_entropy.py",
        old="if self._purges and stamp.micros < before}",
        new="if self._purges}",
        killer=f"{SWEEPS}::test_what_was_decided_after_the_sweep_began_waits_for_the_next",
        evidence="assert ",
    ),
    Mutant(
        name="a replica takes what a purged tombstone stood against",
        file="redrepl/lua/write.lua",
        old="  if stored == ABSENT and micros < purged_before(member, now) then",
        new="  if false then",
        killer=f"{SWEEPS}::test_a_write_from_before_a_purge_takes_no_effect",
        evidence="TypeError: 'int' object is not subscriptable",
    ),
    Mutant(
        name="a purge limit of a wrong clock is believed",
        file="redrepl/lua/parts/guard.lua",
        old="  return math.min(member.noted_limit, now - member.max_age)",
        new="  return member.noted_limit",
        killer="tests/scripts/test_purge.py::test_a_limit_that_a_wrong_clock_left_turns_down_nothing_new",
        evidence="b'expired'",
    ),
    Mutant(
        name="whoever asks for a purge says what is old",
        file="redrepl/lua/purge.lua",
        old="local before = math.min(tonumber(ARGV[2]), now - member.max_age)",
        new="local before = tonumber(ARGV[2])",
        killer="tests/scripts/test_purge.py::test_a_caller_whose_clock_is_ahead_purges_nothing_young",
        evidence="[b'ok', 2]",
    ),
    Mutant(
        name="a replica refuses what its primary stamped in the future",
        file="redrepl/lua/write_many.lua",
        old="  if micros > latest and not (follows and is_restamped(proposed)) then",
        new="  if micros > latest then",
        killer="tests/scripts/test_write.py::test_a_rule_takes_or_keeps",
        evidence="skewed",
    ),
    Mutant(
        name="a sweep goes on from what a wrong clock noted",
        file="redrepl/plans/copies/anti_entropy.py",
        old=" or _is_of_the_future(state, reference):",
        new=":",
        killer=f"{SWEEPS}::test_a_sweep_that_a_wrong_clock_began_or_went_on_with_begins_anew",
        evidence="assert ",
    ),
    Mutant(
        name="records read before a purge are stored after it",
        file="redrepl/lua/absorb.lua",
        old="if seen_purged_before and seen_purged_before ~= member.noted_limit then\n",
        new="if false then\n",
        killer=f"{SWEEPS}::test_a_worker_that_was_stopped_before_a_purge_copies_nothing_old",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="a failover takes what was deleted and purged from an old log",
        file="redrepl/plans/copies/copying.py",
        old='seen: bytes | int = b"" if self.merges else self._seen_purged_before or 0\n',
        new="seen: bytes | int = self._seen_purged_before or limits.MAX_MICROS\n",
        killer=f"{SWEEPS}::test_a_primary_with_data_from_before_the_delete_hands_over_without_it",
        evidence="assert [True, True, True] == [False, False, False]",
    ),
    Mutant(
        name="a primary that is put back to work keeps what was purged without it",
        file="redrepl/plans/epochs/reinstate.py",
        old="    if walked and (given_up",
        new="    if False and (given_up",
        killer=f"{SWEEPS}::test_a_primary_that_is_put_back_to_work_gives_up_what_was_purged_without_it",
        evidence="assert False is True",
    ),
    Mutant(
        name="an operation forgets under which stamps it was tried",
        file="redrepl/doors/writes.py",
        old="            tried += (update.stamp, updated.receipt.stamp)\n",
        new="            tried = [update.stamp, updated.receipt.stamp]\n",
        killer="tests/unit/test_following_epochs.py::test_of_several_attempts_at_an_operation_the_first_counts_where_it_stands",
        evidence="it is only to be confirmed",
    ),
    Mutant(
        name="a log that begins with a walk is taken for a whole one",
        file="redrepl/plans/copies/marks.py",
        old="if not known and source.log_floor == LOG_START and not gap:\n",
        new="if not known and source.log_floor == LOG_START:\n",
        killer=f"{PURGED}::test_an_old_primary_follows_members_that_were_filled_after_the_purge",
        evidence="assert ",
    ),
    Mutant(
        name="the mark of a walk comes before what is to be given up",
        file="redrepl/plans/epochs/reinstate.py",
        old="        yield from copy_all(copier, steps)\n        return copier.records\n",
        new="        yield from copy_all(copier, steps)\n"
        "        yield from copier.absorb((), (), Mark(witness.incarnation, witness.log.end))\n"
        "        return copier.records\n",
        killer=f"{PURGED}::test_a_worker_that_dies_while_it_puts_an_old_primary_back_leaves_enough_to_do",
        evidence="assert ",
    ),
    Mutant(
        name="a copy that has purged a tombstone does not confirm it",
        file="redrepl/plans/operations/read.py",
        old="            if not (is_needless or verdict in",
        new="            if not (verdict in",
        killer=f"{PURGED}::test_a_delete_is_read_where_only_the_primary_has_not_purged_it_yet",
        evidence="Unavailable",
    ),
    Mutant(
        name="an operation is repeated however late",
        file="redrepl/doors/writes.py",
        old="            if is_too_late or not pursuit.is_absent(0):\n",
        new="            if not pursuit.is_absent(0):\n",
        killer=f"{PURGED}::test_an_operation_is_not_repeated_by_a_client_that_slept_before_it_looked_for_it",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="a member that was taken out is taken in with what it held",
        file="redrepl/plans/copies/bring_up.py",
        old=" or (target.lineage == 0 and source.node not in target.marks)\n",
        new="\n",
        killer="tests/unit/test_change_members.py::test_one_that_comes_back_with_old_records_keeps_none_that_the_primary_does_not_have",
        evidence="assert ",
    ),
    Mutant(
        name="a node is admitted although nobody could bring it up",
        file="redrepl/plans/copies/bring_up.py",
        old="        if not sources:\n            # Without",
        new="        if False:\n            # Without",
        killer="tests/unit/test_bring_up.py::test_nobody_is_admitted_while_there_is_no_one_to_bring_it_up_from",
        evidence="assert (True, True) == (False, False)",
    ),
    Mutant(
        name="replicas answer a session with its past",
        file="redrepl/plans/operations/read.py",
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
        old="  if compare(proposed, stands) > 0 then return proposed end\n",
        new="  if stands == ABSENT then return proposed end\n",
        killer=f"{SERVERS}/test_multi_primary.py::test_primaries_cut_from_each_other_agree_on_the_later_stamp",
        evidence="assert ",
    ),
    Mutant(
        name="a copy between epochs is given up",
        file="redrepl/plans/operations/write.py",
        old='    return content[0] == b"refused" and content[2] == b"active" and int(content[1]) < int(epoch)\n',
        new="    return False\n",
        killer="tests/unit/test_write_one.py::test_a_copy_that_comes_to_the_epoch_a_moment_later_is_sent_the_record_again",
        evidence="assert not True",
    ),
    Mutant(
        name="the tick leaves all work to the queue",
        file="workers/redrepl_workers/tick.py",
        old="        if self._blocked[name] >= PATIENCE_TICKS or self._queue is None:\n",
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
    Mutant(
        name="a transaction forgets what it has read",
        file="redrepl/lua/transact.lua",
        old="  if not is_as_expected(found[index], ARGV[place + 1], now) then report_conflict(index) end\n",
        new="",
        killer=f"{BATCHES}::test_concurrent_increments_by_reading_and_writing_lose_nothing",
        evidence="b'150'",
        quick=True,
    ),
    Mutant(
        name="a transaction stores what it can",
        file="redrepl/lua/transact.lua",
        old="    if is_unit and verdict == 'unmet' then report_conflict(index) end\n",
        new="",
        killer=f"{BATCHES}::test_one_operation_that_cannot_be_carried_out_stops_all",
        evidence="DID NOT RAISE",
        quick=True,
    ),
    Mutant(
        name="a transaction is several log entries",
        file="redrepl/lua/transact.lua",
        old="if #entry > 0 then redis.call('XADD', KEYS[2], '*', unpack(entry)) end\n",
        new="for place = 1, #entry, 2 do redis.call('XADD', KEYS[2], '*', entry[place], entry[place + 1]) end\n",
        killer=f"{BATCHES}::test_a_transaction_is_one_entry_of_the_same_stamps_on_every_copy",
        evidence="assert [{",
    ),
    Mutant(
        name="a transaction that waited in a frozen primary takes effect",
        file="redrepl/lua/transact.lua",
        old="  if micros < now - member.max_age then return {'expired', string.format('%.0f', now)} end\n",
        new="",
        killer=f"{BATCHES}::test_a_frozen_primary_leaves_a_transaction_unknown_and_takes_it_whole_or_not_at_all[late]",
        evidence="assert {",
    ),
    Mutant(
        name="a transaction is committed key by key",
        file="redrepl/plans/operations/transaction.py",
        old="    committed = len(holders - {order.home}) >= order.required\n",
        new="    committed = all(receipt.outcome is Outcome.COMMITTED for receipt in receipts.values())\n",
        killer="tests/unit/test_transaction.py::test_copies_that_hold_a_part_each_do_not_make_it_committed",
        evidence="assert {",
    ),
    Mutant(
        name="a transaction with an unknown outcome is repeated",
        file="redrepl/doors/transaction.py",
        old="                transaction.commit()\n        except TransactionConflict:\n",
        new="                transaction.commit()\n        except Exception:\n",
        killer=(
            "tests/unit/test_transaction.py"
            "::test_an_answer_of_the_primary_that_is_lost_leaves_it_unknown_and_it_is_not_repeated"
        ),
        evidence="assert ",
    ),
    Mutant(
        name="a batch goes on after a part that failed",
        file="redrepl/doors/batch.py",
        old="                raise self._with_all_receipts(failure) from failure\n",
        new="                error = self._with_all_receipts(failure)\n",
        killer=f"{BATCHES}::test_a_batch_with_a_replica_down",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="a batch takes a key twice in one call",
        file="redrepl/plans/operations/batch_builder.py",
        old="        is_repeated = kind is Kind.WRITE and operation.key in keys\n",
        new="        is_repeated = False\n",
        killer="tests/unit/test_batch_builder.py::test_operations_on_one_key_take_effect_in_the_order_given",
        evidence="assert ",
    ),
    Mutant(
        name="what a dead replica was asked for is asked for nowhere else",
        file="redrepl/plans/operations/read.py",
        old="            if index not in self._found and left:\n",
        new="            if False:\n",
        killer=f"{BATCHES}::test_what_a_dead_replica_was_asked_for_comes_from_elsewhere[replica-kill]",
        evidence="Unavailable",
    ),
    Mutant(
        name="replicas answer a session with its past among many keys",
        file="redrepl/plans/operations/read.py",
        old="            if node == view.decider or _stamp_of(record) >= self._at_least[index]:\n",
        new="            if True:\n",
        killer=f"{BATCHES}::test_a_session_never_reads_its_past_among_many_keys",
        evidence="b'new'",
        quick=True,
    ),
    Mutant(
        name="a debt that nobody wants paid is forgotten",
        file="redrepl/edges/switchboard.py",
        old="            run, request, sent_at = owed.popleft()\n",
        new=(
            "            while len(owed) > 1 and not owed[0][0].is_live:\n"
            "                owed.popleft()\n"
            "            run, request, sent_at = owed.popleft()\n"
        ),
        killer=f"{ASYNCIO}::test_cancelled_and_late_tasks_leave_no_answer_to_others[asyncio]",
        evidence="Error",
    ),
    Mutant(
        name="a write of a group that is not confirmed counts as committed",
        file="redrepl/doors/writes.py",
        old="else _failure_of_one(receipt, order) for receipt in receipts",
        new="else receipt for receipt in receipts",
        killer=f"{ASYNCIO}::test_writes_of_one_turn_have_outcomes_of_their_own[asyncio]",
        evidence="Error",
        quick=True,
    ),
    Mutant(
        name="upkeep goes on with a node that restarted in between",
        file="redrepl/edges/driver.py",
        old="UpkeepChannel if self._admission.purpose is Purpose.MAINTAIN else Channel",
        new="Channel",
        killer=f"{SERVERS}/test_connections.py::test_upkeep_does_not_go_on_with_a_node_that_restarted_in_between",
        evidence="restarted meanwhile",
    ),
    Mutant(
        name="a write taken just before the epoch moved counts without being looked up",
        file="redrepl/doors/following.py",
        old="            elif was_taken and record is not None and record.stamp > receipt.stamp:\n",
        new="            elif was_taken:\n",
        killer="tests/unit/test_following_epochs.py::test_a_write_lost_between_epochs_stays_unknown",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="a write is sent again after a failover without being looked up",
        file="redrepl/doors/following.py",
        old="        was_merged = view.topology.merged_epoch > self.settled_epoch\n",
        new="        was_merged = False\n",
        killer=f"{FOLLOWING}::test_where_records_were_merged_meanwhile_the_primary_is_asked_before_a_write_is_sent_again",
        evidence="assert ",
    ),
    Mutant(
        name="a failover without a majority",
        file="redrepl/plans/epochs/failover.py",
        old="    if len(sound) < needed:\n",
        new="    if not sound:\n",
        killer=f"{FAILOVER}::test_without_a_majority_nothing_is_touched",
        evidence="2 of 3 members must take part",
    ),
    Mutant(
        name="a member that restarted counts in a failover",
        file="redrepl/plans/epochs/soundness.py",
        old="r.is_itself and not r.has_restarted and r.lineage > 0]",
        new="r.is_itself and r.lineage > 0]",
        killer=f"{FAILOVER}::test_without_a_majority_nothing_is_touched",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="the latest stamp counts, not the highest lineage",
        file="redrepl/plans/epochs/failover.py",
        old="    donors = donors_among(fenced)\n",
        new="    donors = list(fenced)\n",
        killer=f"{FAILOVER}::test_a_member_of_an_older_lineage_gives_nothing_to_a_new_primary",
        evidence="diverged",
        quick=True,
    ),
    Mutant(
        name="a new primary takes nothing from the others",
        file="redrepl/plans/epochs/failover.py",
        old="            yield from self._take_from(donor)\n",
        new="            yield from self._report(donor)\n",
        killer=f"{FAILOVER}::test_an_acknowledged_write_survives_whoever_takes_over",
        evidence="assert ",
        quick=True,
    ),
    Mutant(
        name="members serve after a failover without what the primary has",
        file="redrepl/plans/epochs/failover.py",
        old="            yield from self._ship(self._primary, donor, mark)\n",
        new="",
        killer=f"{FAILOVER}::test_an_acknowledged_write_survives_whoever_takes_over",
        evidence="assert ",
    ),
    Mutant(
        name="a former primary keeps what it alone was written",
        file="redrepl/plans/copies/bring_up.py",
        old="            discarded = yield from discard_diverged(view, source, target, steps)\n",
        new="            discarded = 0\n",
        killer=f"{FAILOVER}::test_what_only_the_old_primary_has_is_kept_for_the_operator",
        evidence="assert ",
    ),
    Mutant(
        name="checkpoints count in any epoch",
        file="redrepl/plans/copies/marks.py",
        old="known is None or point.epoch != target.lineage or ",
        new="known is None or ",
        killer=f"{FAILOVER}::test_what_two_former_members_hold_goes_from_both",
        evidence="never acknowledged",
    ),
    Mutant(
        name="a loss is accepted in the next epoch, which others may be using",
        file="redrepl/plans/epochs/accept_loss.py",
        old="SKIPPED_EPOCHS = 100\n",
        new="SKIPPED_EPOCHS = 1\n",
        killer=f"{ACCEPT_LOSS}::test_members_that_failed_over_out_of_sight_follow_the_operators_choice",
        evidence="assert ",
    ),
    Mutant(
        name="a member taken as the truth keeps its lineage",
        file="redrepl/plans/epochs/accept_loss.py",
        old="**active_fields(topology)}",
        new='"state": "active"}',
        killer=f"{ACCEPT_LOSS}::test_a_truth_with_older_data_is_not_passed_over_by_what_was_noted_of_its_old_log",
        evidence="assert ",
    ),
    Mutant(
        name="a member taken as the truth counts as not restarted, with its old log",
        file="redrepl/plans/epochs/accept_loss.py",
        old="    if truth.has_restarted:\n",
        new='    fields["run_id"] = truth.run_id\n    if False:\n',
        killer=f"{ACCEPT_LOSS}::test_a_truth_that_restarted_itself_begins_another_life_of_its_log",
        evidence="previous_incarnation",
    ),
    Mutant(
        name="a primary is put back with what replicas of any era hold",
        file="redrepl/plans/epochs/reinstate.py",
        old="donors_among([*own, *fenced]) if",
        new="[*own, *fenced] if",
        killer=f"{WITNESSES}::test_what_the_cluster_went_on_without_does_not_come_back_with_such_a_replica",
        evidence="assert ",
    ),
    Mutant(
        name="those that a change of members left behind give nothing",
        file="redrepl/plans/epochs/soundness.py",
        old="if report.lineage >= era]",
        new="if report.lineage == lineage]",
        killer=f"{WITNESSES}::test_a_replica_that_a_change_of_members_left_behind_still_gives",
        evidence="assert ",
    ),
    Mutant(
        name="a member that came back empty is taken for a new one",
        file="redrepl/plans/copies/bring_up.py",
        old="order.tolerances, purged_before)\n",
        new="order.tolerances, purged_before, True)\n",
        killer=f"{WITNESSES}::test_whoever_may_have_lost_something_is_no_newcomer",
        evidence="assert ",
    ),
    Mutant(
        name="a new member is passed over without being fenced",
        file="redrepl/plans/epochs/reinstate.py",
        old="for report in (*counted, *newcomers) if",
        new="for report in counted if",
        killer=f"{WITNESSES}::test_a_newcomer_that_began_to_serve_meanwhile_is_not_passed_over",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="a new member stands in for a replica that is away",
        file="redrepl/plans/epochs/reinstate.py",
        old="    if len(counted) < needed:\n",
        new="    if len(counted) + len(newcomers) < needed:\n",
        killer=f"{WITNESSES}::test_a_newcomer_does_not_stand_in_for_a_replica_that_is_away",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="a primary that restarted alone is believed",
        file="redrepl/plans/epochs/reinstate.py",
        old="all(r.has_restarted for r in together) and ",
        new="",
        killer=f"{WITNESSES}::test_two_copies_wait_for_the_replica",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="a change of members begins an epoch that it has not won",
        file="redrepl/plans/epochs/change_members.py",
        old="    return copies - copies // 2 if primary.settled_epoch == old.epoch else majority_of(old)\n",
        new="    return 1\n",
        killer=f"{CHANGES}::test_somebody_who_comes_into_a_change_and_dies",
        evidence="assert ",
        quick=True,
    ),
    Mutant(
        name="a change of members goes on with too few",
        file="redrepl/plans/epochs/change_members.py",
        old="        if 1 + len(moved) < needed:\n",
        new="        if False:\n",
        killer=f"{CHANGES}::test_a_change_that_finds_too_few_is_ended_without_it",
        evidence="Regex pattern did not match",
    ),
    Mutant(
        name="half of the members suffice although others may know other members",
        file="redrepl/plans/epochs/change_members.py",
        old=" if primary.settled_epoch == old.epoch else majority_of(old)\n",
        new="\n",
        killer=f"{CHANGES}::test_a_second_change_waits_until_the_first_is_known",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="members are changed while somebody is at work",
        file="redrepl/plans/epochs/change_members.py",
        old="    if ahead or (newest",
        new="    if False and (newest",
        killer=f"{CHANGES}::test_several_primaries_of_two_changes_the_second_is_refused",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="a change of members has a former primary serve",
        file="redrepl/plans/epochs/change_members.py",
        old="        return report.is_serving and report.epoch == self._old.epoch\n",
        new='        return report.state == "active"\n',
        killer=f"{CHANGES}::test_a_former_primary_that_was_left_behind_is_not_taken_for_one_that_serves",
        evidence="assert ",
    ),
    Mutant(
        name="a failover counts by members that were changed meanwhile",
        file="redrepl/plans/epochs/failover.py",
        old="    check_members_stayed(topology, reports)\n",
        new="",
        killer=f"{CHANGES}::test_a_failover_does_not_go_by_members_that_were_changed_while_it_looked",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="whoever is fenced does not learn among whom it is counted",
        file="redrepl/plans/epochs/failover.py",
        old="change_call(report, layout, fields, topology) for",
        new="change_call(report, layout, fields, None) for",
        killer=f"{CHANGES}::test_whoever_is_fenced_learns_among_whom_it_is_counted",
        evidence="assert ",
    ),
    Mutant(
        name="a member that was moved while it was brought up serves at once",
        file="redrepl/plans/copies/bring_up.py",
        old="    if now.epoch != view.topology.epoch:\n",
        new="    if False:\n",
        killer=f"{CHANGES}::test_one_that_is_moved_while_it_is_brought_up_does_not_begin_to_serve",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="a primary that was fenced in vain takes from members of any era",
        file="redrepl/plans/epochs/reinstate.py",
        old="    own = [] if primary.has_restarted else [primary]\n",
        new="    own: list[NodeReport] = []\n",
        killer=f"{CHANGES}::test_a_witness_of_an_older_era_gives_it_nothing",
        evidence="never acknowledged",
    ),
    Mutant(
        name="an earlier topology replaces a later one",
        file="redrepl/lua/change_member.lua",
        old=" and epoch_of(ARGV[4]) >= epoch_of(redis.call('HGET', KEYS[2], 'topology')) then\n",
        new=" then\n",
        killer="tests/scripts/test_membership.py::test_a_topology_gives_way_to_no_earlier_one",
        evidence="assert ",
    ),
    Mutant(
        name="a primary is put back in an epoch that somebody else moved it to",
        file="redrepl/plans/epochs/reinstate.py",
        old="    _check_not_moved_on(now, topology)\n    fields = ",
        new="    fields = ",
        killer=f"{CHANGES}::test_a_primary_that_somebody_moved_on_is_not_put_back_in_their_epoch",
        evidence="assert ",
    ),
    Mutant(
        name="a failover takes its new primary back from a later one",
        file="redrepl/plans/epochs/failover.py",
        old="        if found.epoch != self._done.epoch:\n",
        new="        if False:\n",
        killer=f"{CHANGES}::test_a_new_primary_that_somebody_moved_on_is_not_taken_back_from_their_epoch",
        evidence="assert ",
    ),
)
