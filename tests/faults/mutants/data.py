"""Bugs in writes and transactions."""

from __future__ import annotations

from tests.faults.planting import ALWAYS, NEVER, REMOVED, Mutant

MUTANTS = (
    Mutant(
        name="a refusal for clocks that reached nobody else counts as unknown",
        place="verdict_error",
        old="order.reach_others",
        new=ALWAYS,
        killer="tests/unit/test_update_one.py::"
        "test_an_update_that_was_turned_down_cannot_take_effect_later",
        evidence="it had no effect",
    ),
    Mutant(
        name="a lost connection is taken for ended",
        place="cut_off.cut_off",
        old="ask_decider(view, order.home, command, order.started, order.until)",
        new="ask_decider(view, order.home, PlainCommand((b'CLIENT', b'ID')), order.started, "
        "order.until)",
        killer="tests/servers/test_resets.py::"
        "test_what_comes_late_on_a_lost_connection_is_not_carried_out_beside_what_was_sent_again",
        evidence="b'3' == b'2'",
    ),
    Mutant(
        name="a batch that a primary turns down goes to all copies every time",
        place="BatchRequest.opening",
        old="order.home_first",
        new=REMOVED,
        killer="tests/servers/test_refusals.py::"
        "test_without_another_primary_what_is_refused_is_rejected_and_stays_without_effect",
        evidence="WriteNotConfirmed",
    ),
    Mutant(
        name="acknowledged by the primary alone",
        place="receipt_of",
        old="len(acked) >= order.required",
        new=REMOVED,
        killer="tests/servers/test_all_level.py::"
        "test_all_without_a_replica_is_unknown_and_says_who_lacks_it[kill]",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="a transaction is committed key by key",
        place="_as_unit",
        old="len(holders - {order.home}) >= order.required",
        new="all(receipt.outcome is Outcome.COMMITTED for receipt in receipts.values())",
        killer="tests/unit/test_transaction.py::"
        "test_copies_that_hold_a_part_each_do_not_make_it_committed",
        evidence="assert {",
    ),
    Mutant(
        name="a batch takes a key twice in one call",
        place="batch_builder.parts",
        old="way is Way.WRITE and operation.key in keys",
        new=NEVER,
        killer="tests/unit/test_batch_builder.py::"
        "test_operations_on_one_key_take_effect_in_the_order_given",
        evidence="assert ",
    ),
    Mutant(
        name="a look around outlasts what it was for",
        place="watching",
        old="if unanswered: ...",
        new="if False: ...",
        killer="tests/unit/test_update_one.py::"
        "test_what_was_asked_meanwhile_is_over_when_the_deciding_node_has_answered",
        evidence="Ask(",
    ),
    Mutant(
        name="decided records leave while answers to another question are wanted",
        place="replication.replicate",
        old="Ask(wait.requests, wait.until)",
        new="wait",
        killer="tests/unit/test_write_one.py::"
        "test_where_the_primary_is_asked_first_no_answer_to_a_look_confirms_the_write",
        evidence="assert (False, ",
    ),
    Mutant(
        name="an update leaves for the others while answers to another question are wanted",
        place="replicate_decided",
        old="Ask(requests, order.until)",
        new="Wait(order.until, requests)",
        killer="tests/unit/test_update_one.py::"
        "test_however_far_the_deciding_node_is_nobody_takes_an_answer_to_another_question",
        evidence="assert (False, ",
    ),
    Mutant(
        name="an update that went the short way is sent again with what stopped it",
        place="replicate_decided",
        old="asked.mark_sent()",
        new="asked.replicate()",
        killer="tests/property/test_write_plans.py::"
        "test_decided_records_end_as_they_do_without_the_short_way",
        evidence="assert ",
    ),
    Mutant(
        name="what may still arrive in its own epoch is sent again",
        place="InDoubtWrites._miss",
        old="not self.may_still_arrive",
        new=ALWAYS,
        killer="tests/unit/test_lost_answers.py::"
        "test_what_is_not_there_yet_is_looked_for_and_never_sent_again",
        evidence="write",
    ),
    Mutant(
        name="a write taken just before the epoch moved counts without being looked up",
        place="InDoubtWrites._finding",
        old="record is not None and record.stamp > decided",
        new=ALWAYS,
        killer="tests/unit/test_following_epochs.py::"
        "test_a_write_lost_between_epochs_stays_unknown",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="a write is sent again after a failover without being looked up",
        place="InDoubtWrites.to_look_up",
        old="view.topology.merged_epoch > self.settled_epoch",
        new=NEVER,
        killer="tests/unit/test_following_epochs.py::"
        "test_where_records_were_merged_the_primary_is_asked_before_a_write_is_sent_again",
        evidence="assert ",
    ),
    Mutant(
        name="what another copy took is rejected",
        place="_SingleWrite._refused",
        old="not self.replication.is_nowhere()",
        new=NEVER,
        killer="tests/unit/test_write_one.py::test_unknown_where_another_copy_took_it",
        evidence="Outcome.REJECTED",
    ),
    Mutant(
        name="a refusal is as unknown as a lost connection",
        place="_SingleWrite._receive_from_primary",
        old="not is_refusal(...)",
        new=ALWAYS,
        killer="tests/servers/test_refusals.py::"
        "test_what_every_copy_refuses_is_rejected_at_once_in_the_servers_words",
        evidence="WriteNotConfirmed",
    ),
    Mutant(
        name="a write that a copy's clock turned down is not sent there as decided",
        place="Round.acknowledge",
        old="self.states[copy] = CopyState.EARLY",
        new=REMOVED,
        killer="tests/unit/test_write_one.py::"
        "test_what_the_primary_took_goes_once_more_to_a_copy_whose_clock_turned_it_down",
        evidence="assert ",
    ),
    Mutant(
        name="a copy that refuses one key of a batch confirms it",
        place="AcknowledgementTracker.holders",
        old="[copy for copy, lacking in self._lacking.items() if record not in lacking]",
        new="list(self._lacking)",
        killer="tests/unit/test_write_many.py::"
        "test_an_item_that_a_copy_lacks_waits_for_another_copy",
        evidence="assert not True",
    ),
    Mutant(
        name="what a copy said of the proposed record confirms the restamped one",
        place="_is_later",
        old="verdict.stamp >= stamp",
        new=REMOVED,
        killer="tests/unit/test_write_one.py::"
        "test_a_copy_that_has_what_the_primary_had_does_not_confirm_its_restamp",
        evidence="assert not True",
    ),
    Mutant(
        name="copies get what the primary turned down in part",
        place="BatchRequest._decide",
        old="resends_early=not self._refused",
        new=REMOVED,
        killer="tests/unit/test_write_many.py::"
        "test_what_the_primary_turned_down_in_part_goes_to_no_copy_again",
        evidence="assert ",
    ),
    Mutant(
        name="a copy that refuses one key of a batch is said to be silent",
        place="BatchRequest._receipt",
        old="asked.refusals(number)",
        new="asked.failures()",
        killer="tests/unit/test_write_many.py::"
        "test_a_copy_that_refuses_one_key_says_why_and_is_not_waited_for",
        evidence="assert ",
    ),
)
