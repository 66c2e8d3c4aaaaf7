"""Bugs in what programs call: writes, batches, transactions, the cache."""

from __future__ import annotations

from tests.faults.planting import ALWAYS, NEVER, REMOVED, Mutant

MUTANTS = (
    Mutant(
        name="a program whose clock jumped writes nothing any more",
        place="Coordinator._run",
        old="is_about_clocks(...)",
        new=NEVER,
        killer="tests/servers/test_clocks.py::"
        "test_after_one_write_that_is_refused_the_clock_is_right",
        evidence="ClockSkew",
    ),
    Mutant(
        name="one damaged entry of a cache costs all that are asked for with it",
        place="ReplicatedCache._decode",
        old="except UndecodableValue as error: ...",
        new="except ZeroDivisionError as error: ...",
        killer="tests/servers/test_cache.py::"
        "test_what_is_no_json_is_a_miss_and_costs_no_other_entry",
        evidence="UndecodableValue",
    ),
    Mutant(
        name="a closed coordinator asks the nodes all the same",
        place="Coordinator._run",
        old="if self._is_closed: ...",
        new=REMOVED,
        killer="tests/servers/test_mistakes.py::test_after_close_every_operation_says_so",
        evidence="is closed",
    ),
    Mutant(
        name="what never arrived is waited for",
        place="Following._look_up",
        old="pursuit.may_still_arrive = not (yield from cut_off(view, order, "
        "pursuit.failures(indexes)))",
        new="yield from cut_off(view, order, pursuit.failures(indexes))",
        killer="tests/servers/test_resets.py::test_what_never_arrived_is_sent_again_or_rejected",
        evidence="WriteNotConfirmed",
    ),
    Mutant(
        name="what a primary turns down goes to all copies every time",
        place="Foundation._order",
        old="home in refused_at",
        new=NEVER,
        killer="tests/servers/test_refusals.py::"
        "test_without_another_primary_what_is_refused_is_rejected_and_stays_without_effect",
        evidence="WriteNotConfirmed",
    ),
    Mutant(
        name="no deadline in the record",
        place="Writes._set",
        old="self._deadline(...)",
        new="NO_DEADLINE",
        killer="tests/servers/test_returning_values.py::"
        "test_a_record_past_its_deadline_reads_as_absent_on_every_copy_at_once",
        evidence="the deadline passes: not met",
    ),
    Mutant(
        name="an operation forgets under which stamps it was tried",
        place="Writes._updated",
        old="tried += (update.stamp, updated.receipt.stamp)",
        new="tried = [update.stamp, updated.receipt.stamp]",
        killer="tests/unit/test_following_epochs.py::"
        "test_of_several_attempts_at_an_operation_the_first_counts_where_it_stands",
        evidence="it is only to be confirmed",
    ),
    Mutant(
        name="what a later attempt is told rejects an operation that may have been carried out",
        place="Writes._updated",
        old="_unsure(pursuit.receipts()[0]) if is_out else pursuit.receipts()[0]",
        new="pursuit.receipts()[0]",
        killer="tests/unit/test_following_epochs.py::"
        "test_what_a_later_attempt_is_told_does_not_reject_an_operation_that_may_have_been_"
        "carried_out",
        evidence="was rejected: nothing was sent",
        quick=True,
    ),
    Mutant(
        name="a later attempt ends with the error that it meets, whatever became of an earlier one",
        place="Writes._updated",
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
        place="Writes._updated",
        old="updated is not None and asked is not None and view is not asked",
        new="updated is not None and asked is None and view is not asked",
        killer="tests/unit/test_following_epochs.py::"
        "test_an_operation_that_may_have_been_carried_out_is_looked_for_with_each_primary_before_"
        "it_is_tried_again",
        evidence="it may have the first attempt",
    ),
    Mutant(
        name="another topology of the same epoch is waited past",
        place="Foundation._has_moved_on",
        old="present == epoch and self._view is not view",
        new=REMOVED,
        killer="tests/unit/test_following_epochs.py::"
        "test_a_write_that_a_replica_was_to_decide_is_looked_for_where_it_is_decided",
        evidence="it may not have the write at all",
    ),
    Mutant(
        name="an operation is repeated however late",
        place="Writes._updated",
        old="is_too_late or not pursuit.is_absent(...)",
        new="not pursuit.is_absent(0)",
        killer="tests/unit/test_purged_without_it.py::"
        "test_an_operation_is_not_repeated_by_a_client_that_slept_before_it_looked_for_it",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="a transaction with an unknown outcome is repeated",
        place="run_transactions",
        old="except TransactionConflict: ...",
        new="except Exception: ...",
        killer="tests/unit/test_transaction.py::"
        "test_an_answer_of_the_primary_that_is_lost_leaves_it_unknown_and_it_is_not_repeated",
        evidence="assert ",
    ),
    Mutant(
        name="a batch goes on after a part that failed",
        place="_Execution.plan",
        old="raise self._with_all_receipts(failure) from failure",
        new="error = self._with_all_receipts(failure)",
        killer="tests/servers/test_batch_and_transaction.py::test_a_batch_with_a_replica_down",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="a write whose answer was lost is not looked for before another epoch",
        place="Following._await_turn",
        old="not pursuit.lost_its_answer()",
        new=ALWAYS,
        killer="tests/servers/test_resets.py::test_what_was_taken_is_committed_when_it_is_found",
        evidence="WriteNotConfirmed",
    ),
    Mutant(
        name="what may still arrive in its own epoch is sent again",
        place="Pursuit._note_absent",
        old="not self.may_still_arrive",
        new=ALWAYS,
        killer="tests/unit/test_lost_answers.py::"
        "test_what_is_not_there_yet_is_looked_for_and_never_sent_again",
        evidence="write",
    ),
    Mutant(
        name="one record of a transaction proves it while another is missing",
        place="Following._find_lost",
        old="not (is_unit and pursuit.not_there)",
        new=ALWAYS,
        killer="tests/unit/test_lost_answers.py::"
        "test_one_record_of_a_transaction_is_no_proof_while_another_is_missing",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="a write of a group that is not confirmed counts as committed",
        place="Writes._settle_group",
        old="_failure_of_one(receipt, order)",
        new="receipt",
        killer="tests/servers/test_asyncio.py::"
        "test_writes_of_one_turn_have_outcomes_of_their_own[asyncio]",
        evidence="Error",
    ),
    Mutant(
        name="a write taken just before the epoch moved counts without being looked up",
        place="Pursuit.take_found",
        old="was_taken and record is not None and record.stamp > receipt.stamp",
        new="was_taken",
        killer="tests/unit/test_following_epochs.py::"
        "test_a_write_lost_between_epochs_stays_unknown",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="a write is sent again after a failover without being looked up",
        place="Pursuit.in_doubt",
        old="view.topology.merged_epoch > self.settled_epoch",
        new=NEVER,
        killer="tests/unit/test_following_epochs.py::"
        "test_where_records_were_merged_meanwhile_the_primary_is_asked_before_a_write_is_sent_"
        "again",
        evidence="assert ",
    ),
)
