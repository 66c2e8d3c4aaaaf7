"""Bugs in reads."""

from __future__ import annotations

from tests.faults.planting import ALWAYS, NEVER, REMOVED, Mutant

MUTANTS = (
    Mutant(
        name="a program whose clock jumped back reads nothing confirmed any more",
        place="Reader._read_in_time",
        old="yield from self._cluster.set_clock(...)",
        new=REMOVED,
        killer="tests/servers/test_clocks.py::"
        "test_a_confirmed_read_takes_no_notice_of_a_clock_that_jumped_back",
        evidence="gives no answer: its clock shows",
    ),
    Mutant(
        name="whatever a server lists is copied",
        place="parse_page",
        old="name.startswith(...)",
        new=REMOVED,
        killer="tests/unit/test_lying_nodes.py::test_a_walk_copies_users_keys_alone",
        evidence="AssertionError",
    ),
    Mutant(
        name="copies that are no members say nothing about the epoch",
        place="_ConfirmedRead._take_refusal",
        old="self._has_left |= not refused.epoch",
        new=REMOVED,
        killer="tests/unit/test_read_confirmed.py::test_copies_that_are_no_members_may_have_left",
        evidence="Unavailable: the read of 1 key(s) cannot be confirmed",
    ),
    Mutant(
        name="a read answers absent what the primary lost",
        place="mending._lost",
        old="stamp and _is_live(...)",
        new=NEVER,
        killer="tests/servers/test_clock_steps.py::"
        "test_what_a_primary_dropped_unseen_is_mended_by_a_quorum_read",
        evidence="AssertionError",
    ),
    Mutant(
        name="a confirmed read does not say that it asks the primary",
        place="_ConfirmedRead._read_call",
        old="self.view.read_call(names, WHERE_DECIDED, self.now_micros)",
        new="self.view.read_call(names, now_micros=self.now_micros)",
        killer="tests/unit/test_read_confirmed.py::test_home_answers_only_where_it_decides",
        evidence="b'decided'",
    ),
    Mutant(
        name="a copy that has purged a tombstone does not confirm it",
        place="_ConfirmedRead._reads_alike",
        old="is_needless or isinstance(verdict, (Restamped, HasLater))",
        new="isinstance(verdict, (Restamped, HasLater))",
        killer="tests/unit/test_purged_without_it.py::"
        "test_a_delete_is_read_where_only_the_primary_has_not_purged_it_yet",
        evidence="Unavailable",
    ),
    Mutant(
        name="replicas answer a session with its past",
        place="read_one",
        old="at_least is NO_STAMP or node == view.decider or stamp_of(...) >= at_least",
        new=ALWAYS,
        killer="tests/servers/test_reads.py::"
        "test_a_session_reads_its_own_writes_while_replicas_lag",
        evidence="b'old'",
    ),
    Mutant(
        name="a copy between epochs is given up",
        place="NotAdmitted.is_behind",
        old="self.state == _ACTIVE and int(self.epoch) < int(epoch)",
        new=NEVER,
        killer="tests/unit/test_write_one.py::"
        "test_a_copy_that_comes_to_the_epoch_a_moment_later_is_sent_the_record_again",
        evidence="assert not True",
    ),
    Mutant(
        name="what a dead replica was asked for is asked for nowhere else",
        place="_DividedRead._ask_elsewhere",
        old="index not in self._found and left",
        new=NEVER,
        killer="tests/servers/test_batch_and_transaction.py::"
        "test_what_a_dead_replica_was_asked_for_comes_from_elsewhere[replica-kill]",
        evidence="Unavailable",
    ),
    Mutant(
        name="replicas answer a session with its past among many keys",
        place="_DividedRead._take_records",
        old="node == view.decider or stamp_of(...) >= self._at_least[index]",
        new=ALWAYS,
        killer="tests/servers/test_batch_and_transaction.py::"
        "test_a_session_never_reads_its_past_among_many_keys",
        evidence="b'new'",
    ),
    Mutant(
        name="a former primary answers those who only read",
        place="read_decider",
        old="guard != view.serving",
        new=NEVER,
        killer="tests/unit/test_read_one.py::test_what_a_former_primary_holds_is_no_answer",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="copies that do not serve answer reads",
        place="Refusals.reason",
        old="guard == view.serving",
        new=ALWAYS,
        killer="tests/unit/test_read_one.py::test_a_copy_that_does_not_serve_is_passed_over",
        evidence="assert ['b'] == ['c']",
    ),
    Mutant(
        name="programs that only read never look for another topology",
        place="Reader.get",
        old="now >= self._watch.read_at + TOPOLOGY_SECONDS",
        new=NEVER,
        killer="tests/servers/test_readers_follow.py::"
        "test_a_former_primary_that_is_cut_off_from_all_but_the_reader_is_left_in_the_end",
        evidence="the reader has followed",
    ),
    Mutant(
        name="other copies' word that the epoch moved is not heard",
        place="_ConfirmedRead._take_refusal",
        old="self._moved = not_admitted_error(...)",
        new=REMOVED,
        killer="tests/unit/test_read_confirmed.py::"
        "test_that_other_copies_are_in_a_later_epoch_is_told_before_the_deciding_node_answers",
        evidence="Unavailable",
    ),
    Mutant(
        name="who lists keys does not follow to another primary",
        place="Reader.keys_page",
        old="self.reading_at_one(order, page)",
        new="page(self._cluster.view, order)",
        killer="tests/servers/test_readers_follow.py::test_every_reading_call_of_asyncio_follows",
        evidence="in _walk_keys",
    ),
)
