"""Bugs in what all plans share."""

from __future__ import annotations

from tests.faults.planting import ALWAYS, NEVER, REMOVED, Mutant

MUTANTS = (
    Mutant(
        name="what never arrived is waited for",
        place="OutcomeResolver._look_up_once",
        old="in_doubt.may_still_arrive = not (yield from cut_off(view, order, reasons))",
        new="yield from cut_off(view, order, reasons)",
        killer="tests/servers/test_resets.py::test_what_never_arrived_is_sent_again_or_rejected",
        evidence="WriteNotConfirmed",
    ),
    Mutant(
        name="what a primary turns down goes to all copies every time",
        place="ClusterState.order",
        old="home in refused_at",
        new=NEVER,
        killer="tests/servers/test_refusals.py::"
        "test_without_another_primary_what_is_refused_is_rejected_and_stays_without_effect",
        evidence="WriteNotConfirmed",
    ),
    Mutant(
        name="all steps of a walk have one deadline",
        place="Steps.step",
        old="self.at = event.at",
        new=REMOVED,
        killer="tests/unit/test_long_walks.py::"
        "test_a_replica_is_walked_that_has_everything_and_more",
        evidence="no answer in time",
    ),
    Mutant(
        name="what is under way on several lanes has one deadline",
        place="Lanes._take",
        old="self._steps.at = event.at",
        new=REMOVED,
        killer="tests/unit/test_long_walks.py::test_an_empty_replica_is_filled",
        evidence="no answer in time",
    ),
    Mutant(
        name="no deadline in the record",
        place="Writer.pending_set",
        old="self._cluster.deadline(...)",
        new="NO_DEADLINE",
        killer="tests/servers/test_returning_values.py::"
        "test_a_record_past_its_deadline_reads_as_absent_on_every_copy_at_once",
        evidence="the deadline passes: not met",
    ),
    Mutant(
        name="an operation forgets under which stamps it was tried",
        place="Updater._updated",
        old="tried += (update.stamp, updated.receipt.stamp)",
        new="tried = [update.stamp, updated.receipt.stamp]",
        killer="tests/unit/test_following_epochs.py::"
        "test_of_several_attempts_at_an_operation_the_first_counts_where_it_stands",
        evidence="it is only to be confirmed",
    ),
    Mutant(
        name="what a later attempt is told rejects an operation that may have been carried out",
        place="Updater._updated",
        old="unsure(in_doubt.receipts()[0]) if is_out else in_doubt.receipts()[0]",
        new="in_doubt.receipts()[0]",
        killer="tests/unit/test_following_epochs.py::"
        "test_what_a_later_attempt_is_told_does_not_reject_an_operation_that_may_have_been_"
        "carried_out",
        evidence="was rejected: nothing was sent",
        quick=True,
    ),
    Mutant(
        name="a later attempt ends with the error that it meets, whatever became of an earlier one",
        place="Updater._updated",
        old="""
            if not is_out:
                raise
        """,
        new="raise",
        killer="tests/unit/test_following_epochs.py::"
        "test_what_a_later_attempt_is_told_does_not_reject_an_operation_that_may_have_been_"
        "carried_out",
        evidence="it had no effect",
    ),
    Mutant(
        name="an operation that may have been carried out is tried with the next primary before "
        "that is asked for it",
        place="Updater._updated",
        old="updated is not None and asked is not None and view is not asked",
        new="updated is not None and asked is None and view is not asked",
        killer="tests/unit/test_following_epochs.py::"
        "test_what_may_have_been_carried_out_is_looked_for_with_each_primary_before_it_is_"
        "repeated",
        evidence="it may have the first attempt",
    ),
    Mutant(
        name="another topology of the same epoch is waited past",
        place="ClusterState.has_moved_on",
        old="present == epoch and self.view is not view",
        new=REMOVED,
        killer="tests/unit/test_following_epochs.py::"
        "test_a_write_that_a_replica_was_to_decide_is_looked_for_where_it_is_decided",
        evidence="it may not have the write at all",
    ),
    Mutant(
        name="an operation is repeated however late",
        place="Updater._updated",
        old="is_too_late or write.fate is not Fate.ABSENT",
        new="write.fate is not Fate.ABSENT",
        killer="tests/unit/test_purged_without_it.py::"
        "test_an_operation_is_not_repeated_by_a_client_that_slept_before_it_looked_for_it",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="an operation that returns the value before it returns without the answer",
        place="Updater._update",
        old="kind.result is Result.VALUE and updated.before is None",
        new=NEVER,
        killer="tests/unit/test_get_and_set.py::"
        "test_a_found_record_without_the_answer_leaves_it_unknown",
        evidence="without it the write is not settled",
    ),
    Mutant(
        name="a batch goes on after a part that failed",
        place="BatchRun.plan",
        old="raise self._with_all_receipts(failure) from failure",
        new="error = self._with_all_receipts(failure)",
        killer="tests/servers/test_batch_and_transaction.py::test_a_batch_with_a_replica_down",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="a write whose answer was lost is not looked for before another epoch",
        place="OutcomeResolver._await_turn",
        old="not in_doubt.lost_its_answer()",
        new=ALWAYS,
        killer="tests/servers/test_resets.py::test_what_was_taken_is_committed_when_it_is_found",
        evidence="WriteNotConfirmed",
    ),
    Mutant(
        name="one record of a transaction proves it while another is missing",
        place="OutcomeResolver.find_lost",
        old="in_doubt.found if in_doubt.is_told(...) else {}",
        new="in_doubt.found",
        killer="tests/unit/test_lost_answers.py::"
        "test_one_record_of_a_transaction_is_no_proof_while_another_is_missing",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="a program goes on with a primary of which it is not known whether it was replaced",
        place="TopologyWatch._note_look",
        old="""
            if told.dispute: ...
            else: ...
        """,
        new="""
            if False: ...
            else: ...
        """,
        killer="tests/unit/test_looking.py::"
        "test_one_member_that_tells_of_another_primary_keeps_a_program_from_the_former_one",
        evidence="Regex pattern did not match",
    ),
    Mutant(
        name="who told of a later epoch is forgotten as soon as it is silent",
        place="TopologyWatch._note_look",
        old="self._dispute is not None and self._dispute.epoch == found.epoch",
        new=NEVER,
        killer="tests/unit/test_looking.py::"
        "test_who_was_heard_to_be_in_a_later_epoch_and_is_silent_now_is_not_forgotten",
        evidence="Regex pattern did not match",
    ),
    Mutant(
        name="while one operation asks who the primary is all others go on with the former one",
        place="TopologyWatch.renew",
        old="now < self.read_at + TOPOLOGY_SECONDS + wait_seconds",
        new=REMOVED,
        killer="tests/unit/test_looking.py::"
        "test_while_one_operation_asks_others_go_on_only_with_what_is_not_too_old_yet",
        evidence="assert ",
    ),
    Mutant(
        name="a look that had no time to hear anybody counts as one",
        place="TopologyWatch._note_look",
        old="""
            if not told.was_cut_short or ... >= started + ...:
                self.read_at = max(..., started)
        """,
        new="self.read_at = max(self.read_at, started)",
        killer="tests/unit/test_looking.py::test_a_look_that_the_deadline_cut_short_told_nothing",
        evidence="assert ",
    ),
    Mutant(
        name="a write of a group that is not confirmed counts as committed",
        place="Writer._settle_group",
        old="_failure_of_one(receipt, order)",
        new="receipt",
        killer="tests/servers/test_asyncio.py::"
        "test_writes_of_one_turn_have_outcomes_of_their_own[asyncio]",
        evidence="Error",
    ),
    Mutant(
        name="one key that is not managed fails its whole group",
        place="Writer.write_group",
        old="return (yield from self._write_one_by_one(...))",
        new="raise",
        killer="tests/simulation/test_write_groups.py::"
        "test_a_group_of_which_one_key_is_not_managed_is_written_one_by_one_with_the_stamps_it_has",
        evidence="Error",
    ),
    Mutant(
        name="an answer reaches a plan that does not want it any more",
        place="side_by_side.side_by_side",
        old="lane.is_afresh",
        new=NEVER,
        killer="tests/unit/test_side_by_side.py::"
        "test_what_one_does_not_want_any_more_reaches_nobody",
        evidence="assert",
    ),
    Mutant(
        name="the end of a rest fails what waits for a connection",
        place="Lanes.rest",
        old="is_deadline=False",
        new="is_deadline=True",
        killer="tests/unit/test_lanes.py::"
        "test_the_end_of_a_rest_is_no_deadline_of_what_waits_for_a_connection",
        evidence="(1, 101.0, True) == (1, 101.0, False)",
    ),
    Mutant(
        name="every write counts as one in doubt",
        place="Writer.write_alone",
        old="self.note(raw, receipt)",
        new="""
            done = Chunk((user_key,), (raw,), (record.stamp,), (b'',), order)
            self._outcomes.facts.resolved(done, (0,), (receipt,))
            self.note(raw, receipt)
        """,
        killer="tests/unit/test_facts.py::test_a_write_that_succeeds_is_no_fact",
        evidence="write_resolved",
    ),
    Mutant(
        name="what became of a write in doubt is not told",
        place="OutcomeResolver.resolve",
        old="self.facts.resolved(...)",
        new=REMOVED,
        killer="tests/unit/test_facts.py::test_a_write_in_another_epoch_is_sent_again",
        evidence="write_resolved",
    ),
    Mutant(
        name="a level that cannot be met any more hides an operation in doubt",
        place="OutcomeResolver.look_up",
        old="break",
        new="raise",
        killer="tests/unit/test_following_epochs.py::"
        "test_a_level_that_cannot_be_met_any_more_does_not_hide_what_may_have_been_carried_out",
        evidence="RequestError",
        quick=True,
    ),
)
