"""Bugs in bringing a node back."""

from __future__ import annotations

from tests.faults.planting import ALWAYS, NEVER, REMOVED, Edit, Mutant

MUTANTS = (
    Mutant(
        name="a former member whose topology is damaged waits for an operator",
        place="_is_former_member",
        old="found.epoch < view.topology.epoch and (known is None or "
        "known.is_related_to(view.topology))",
        new="found.epoch < view.topology.epoch and known is not None and "
        "known.is_related_to(view.topology)",
        killer="tests/unit/test_replacing.py::"
        "test_a_server_that_comes_back_with_what_it_was_before_it_was_replaced_in_its_place_is_"
        "filled",
        evidence="before or elsewhere",
    ),
    Mutant(
        name="nobody can follow a replica that was filled a moment ago",
        place="ReplicaRecovery._admit",
        old="has_new_log and self._view.decider is not None",
        new=NEVER,
        killer="tests/unit/test_failover.py::"
        "test_a_replica_that_was_filled_a_moment_ago_has_the_others_follow_it",
        evidence="assert ('c',) == ('c', 'b')",
    ),
    Mutant(
        name="a copy whose bookkeeping cannot be true stays out for ever",
        place="needs_bringing_up",
        old="reports.unreadable(...) is not None and node != topology.decider",
        new=NEVER,
        killer="tests/servers/test_lying_nodes.py::"
        "test_a_copy_that_holds_what_cannot_be_true_is_filled_anew",
        evidence="AssertionError",
    ),
    Mutant(
        name="a primary that nobody can replace waits for monitors for ever",
        place="_step_for_primary",
        old="not facts.has_successor",
        new=NEVER,
        killer="tests/unit/test_clocks.py::"
        "test_what_a_primary_dropped_is_taken_from_members_that_were_left_behind",
        evidence="AssertionError",
    ),
    Mutant(
        name="nobody notices that a guard is gone",
        place="upkeep._lacks_something",
        old="report.has_lost_guard",
        new=REMOVED,
        killer="tests/servers/test_guards.py::"
        "test_a_guard_that_somebody_took_away_is_named_and_restored",
        evidence="assert [] == ['b']",
    ),
    Mutant(
        name="a guard that is gone stays away",
        place="_restore_guard",
        old="not (found.has_lost_guard or lacks)",
        new=ALWAYS,
        killer="tests/servers/test_guards.py::"
        "test_a_guard_that_somebody_took_away_is_named_and_restored",
        evidence="assert ",
    ),
    Mutant(
        name="a replica that forgot is caught up from its mark",
        place="resync_facts",
        old="target.is_in_doubt or target.has_forgotten",
        new="target.is_in_doubt",
        killer="tests/unit/test_forgetting.py::"
        "test_a_mark_that_was_moved_beyond_what_was_forgotten_counts_for_nothing[b]",
        evidence="key-1",
    ),
    Mutant(
        name="a walk does not hold the log",
        place="held_from",
        old="min((hold.id for hold in holds if hold is not None), key=id_order, default='')",
        new="''",
        killer="tests/servers/test_walks.py::test_the_log_is_held_from_the_beginning_of_a_walk",
        evidence="length",
    ),
    Mutant(
        name="a server that was emptied is said to have come back empty",
        place="describe_stranger",
        old="_was_there_in_this_run(report, reports)",
        new="not report",
        killer="tests/unit/test_reasons.py::"
        "test_a_server_that_was_emptied_is_told_from_one_that_came_back_empty",
        evidence="was emptied while its server ran",
    ),
    Mutant(
        name="undecided records are copied to the primary",
        place="redrepl.plans.recovery.primary",
        old="from redrepl.plans.copies.catch_up import confirm",
        new="from redrepl.plans.copies.catch_up import confirm, ship_log",
        killer="tests/servers/test_client_killed.py::"
        "test_an_undecided_write_is_not_taken_back_before_the_primary_refuses_it",
        evidence='stored("key") is None',
        also=(
            Edit(
                "PrimaryRecovery.check_replicas",
                "check_log(self._view, replica, self._primary, mark, self._steps, "
                "self._run.order.stop_at)",
                "ship_log(self._view, replica, self._primary.node, mark, self._steps, "
                "self._run.order.stop_at)",
            ),
        ),
    ),
    Mutant(
        name="a node that was ahead reads the log instead of being walked",
        place="resync_facts",
        old="may_lack or is_new",
        new="is_new",
        killer="tests/unit/test_clocks.py::"
        "test_a_step_there_and_back_between_two_looks_is_seen_in_the_log",
        evidence="assert (0, True) == (1, True)",
    ),
    Mutant(
        name="a member that was taken out is taken in with what it held",
        place="resync_facts",
        old="target.lineage == 0 and source.node not in target.marks",
        new=NEVER,
        killer="tests/unit/test_change_members.py::"
        "test_one_that_comes_back_with_old_records_keeps_none_that_the_primary_does_not_have",
        evidence="assert ",
    ),
    Mutant(
        name="a node is admitted although nobody could bring it up",
        place="ReplicaRecovery.stop_and_resync",
        old="if not self._sources: ...",
        new="if False: ...",
        killer="tests/unit/test_bring_up.py::"
        "test_nobody_is_admitted_while_there_is_no_one_to_bring_it_up_from",
        evidence="assert (True, True) == (False, False)",
    ),
    Mutant(
        name="a former primary keeps what it alone was written",
        place="ReplicaRecovery._resync_from",
        old="discarded = (yield from discard_diverged(...))",
        new="discarded = 0",
        killer="tests/unit/test_failover.py::"
        "test_what_only_the_old_primary_has_is_kept_for_the_operator",
        evidence="assert ",
    ),
    Mutant(
        name="a member that was moved while it was brought up serves at once",
        place="ReplicaRecovery._check_same",
        old="now.epoch != self._view.topology.epoch",
        new=NEVER,
        killer="tests/unit/test_change_members.py::"
        "test_one_that_is_moved_while_it_is_brought_up_does_not_begin_to_serve",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="a copy that lost its log goes on from its marks",
        place="ReplicaRecovery._fields_of_lost_log",
        old="fields |= forgotten_fields(...)",
        new=REMOVED,
        killer="tests/unit/test_lost_logs.py::test_what_the_primary_never_took_does_not_stay",
        evidence="assert ",
    ),
    Mutant(
        name="a primary that serves leaves a replica between epochs for ever",
        place="classification.facts_of",
        old="bool(between_epochs(topology, reports))",
        new="target.epoch > topology.epoch",
        killer="tests/unit/test_change_members.py::"
        "test_a_fenced_replica_that_crashed_does_not_wait_for_ever_beside_a_primary_that_serves",
        evidence="epoch 9 is somebody else's",
    ),
    Mutant(
        name="a worker replaces a primary that restarted while somebody else does",
        place="PrimaryRecovery.is_change_under_way",
        old="not moved",
        new=ALWAYS,
        killer="tests/unit/test_under_way.py::"
        "test_a_change_of_epoch_that_goes_on_is_left_to_whoever_is_at_work",
        evidence="assert ",
    ),
    Mutant(
        name="a worker ends no change of epoch beside a primary that restarted",
        place="PrimaryRecovery.is_change_under_way",
        old="return (yield from goes_on(...))",
        new="""
            yield from goes_on(...)
            return True
        """,
        killer="tests/unit/test_under_way.py::test_a_change_of_epoch_that_was_left_is_ended",
        evidence="assert 1 == 3",
    ),
    Mutant(
        name="a worker overtakes whoever began after it had looked",
        place="PrimaryRecovery.hand_over_role",
        old="seen_epoch=seen_epoch",
        new=REMOVED,
        killer="tests/unit/test_under_way.py::"
        "test_who_began_after_the_worker_had_looked_is_left_alone",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="a copy that has less than it confirmed waits for the next write",
        place="upkeep._lacks_something",
        old="_has_less_than_noted(...)",
        new=REMOVED,
        killer="tests/unit/test_forgetting.py::"
        "test_a_copy_that_has_less_than_it_confirmed_is_brought_up_without_a_write_since",
        evidence="assert 'b' in []",
    ),
    Mutant(
        name="a worker that began before admits a member that forgot meanwhile",
        place="ReplicaRecovery._check_same",
        old="now.has_forgotten and now.member['run_id'] != target.member['run_id']",
        new=REMOVED,
        killer="tests/unit/test_forgetting.py::"
        "test_a_member_that_forgets_while_it_is_brought_up_is_not_admitted_by_who_began_before",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="a member is admitted without what it lost since it was brought up",
        place="ReplicaRecovery._check_same",
        old="now.lost is not None",
        new=REMOVED,
        killer="tests/unit/test_forgetting.py::"
        "test_a_member_that_is_set_back_just_before_it_is_admitted_is_not",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="what one source brought is not named to the next",
        place="ReplicaRecovery._full_sync",
        old="newest_entry=self._newest_entry",
        new=REMOVED,
        killer="tests/unit/test_forgetting.py::"
        "test_a_member_set_back_between_two_sources_is_not_admitted_without_what_the_first_"
        "brought",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="a worker gives a log an incarnation again that it had before",
        place="ReplicaRecovery._fields_of_lost_log",
        old="f'{self._order.incarnation}-begun'",
        new="self._order.incarnation",
        killer="tests/unit/test_forgetting.py::"
        "test_of_two_workers_that_begin_a_lost_log_anew_none_brings_an_incarnation_back",
        evidence="not in",
    ),
    Mutant(
        name="nobody says of a copy that forgot that it was filled",
        place="ReplicaRecovery._admit",
        old="target.lineage == 0 or target.has_forgotten",
        new="target.lineage == 0",
        killer="tests/unit/test_failover.py::"
        "test_a_replica_that_was_filled_a_moment_ago_has_the_others_follow_it[it lost its log]",
        evidence="assert ('c',) == ('c', 'b')",
    ),
    Mutant(
        name="a former member in its own place waits for an operator",
        place="drop_bookkeeping",
        old="not _is_former_member(...)",
        new=REMOVED,
        killer="tests/unit/test_replacing.py::"
        "test_a_server_that_comes_back_with_what_it_was_before_it_was_replaced_in_its_place_is_"
        "filled",
        evidence="before or elsewhere",
    ),
    Mutant(
        name="a server that was replaced and goes on loses its membership",
        place="_is_former_member",
        old="not found.has_restarted",
        new=REMOVED,
        killer="tests/unit/test_replacing.py::"
        "test_a_server_that_was_replaced_and_goes_on_at_the_members_address_is_left_alone",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="a job takes what answers at a former address for what is at the member's",
        place="_bring_up",
        old="check_reached(...)",
        new=REMOVED,
        killer="tests/unit/test_replacing.py::"
        "test_a_former_server_gets_no_place_by_a_worker_that_still_asks_at_its_address",
        evidence="DID NOT RAISE",
        quick=True,
    ),
    Mutant(
        name="who tells of a later epoch while a member is filled is not heard",
        place="ReplicaRecovery._returned_fields",
        old="if may_have_forgotten_epoch(view.topology, target, reports): ...",
        new=REMOVED,
        killer="tests/unit/test_forgotten_epochs.py::"
        "test_nor_where_those_are_heard_while_it_is_filled",
        evidence="assert not True",
    ),
    Mutant(
        name="what a server was before it is to come in stays",
        place="drop_bookkeeping",
        old="_is_awaited(...)",
        new="False",
        killer="tests/unit/test_coming_in.py::test_a_former_member_is_taken_in_by_the_workers",
        evidence="before or elsewhere",
    ),
    Mutant(
        name="workers take one that joins for one that takes a place",
        place="_end_enrolment",
        old="joins=joins",
        new="joins=False",
        killer="tests/unit/test_coming_in.py::test_one_that_joins_is_enrolled_as_that",
        evidence="is_newcomer",
    ),
    Mutant(
        name="workers take one that takes a place for one that joins",
        place="_end_enrolment",
        old="joins=joins",
        new="joins=True",
        killer="tests/unit/test_coming_in.py::"
        "test_one_that_takes_a_place_is_not_taken_for_one_that_joins",
        evidence="is_newcomer",
    ),
    Mutant(
        name="at each look a member tells something else, and loses its bookkeeping",
        place="bookkeeping.disown",
        old="found is None or before is None or not before.stands_in(found)",
        new="found is None",
        killer="tests/unit/test_late_answers.py::"
        "test_one_whose_answers_are_late_twice_keeps_its_bookkeeping",
        evidence="Expected regex",
    ),
    Mutant(
        name="a replica is told that what is left of the primary's log holds all of its own",
        place="note_checked",
        old="if primary.has_restarted: ...",
        new=REMOVED,
        killer="tests/unit/test_lost_logs.py::"
        "test_what_is_left_of_the_primarys_log_is_no_place_to_note_on_a_replica",
        evidence="AssertionError",
    ),
    Mutant(
        name="a server that is emptied again gets its place over and over",
        place="bring_up.bring_up",
        old="replace(order, may_replace=False)",
        new="order",
        killer="tests/unit/test_bring_up.py::"
        "test_a_server_that_is_emptied_again_while_it_gets_the_place_takes_one_epoch",
        evidence="assert (3, ",
    ),
    Mutant(
        name="a server that is emptied again and again uses up all epochs",
        place="Administration.bring_up",
        old="self.replacements.may_replace(node, now)",
        new="True",
        killer="tests/servers/test_returning_replica.py::"
        "test_one_that_is_emptied_again_and_again_does_not_use_up_the_epochs",
        evidence="came back empty again",
    ),
)
