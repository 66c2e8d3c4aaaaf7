"""Bugs in changes of members and what a member notes of them."""

from __future__ import annotations

from tests.faults.planting import ALWAYS, NEVER, REMOVED, Mutant

MUTANTS = (
    Mutant(
        name="of several primaries one loses its bookkeeping and gets no place",
        place="why_not_dropped",
        old="why_not_replaced(...)",
        new="None",
        killer="tests/servers/test_bookkeeping_overwritten.py::"
        "test_where_too_few_others_are_there_it_is_left_and_an_operator_told",
        evidence="nothing was touched",
    ),
    Mutant(
        name="an operator's command drops bookkeeping before it is known to help",
        place="_drop_unreadable",
        old="check_majority(...)",
        new=REMOVED,
        killer="tests/servers/test_bookkeeping_overwritten.py::"
        "test_where_too_few_others_are_there_it_is_left_and_an_operator_told",
        evidence="nothing was touched",
    ),
    Mutant(
        name="an operator is told to empty a member that a wrong address leads to",
        place="ways_with_another",
        old="report.has_restarted",
        new=REMOVED,
        killer="tests/servers/test_identity.py::"
        "test_a_member_at_a_wrong_address_is_not_to_be_emptied",
        evidence="correct its address",
    ),
    Mutant(
        name="a change of members that failed is said to have changed nothing",
        place="outcome_of_change",
        old="_places(found) == _places(...)",
        new="not found.ids",
        killer="tests/unit/test_changed.py::"
        "test_the_members_were_changed_and_the_new_one_is_not_ready",
        evidence="the members were changed all the same",
    ),
    Mutant(
        name="a node whose clock is off goes on serving",
        place="set_aside",
        old="MemberState.SYNCING",
        new="MemberState.ACTIVE",
        killer="tests/unit/test_clocks.py::"
        "test_a_replica_whose_clock_is_off_serves_nothing_until_it_was_walked",
        evidence="'syncing'",
    ),
    Mutant(
        name="a member that came back empty is taken for a new one",
        place="_Change._bring_in",
        old="self._what.replaced is None",
        new=ALWAYS,
        killer="tests/unit/test_witnesses.py::test_whoever_may_have_lost_something_is_no_newcomer",
        evidence="assert ",
    ),
    Mutant(
        name="a change of members begins an epoch that it has not won",
        place="members_to_move",
        old="copies - copies // 2 if primary.settled_epoch == old.epoch else majority_of(...)",
        new="1",
        killer="tests/unit/test_change_members.py::test_somebody_who_comes_into_a_change_and_dies",
        evidence="assert ",
        quick=True,
    ),
    Mutant(
        name="a change of members goes on with too few",
        place="_Change._win",
        old="count < needed",
        new=NEVER,
        killer="tests/unit/test_change_members.py::"
        "test_a_change_that_finds_too_few_is_ended_without_it",
        evidence="Regex pattern did not match",
    ),
    Mutant(
        name="half of the members suffice although others may know other members",
        place="members_to_move",
        old="copies - copies // 2 if primary.settled_epoch == old.epoch else majority_of(...)",
        new="copies - copies // 2",
        killer="tests/unit/test_change_members.py::"
        "test_a_second_change_waits_until_the_first_is_known",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="members are changed while somebody is at work",
        place="_check_no_change_under_way",
        old="ahead or (newest is not None and newest.epoch > old.epoch)",
        new="False and (newest is not None and newest.epoch > old.epoch)",
        killer="tests/unit/test_change_members.py::"
        "test_several_primaries_of_two_changes_the_second_is_refused",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="a change of members has a former primary serve",
        place="_Change._serves",
        old="report.is_serving and report.epoch == self._old.epoch",
        new="report.state.serves",
        killer="tests/unit/test_change_members.py::"
        "test_a_former_primary_that_was_left_behind_is_not_taken_for_one_that_serves",
        evidence="assert ",
    ),
    Mutant(
        name="marks of a lost log count in the next one",
        place="new_log_fields",
        old="{**fields, 'previous_end': LOG_START, 'log_floor': floor}",
        new="{**fields, 'previous_end': LOG_START}",
        killer="tests/unit/test_lost_logs.py::test_a_log_that_replaced_a_lost_one_is_not_complete",
        evidence="assert ",
    ),
    Mutant(
        name="a slow worker's note of a walk counts for the next time that a member forgot",
        place="forgotten_fields",
        old="f'{FORGOT} {report.now_millis}'",
        new="FORGOT",
        killer="tests/unit/test_forgetting.py::"
        "test_a_walk_that_filled_a_member_counts_for_nothing_the_next_time",
        evidence="so it was 1 times before",
    ),
    Mutant(
        name="what others had read of a log that went back still counts",
        place="new_log_fields",
        old="LOG_START if report.has_forgotten else report.log.last_id",
        new="report.log.last_id",
        killer="tests/unit/test_forgetting.py::"
        "test_marks_of_a_log_that_went_back_count_for_nothing_whatever_its_ids",
        evidence="assert ",
    ),
    Mutant(
        name="a slow worker's note of a walk counts for the next time that a clock was off",
        place="trusted_fields",
        old="{**clock_field(...), 'clock_checked': str(report.latest_millis)}",
        new="clock_field('')",
        killer="tests/unit/test_forgetting.py::"
        "test_a_walk_that_filled_a_member_counts_for_nothing_the_next_time",
        evidence="so it was 1 times before",
    ),
    Mutant(
        name="the server that is replaced counts among those that come along",
        place="_check_enough",
        old="node != what.replaced",
        new=REMOVED,
        killer="tests/unit/test_replacing.py::test_the_server_that_is_replaced_is_not_counted",
        evidence="2 of the present 3 must be there",
    ),
    Mutant(
        name="one server by two names is two copies",
        place="fitness.unfit_servers",
        old="other != node",
        new=NEVER,
        killer="tests/servers/test_init.py::"
        "test_servers_that_cannot_be_nodes_are_refused_and_named_and_nothing_is_written",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="a node that does not serve is said to be slow",
        place="why_not_ready",
        old="not node.is_serving",
        new=NEVER,
        killer="tests/unit/test_changed.py::"
        "test_why_a_node_that_was_brought_up_again_and_again_cannot_become_the_primary",
        evidence="assert ",
    ),
    Mutant(
        name="a change of members drops bookkeeping after one look",
        place="_drop_unreadable",
        old="not found.stands_in(...)",
        new=NEVER,
        killer="tests/unit/test_late_answers.py::"
        "test_one_that_was_empty_and_is_filled_by_another_worker_keeps_what_it_got",
        evidence="match",
    ),
    Mutant(
        name="a change of members begins an epoch that is not believed",
        place="change_topology",
        old="new = replace(new, epoch=max(new.epoch, newest_epoch(reports.only(old.ids)) + 1))",
        new=REMOVED,
        killer="tests/unit/test_lying_nodes.py::"
        "test_a_change_of_members_does_not_begin_an_epoch_that_one_of_them_told_of",
        evidence="assert (2, ('a', 'b', 'c', 'd')) == (3, ('a', 'b', 'c', 'd'))",
    ),
    Mutant(
        name="a late worker begins a log anew that another has begun anew before",
        place="new_log_fields",
        old="{'=incarnation': report.incarnation, 'incarnation': incarnation}",
        new="{'incarnation': incarnation}",
        killer="tests/unit/test_lost_logs.py::"
        "test_a_late_worker_begins_no_log_anew_that_is_in_order_again",
        evidence="DID NOT RAISE",
    ),
)
