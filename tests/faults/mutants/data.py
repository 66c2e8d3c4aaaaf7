"""Bugs in writes and transactions."""

from __future__ import annotations

from tests.faults.planting import ALWAYS, NEVER, REMOVED, Mutant

MUTANTS = (
    Mutant(
        name="a refusal for clocks that reached nobody else counts as unknown",
        place="verdict_error",
        old="Outcome.UNKNOWN if order.reach_others else Outcome.REJECTED",
        new="Outcome.UNKNOWN",
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
        place="BatchRequest.__init__",
        old="not self.order.home_first",
        new=REMOVED,
        killer="tests/servers/test_refusals.py::"
        "test_without_another_primary_what_is_refused_is_rejected_and_stays_without_effect",
        evidence="WriteNotConfirmed",
    ),
    Mutant(
        name="acknowledged by the primary alone",
        place="write.receipt",
        old="len(acked) >= order.required",
        new=REMOVED,
        killer="tests/servers/test_all_level.py::"
        "test_all_without_a_replica_is_unknown_and_says_who_lacks_it[kill]",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="a copy between epochs is given up",
        place="is_behind",
        old="content[0] == b'refused' and content[2] == b'active' and int(content[1]) < int(epoch)",
        new=NEVER,
        killer="tests/unit/test_write_one.py::"
        "test_a_copy_that_comes_to_the_epoch_a_moment_later_is_sent_the_record_again",
        evidence="assert not True",
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
        old="kind is Kind.WRITE and operation.key in keys",
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
        evidence="fresh=True",
    ),
    Mutant(
        name="decided records leave while answers to another question are wanted",
        place="_spread_out",
        old="is_fresh = True",
        new="is_fresh = False",
        killer="tests/unit/test_update_one.py::"
        "test_however_far_the_deciding_node_is_nobody_takes_an_answer_to_another_question",
        evidence="assert (False, ",
    ),
    Mutant(
        name="what another copy took is rejected",
        place="_Spread.refused",
        old="order.reach_others and not (self._untouched - self._may_have_it).issuperset(...)",
        new=NEVER,
        killer="tests/unit/test_write_one.py::test_unknown_where_another_copy_took_it",
        evidence="Outcome.REJECTED",
    ),
    Mutant(
        name="a refusal is as unknown as a lost connection",
        place="_Spread.take_refusal",
        old="not is_refusal(...) or self._round != FIRST_ROUND",
        new=ALWAYS,
        killer="tests/servers/test_refusals.py::"
        "test_what_every_copy_refuses_is_rejected_at_once_in_the_servers_words",
        evidence="WriteNotConfirmed",
    ),
    Mutant(
        name="a write that a copy's clock turned down is not sent there as decided",
        place="_Spread.take_answer",
        old="self._too_early.add(...)",
        new=REMOVED,
        killer="tests/unit/test_write_one.py::"
        "test_what_the_primary_took_goes_once_more_to_a_copy_whose_clock_turned_it_down",
        evidence="assert ",
    ),
    Mutant(
        name="copies get what the primary turned down in part",
        place="BatchRequest._send_as_decided",
        old="self.refused",
        new=REMOVED,
        killer="tests/unit/test_write_many.py::"
        "test_what_the_primary_turned_down_in_part_goes_to_no_copy_again",
        evidence="assert ",
    ),
)
