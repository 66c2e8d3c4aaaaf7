"""Bugs in which members count after restarts and lost data."""

from __future__ import annotations

from tests.faults.planting import ALWAYS, NEVER, REMOVED, Mutant

MUTANTS = (
    Mutant(
        name="whoever restarts counts again whatever the others say",
        place="returned_fields",
        old="'' if len(shown) >= witnesses_needed(...) else str(topology.epoch)",
        new="''",
        killer="tests/unit/test_forgetting.py::"
        "test_one_that_restarted_counts_again_where_enough_others_show_that_nothing_has_begun",
        evidence="assert False == True",
    ),
    Mutant(
        name="the number of an epoch that is not believed is given again",
        place="newest_epoch",
        old="max([newest, *(epoch for epoch in doubted if epoch <= newest + LEFT_OVER_EPOCHS)])",
        new="newest",
        killer="tests/unit/test_hearsay.py::"
        "test_the_number_of_one_who_is_not_believed_is_not_given_again",
        evidence="assert 4 == 7",
    ),
    Mutant(
        name="an empty log that was begun anew is taken for a shortened one",
        place="_is_beyond",
        old="place.entries > 0",
        new=REMOVED,
        killer="tests/unit/test_forgetting.py::"
        "test_a_member_whose_log_was_begun_anew_and_is_empty_is_left_alone",
        evidence="its change log ends before what c had of it",
    ),
    Mutant(
        name="dead servers are said to count once they are started",
        place="_restart_primary",
        old="missing > 0",
        new=REMOVED,
        killer="tests/unit/test_takeover.py::"
        "test_a_dead_primary_of_three_is_not_said_to_help_by_starting",
        evidence="assert ",
    ),
    Mutant(
        name="a member that restarted counts in a failover",
        place="sound_members",
        old="not r.has_restarted",
        new=REMOVED,
        killer="tests/unit/test_failover.py::test_without_a_majority_nothing_is_touched",
        evidence="could be fenced in epoch 2",
    ),
    Mutant(
        name="those that a change of members left behind give nothing",
        place="donors_among",
        old="report.lineage >= era",
        new="report.lineage == lineage",
        killer="tests/unit/test_witnesses.py::"
        "test_a_replica_that_a_change_of_members_left_behind_still_gives",
        evidence="assert ",
    ),
    Mutant(
        name="where all members forgot nothing begins again",
        place="_stop_call",
        old="report.state.when_stopped",
        new="'syncing'",
        killer="tests/unit/test_forgetting.py::"
        "test_where_all_members_were_set_back_at_once_they_begin_again",
        evidence="Unavailable",
    ),
    Mutant(
        name="several primaries that all forgot wait for each other for ever",
        place="forgetful.set_forgetful_aside",
        old="are_all_left(...)",
        new=NEVER,
        killer="tests/unit/test_forgetting.py::"
        "test_where_all_members_were_set_back_at_once_they_begin_again",
        evidence="False",
    ),
    Mutant(
        name="a member that falls silent holds a monitor up",
        place="forgetful.set_forgetful_aside",
        old="steps = steps if asks_again else Steps(...)",
        new=REMOVED,
        killer="tests/unit/test_forgetting.py::"
        "test_who_says_that_it_forgot_and_then_nothing_keeps_a_monitor_for_a_moment_only",
        evidence="5.0",
    ),
    Mutant(
        name="a slow accuser stops a member that others have brought up",
        place="_stop_call",
        old="report.incarnation",
        new=REMOVED,
        killer="tests/unit/test_forgetting.py::"
        "test_a_member_that_others_brought_up_meanwhile_is_not_stopped_once_more",
        evidence="== {}",
    ),
    Mutant(
        name="a server that forgot while it went on is not noticed",
        place="_is_beyond",
        old="place.entries > 0 and (... > report.log.end.order or place.entries > "
        "report.log.added)",
        new=NEVER,
        killer="tests/unit/test_forgetting.py::"
        "test_a_member_whose_log_is_gone_serves_nothing_and_counts_as_restarted",
        evidence="assert ",
    ),
    Mutant(
        name="a log that was only read too early counts as lost",
        place="forgetful._ask_again",
        old="_shorter_than_read(topology, found)",
        new="_shorter_than_read(topology, reports)",
        killer="tests/unit/test_forgetting.py::"
        "test_a_member_that_was_asked_before_the_others_is_asked_once_more",
        evidence="assert ",
    ),
    Mutant(
        name="a member that is replaced counts for who knows only the members before",
        place="sound_members",
        old="voided.union",
        new="set",
        killer="tests/unit/test_replacing.py::"
        "test_who_knows_only_the_members_before_does_not_count_the_one_that_is_replaced",
        evidence="somebody else changed the members meanwhile",
    ),
    Mutant(
        name="a member that works with others is fenced for former members",
        place="sound_members",
        old="[report for report in sound if not _has_other_members(...)]",
        new="sound",
        killer="tests/unit/test_lying_nodes.py::test_a_member_is_not_fenced_for_former_members",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="one alone can say that another one is replaced while the primary serves",
        place="voided_members",
        old="primary is not None and primary.is_serving and primary.epoch == topology.epoch",
        new=NEVER,
        killer="tests/unit/test_replacing.py::"
        "test_while_the_primary_serves_nobody_can_say_that_another_one_is_replaced",
        evidence="Unavailable",
    ),
    Mutant(
        name="a member that may have forgotten a later epoch serves in the one before",
        place="may_have_forgotten_epoch",
        old="topology.decider is None or not restarted.has_restarted",
        new=ALWAYS,
        killer="tests/unit/test_forgotten_epochs.py::"
        "test_it_does_not_serve_in_the_earlier_epoch_again_as_long_as_others_work_in_the_later_one",
        evidence="assert (True",
    ),
    Mutant(
        name="the number that a server was left with is given again",
        place="newest_epoch",
        old="doubted += [report.dropped_epoch for report in reports.present.values()]",
        new=REMOVED,
        killer="tests/unit/test_hearsay.py::"
        "test_nor_is_the_number_of_one_whose_bookkeeping_was_dropped[7 -7]",
        evidence="assert 4 == 7",
    ),
)
