"""Bugs in failovers."""

from __future__ import annotations

from tests.faults.planting import NEVER, REMOVED, Mutant

MUTANTS = (
    Mutant(
        name="a switchover goes on without having fenced the primary",
        place="_try_once",
        old="seen.topology.decider if order.planned else None",
        new="None",
        killer="tests/unit/test_failover.py::"
        "test_a_switchover_that_cannot_fence_the_primary_moves_nobody",
        evidence="AssertionError",
        quick=True,
    ),
    Mutant(
        name="whoever is asked for becomes the primary although the present one was not fenced",
        place="choose",
        old="order.planned and previous not in by_name",
        new="order.planned and order.to is None and previous not in by_name",
        killer="tests/unit/test_failover.py::"
        "test_a_primary_that_changes_after_it_was_fenced_is_not_passed_over",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="a failover that finds no successor after fencing leaves everybody between epochs",
        place="check_enough",
        old="donors_among(sound)",
        new="sound",
        killer="tests/unit/test_failover.py::"
        "test_a_member_that_was_left_behind_is_refused_before_anybody_is_fenced",
        evidence="fenced in vain",
    ),
    Mutant(
        name="where the only successor was ahead the operator cannot go on",
        place="check_acceptable",
        old="successors(topology, reports, order.own_ahead, order.away)",
        new="len(sound_members(topology, reports, order.away)) * 2 > len(topology.ids)",
        killer="tests/unit/test_clocks.py::"
        "test_where_the_only_successor_was_ahead_the_operator_can_go_on",
        evidence="nothing needs to be lost",
    ),
    Mutant(
        name="a truth that dropped records while the operator decided is taken as it was",
        place="accept_loss._fence",
        old="check_clock_steady(...)",
        new=REMOVED,
        killer="tests/unit/test_stepped_since.py::"
        "test_a_truth_whose_clock_stepped_after_the_operator_was_told_what_it_has_is_looked_at_"
        "again",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="a node whose clock is off may become primary",
        place="choose",
        old="donors = [report for report in donors if report.node not in doubtful]",
        new=REMOVED,
        killer="tests/unit/test_clocks.py::"
        "test_a_primary_whose_clock_is_off_is_replaced_and_its_gaps_end_nothing",
        evidence="assert ('a'",
    ),
    Mutant(
        name="a failover without a majority",
        place="check_enough",
        old="len(sound) < needed",
        new="not sound",
        killer="tests/unit/test_failover.py::test_without_a_majority_nothing_is_touched",
        evidence="2 of 3 members must take part",
    ),
    Mutant(
        name="the latest stamp counts, not the highest lineage",
        place="failover._install_primary",
        old="donors_among(fenced)",
        new="list(fenced)",
        killer="tests/unit/test_failover.py::"
        "test_a_member_of_an_older_lineage_gives_nothing_to_a_new_primary",
        evidence="diverged",
        quick=True,
    ),
    Mutant(
        name="a new primary takes nothing from the others",
        place="_Installation.carry_out",
        old="yield from self._with_each(...)",
        new=REMOVED,
        killer="tests/unit/test_failover.py::"
        "test_an_acknowledged_write_survives_whoever_takes_over",
        evidence="assert ",
        quick=True,
    ),
    Mutant(
        name="donors are merged one after the other",
        place="_Installation._with_each",
        old="return (yield from side_by_side(plans, self._steps))",
        new="""
            done: list[R] = []
            for plan in plans:
                done += yield from side_by_side([plan], self._steps)
            return done
        """,
        killer="tests/unit/test_failover.py::"
        "test_a_failover_takes_no_more_round_trips_with_more_members",
        evidence="<= 14",
    ),
    Mutant(
        name="members serve after a failover without what the primary has",
        place="_Installation._give_to",
        old="yield from self._ship(...)",
        new=REMOVED,
        killer="tests/unit/test_failover.py::"
        "test_an_acknowledged_write_survives_whoever_takes_over",
        evidence="assert ",
    ),
    Mutant(
        name="a member taken as the truth keeps its lineage",
        place="_install",
        old="{**epoch_fields(topology, truth.node), **active_fields(topology), 'identity': "
        "fresh.identities[truth.node]}",
        new="{**epoch_fields(topology, truth.node), 'state': 'active', 'identity': "
        "fresh.identities[truth.node]}",
        killer="tests/unit/test_accept_loss.py::"
        "test_what_the_truth_took_since_counts_at_the_next_failover",
        evidence="active in epoch 101, of lineage 1",
    ),
    Mutant(
        name="a member taken as the truth counts as not restarted, with its old log",
        place="_install",
        old="if truth.has_restarted: ...",
        new="""
            fields['run_id'] = truth.run_id
            if False: ...
        """,
        killer="tests/unit/test_accept_loss.py::"
        "test_a_truth_that_restarted_itself_begins_another_life_of_its_log",
        evidence="previous_incarnation",
    ),
    Mutant(
        name="a failover counts by members that were changed meanwhile",
        place="Fencing._check",
        old="check_members_stayed(...)",
        new=REMOVED,
        killer="tests/unit/test_change_members.py::"
        "test_a_failover_does_not_go_by_members_that_were_changed_while_it_looked",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="whoever is fenced does not learn among whom it is counted",
        place="Fencing._move",
        old="change_call(report, self._layout, fields | kept_doubt(...), self._topology)",
        new="change_call(report, self._layout, fields | kept_doubt(...), None)",
        killer="tests/unit/test_change_members.py::"
        "test_whoever_is_fenced_learns_among_whom_it_is_counted",
        evidence="assert ",
    ),
    Mutant(
        name="who takes no writes is chosen",
        place="failover._rank",
        old="report.takes_writes",
        new="True",
        killer="tests/servers/test_refusals.py::test_a_failover_chooses_nobody_who_takes_no_writes",
        evidence="assert 'b' in",
    ),
    Mutant(
        name="a failover takes its new primary back from a later one",
        place="member_changes.look_again",
        old="check_not_moved_on(...)",
        new=REMOVED,
        killer="tests/unit/test_change_members.py::"
        "test_a_new_primary_that_somebody_moved_on_is_not_taken_back_from_their_epoch",
        evidence="assert ",
    ),
    Mutant(
        name="a monitor overtakes another one that began after it had looked",
        place="_check_nobody_began",
        old="seen_epoch is not None and report.epoch > seen_epoch",
        new=NEVER,
        killer="tests/unit/test_failover.py::"
        "test_who_decided_before_another_began_stops_and_touches_nobody",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="rivals that fenced some members each all stop",
        place="Fencing._too_few",
        old="has_rivals and members[0].node in won and len(members) - len(won) < "
        "majority_of(topology)",
        new="False and members[0].node in won and len(members) - len(won) < majority_of(topology)",
        killer="tests/unit/test_failover.py::"
        "test_of_rivals_that_fenced_some_each_the_one_that_has_the_first_goes_on",
        evidence="only 1 of 3 members could be fenced in epoch 2",
    ),
    Mutant(
        name="rivals that fenced some members each all go on",
        place="Fencing._too_few",
        old="members[0].node in won",
        new=REMOVED,
        killer="tests/unit/test_failover.py::test_of_rivals_that_fenced_some_each_the_others_stop",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="who fenced the first member overtakes a rival that has a majority",
        place="Fencing._too_few",
        old="len(members) - len(won) < majority_of(...)",
        new=REMOVED,
        killer="tests/unit/test_failover.py::"
        "test_a_rival_that_fenced_a_majority_is_left_alone_by_who_has_the_first",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="a failover does not know who forgot a moment ago",
        place="fail_over",
        old="last_entries=order.last_entries",
        new=REMOVED,
        killer="tests/unit/test_forgetting.py::"
        "test_who_forgot_a_moment_ago_takes_no_part_in_a_failover",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="a member that forgets while it is fenced takes over",
        place="Fencing._fenced_among",
        old="not report.has_restarted",
        new=REMOVED,
        killer="tests/unit/test_forgetting.py::"
        "test_a_member_that_forgets_while_it_is_fenced_does_not_take_over",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="a change of members that begins after the look goes unnoticed",
        place="_check_not_replaced",
        old="voided and topology.decider not in fenced",
        new=NEVER,
        killer="tests/unit/test_replacing.py::"
        "test_a_change_that_begins_after_the_look_is_noticed_by_what_it_left",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="a donor whose clock stepped while it was fenced is a yardstick",
        place="Fencing._check",
        old="check_clock_steady(...)",
        new="pass",
        killer="tests/unit/test_stepped_since.py::"
        "test_a_member_whose_clock_stepped_in_the_midst_of_a_failover_is_no_yardstick",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="a new primary whose clock stepped while records came to it is a yardstick",
        place="member_changes.look_again",
        old="check_clock_steady(...)",
        new=REMOVED,
        killer="tests/unit/test_stepped_since.py::"
        "test_a_member_whose_clock_stepped_in_the_midst_of_a_failover_is_no_yardstick",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="an accepted loss gives a place to an empty server at a former address",
        place="accept_loss._look",
        old="check_reached(...)",
        new=REMOVED,
        killer="tests/unit/test_replacing.py::"
        "test_an_accepted_loss_gives_no_place_to_an_empty_server_at_a_former_address",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="whom a primary was to enrol it enrols when it has its role again",
        place="_Installation._activate_primary",
        old="primary.node != self._done.previous",
        new=NEVER,
        killer="tests/unit/test_coming_in.py::"
        "test_a_primary_that_others_stood_in_for_enrols_nobody",
        evidence="DID NOT RAISE",
    ),
)
