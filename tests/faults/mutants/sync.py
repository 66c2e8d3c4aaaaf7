"""Bugs in copying: catch-up, walks, sweeps, verify."""

from __future__ import annotations

from tests.faults.planting import NEVER, REMOVED, Mutant

MUTANTS = (
    Mutant(
        name="what a replica counts is noted on its source",
        place="_end_of",
        old="min(after.entries + len(entries), most)",
        new="after.entries + len(entries)",
        killer="tests/unit/test_lost_logs.py::"
        "test_what_a_replica_counts_is_not_what_its_source_counts",
        evidence="assert ",
    ),
    Mutant(
        name="whatever a log names is copied",
        place="catch_up._newest_stamps",
        old="name.startswith(...) and is_possible(stamp)",
        new="is_possible(stamp)",
        killer="tests/unit/test_lying_nodes.py::test_a_failover_copies_users_keys_alone",
        evidence="AssertionError",
    ),
    Mutant(
        name="a stamp of next year on a replica waits for next year",
        place="undecided._may_be_under_way",
        old="oldest_open <= stamp_in(header).micros <= newest_open",
        new="oldest_open <= stamp_in(header).micros",
        killer="tests/unit/test_lying_nodes.py::"
        "test_a_stamp_that_no_client_can_have_had_is_replaced_at_once",
        evidence="AssertionError",
    ),
    Mutant(
        name="what a replica's clock hides is passed over",
        place="undecided._judge",
        old="b'' in on_replica",
        new=NEVER,
        killer="tests/unit/test_stepped_since.py::"
        "test_what_a_replica_may_only_be_hiding_is_not_passed_over",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="a walk is resumed with another run of its source",
        place="resumable",
        old="(walk.incarnation, walk.source_run) != (source.incarnation, source.run_id)",
        new="walk.incarnation != source.incarnation",
        killer="tests/unit/test_walks.py::"
        "test_another_run_of_the_source_is_walked_from_the_beginning",
        evidence="assert ",
    ),
    Mutant(
        name="a walk is resumed although the log was cut behind it",
        place="resumable",
        old="id_order(source.log_floor) <= walk.began.order <= source.log_end.order",
        new="walk.began.order <= source.log_end.order",
        killer="tests/unit/test_walks.py::"
        "test_a_log_that_takes_too_many_bytes_is_cut_and_the_walk_says_so",
        evidence="assert ",
    ),
    Mutant(
        name="the mark after a walk stands where the log ends",
        place="_Walking._end",
        old="Mark(...)",
        new="Mark(self._source.incarnation, self._source.log.end)",
        killer="tests/unit/test_walks.py::test_what_is_changed_and_deleted_behind_a_walk_arrives",
        evidence="assert ",
    ),
    Mutant(
        name="a walk passes over undecided records when its time is over",
        place="_Walking._note",
        old="""
            if not self._young:
                yield from self._write(...)
        """,
        new="yield from self._write(self._walk.encode())",
        killer="tests/unit/test_walks.py::"
        "test_undecided_records_are_not_passed_over_when_time_is_over",
        evidence="assert ",
    ),
    Mutant(
        name="a note of a walk does not say how far it is",
        place="full_sync.full_sync",
        old="None if order.anew else resumable(...)",
        new="None",
        killer="tests/unit/test_walks.py::test_after_a_worker_that_died_little_is_read_again",
        evidence="assert ",
    ),
    Mutant(
        name="the mark moves before the data",
        place="_Shipping._store",
        old="yield from self._copier.send(page.stamps, Mark(self._start.incarnation, "
        "self._position))",
        new="""
            yield from self._copier.absorb((), (), Mark(self._start.incarnation, self._position))
            yield from self._confirming.follow(self._copier.stored)
            yield from self._confirming.settle()
            yield from self._copier.send(page.stamps, None)
        """,
        killer="tests/servers/test_queue_loss.py::"
        "test_a_worker_that_dies_before_it_copied_has_moved_no_mark",
        evidence="differ in 100 keys",
        quick=True,
    ),
    Mutant(
        name="undecided records are removed at once",
        place="undecided._may_be_under_way",
        old="now_micros - max_age_micros(...)",
        new="now_micros",
        killer="tests/servers/test_client_killed.py::"
        "test_an_undecided_write_is_not_taken_back_before_the_primary_refuses_it",
        evidence=".stored",
    ),
    Mutant(
        name="a key that is gone at the source is not shipped",
        place="Copier._sort_out",
        old="Stamp.parse(...)",
        new="Stamp(0, 0)",
        killer="tests/servers/test_returning_values.py::"
        "test_a_key_that_expired_for_good_while_the_replica_was_away_stays_away[with_its_data]",
        evidence="not in",
    ),
    Mutant(
        name="a full sync leaves what is too much",
        place="_Walking.carry_out",
        old="self._view.decider is not None",
        new=NEVER,
        killer="tests/servers/test_verify.py::test_sync_brings_back_exactly_what_the_primary_has",
        evidence="surplus",
    ),
    Mutant(
        name="a repair leaves what the primary decided to the next catch-up",
        place="copies.verify.verify",
        old="if walk.decided: ...",
        new="if walk.decided and not repair: ...",
        killer="tests/servers/test_verify.py::test_repair_makes_the_copies_equal",
        evidence="b'extra'",
    ),
    Mutant(
        name="tombstones are purged before every member has confirmed them",
        place="_Part.__init__",
        old="may_purge(...)",
        new="True",
        killer="tests/unit/test_anti_entropy.py::"
        "test_no_tombstone_goes_before_every_member_has_confirmed_it",
        evidence="assert (1, 0) == (0, 1)",
    ),
    Mutant(
        name="tombstones are purged that were decided after the sweep began",
        place="_Part._purge",
        old="stamp.micros < before",
        new=REMOVED,
        killer="tests/unit/test_anti_entropy.py::"
        "test_what_was_decided_after_the_sweep_began_waits_for_the_next",
        evidence="assert ",
    ),
    Mutant(
        name="a sweep goes on from what a wrong clock noted",
        place="_go_on",
        old="_is_of_the_future(...)",
        new=REMOVED,
        killer="tests/unit/test_anti_entropy.py::"
        "test_a_sweep_that_a_wrong_clock_began_or_went_on_with_begins_anew",
        evidence="assert ",
    ),
    Mutant(
        name="what a node dropped by its clock is shipped as deleted",
        place="Copier._sort_out",
        old="self.skips_gone",
        new=REMOVED,
        killer="tests/unit/test_clocks.py::"
        "test_a_node_that_dropped_records_brings_nobody_tombstones",
        evidence="assert Record(",
    ),
    Mutant(
        name="a failover takes what was deleted and purged from an old log",
        place="Copier._absorb_call",
        old="b'' if self.merges else sent.seen",
        new="sent.seen or limits.MAX_MICROS",
        killer="tests/unit/test_anti_entropy.py::"
        "test_what_a_primary_took_last_is_taken_along_beside_what_was_purged_without_it",
        evidence="AssertionError",
    ),
    Mutant(
        name="a log that begins with a walk is taken for a whole one",
        place="marks._is_whole",
        old="not (source.log_gap and target.may_be_outdated)",
        new=REMOVED,
        killer="tests/unit/test_purged_without_it.py::"
        "test_an_old_primary_follows_members_that_were_filled_after_the_purge",
        evidence="assert ",
    ),
    Mutant(
        name="checkpoints count in any epoch",
        place="_has_reached",
        old="point.epoch != target.lineage",
        new=REMOVED,
        killer="tests/unit/test_failover.py::test_what_two_former_members_hold_goes_from_both",
        evidence="never acknowledged",
    ),
    Mutant(
        name="of a log of which no mark counts nothing is looked through",
        place="oldest_mark",
        old="source.log_floor",
        new="source.log_end.id",
        killer="tests/unit/test_lost_logs.py::"
        "test_what_is_left_of_a_log_is_looked_through_where_no_mark_counts",
        evidence="assert b'alone' not in",
    ),
    Mutant(
        name="a log that replaced a lost one counts as complete since its beginning",
        place="starting_mark",
        old="not _shows_loss(...)",
        new=REMOVED,
        killer="tests/unit/test_positions.py::"
        "test_a_log_of_which_the_target_had_more_is_not_complete",
        evidence="is None",
    ),
    Mutant(
        name="a place in a log that replaced a lost one reaches a checkpoint of that",
        place="_is_at_least",
        old="reached.entries >= wanted.entries",
        new=REMOVED,
        killer="tests/unit/test_positions.py::"
        "test_a_later_place_that_counts_fewer_entries_reaches_no_checkpoint",
        evidence="assert Mark",
    ),
    Mutant(
        name="what is left of a lost log stands for what it named before",
        place="mark_of_remains",
        old="None if mark is None else Mark(f'{mark.incarnation}-remains', mark.position)",
        new="mark",
        killer="tests/unit/test_lost_logs.py::"
        "test_what_is_left_of_a_lost_log_stands_for_nothing_that_it_named_before[30]",
        evidence="assert None ==",
    ),
    Mutant(
        name="a change of epoch waits for memory",
        place="Copier._absorb_call",
        old="'absorb' if names and self.where == ON_ACTIVE else 'absorb_oom'",
        new="'absorb'",
        killer="tests/servers/test_full_memory.py::test_the_role_moves_although_others_are_full",
        evidence="assert ['b'] == ['b', 'c']",
    ),
    Mutant(
        name="a walk goes on beyond what was forgotten",
        place="Copier.settle",
        old="stored.entry_id",
        new=REMOVED,
        killer="tests/unit/test_forgetting.py::"
        "test_a_member_that_is_set_back_while_it_is_walked_does_not_serve_without_what_it_lost",
        evidence="Regex pattern did not match",
    ),
    Mutant(
        name="the primary does not count its own log where a copy that forgot was filled from it",
        place="_has_reached",
        old="point.primary == target.node and not target.has_restarted",
        new=NEVER,
        killer="tests/unit/test_forgetting.py::"
        "test_the_primary_goes_on_where_the_log_of_a_copy_that_forgot_ended_when_it_was_"
        "filled[was cut too]",
        evidence="may have been cut",
    ),
    Mutant(
        name="a primary that restarted counts its own log as whole",
        place="_has_reached",
        old="not target.has_restarted",
        new=REMOVED,
        killer="tests/unit/test_long_walks.py::"
        "test_a_primary_that_restarted_takes_all_that_its_replicas_have",
        evidence="assert ",
    ),
    Mutant(
        name="the primary's mark stays behind a checkpoint from which it goes on",
        place="_LogCheck.note_start",
        old="self._primary.marks.get(...) != self._start",
        new=NEVER,
        killer="tests/unit/test_bring_up.py::"
        "test_the_primary_is_done_with_the_log_of_a_copy_that_two_jobs_filled",
        evidence="assert ['a'] == []",
    ),
    Mutant(
        name="a primary whose clock stepped since the look decides what it dropped as deleted",
        place="read_clock",
        old="looked_at.has_stepped_ahead(...)",
        new=NEVER,
        killer="tests/unit/test_stepped_since.py::"
        "test_what_the_primary_may_have_dropped_is_not_decided_as_deleted",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="what a source dropped since the look is copied as deleted",
        place="Copier._check_clock",
        old="self._found.has_stepped_ahead(...)",
        new=NEVER,
        killer="tests/unit/test_stepped_since.py::"
        "test_what_the_source_may_have_dropped_is_not_copied_as_deleted",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="a walk does not yield to clients that write",
        place="Brake.after",
        old="rest > 0",
        new="rest > 0 and self._keys_per_second > 0",
        killer="tests/unit/test_walks.py::"
        "test_a_walk_that_fills_a_node_rests_after_each_page_while_clients_write",
        evidence="assert 0 >= ",
    ),
    Mutant(
        name="beside writes a walk works for longer than it rests",
        place="Brake.after",
        old="1 / self.share - 1",
        new="self.share",
        killer="tests/unit/test_walks.py::"
        "test_beside_writes_a_walk_works_for_a_quarter_of_the_time",
        evidence="assert ",
    ),
    Mutant(
        name="a walk does not see that its source is busy",
        place="Brake._probe",
        old="took > max(SLOW_SECONDS, SLOW_FACTOR * self._best_seconds)",
        new=NEVER,
        killer="tests/unit/test_walks.py::"
        "test_a_walk_rests_longer_while_its_source_takes_long_for_little_and_goes_on_all_the_"
        "same",
        evidence="a fifth of the time",
    ),
    Mutant(
        name="a walk rests where nobody writes",
        place="Brake.note_writes",
        old="self._is_busy = (added - before) / (self._steps.at - at) >= FEW_WRITES_PER_SECOND",
        new=REMOVED,
        killer="tests/unit/test_walks.py::test_without_writes_a_walk_does_not_rest",
        evidence="assert ",
    ),
    Mutant(
        name="verify keeps the names of all keys",
        place="_Lately.without",
        old="len(self._last) >= REMEMBERED_NAMES",
        new=NEVER,
        killer="tests/unit/test_long_walks.py::"
        "test_what_goes_over_all_keys_holds_few_of_their_names",
        evidence="<= 100",
    ),
    Mutant(
        name="a walk keeps the names of all that it copied",
        place="Copier._remember",
        old="len(self._sent) >= REMEMBERED_NAMES",
        new=NEVER,
        killer="tests/unit/test_long_walks.py::"
        "test_what_goes_over_all_keys_holds_few_of_their_names",
        evidence="<= 100",
    ),
)
