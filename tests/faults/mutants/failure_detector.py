"""Bugs in how a dead primary is detected."""

from __future__ import annotations

from tests.faults.planting import NEVER, REMOVED, Mutant

MUTANTS = (
    Mutant(
        name="a primary that turns the monitor away is taken for dead",
        place="Suspicion.judge",
        old="look.report is None and refuses_us(...)",
        new=NEVER,
        killer="tests/unit/test_suspicion.py::test_one_that_turns_the_monitor_away_is_not_replaced",
        evidence="AssertionError",
    ),
    Mutant(
        name="a monitor that is blocked says nothing",
        place="Suspicion._blocked",
        old="cause_of(...)",
        new="''",
        killer="tests/unit/test_takeover.py::"
        "test_a_monitor_is_told_that_it_is_blocked_once_it_would_act",
        evidence="assert ",
    ),
    Mutant(
        name="a primary that answers is well",
        place="_Look.is_well",
        old="self.is_serving and self.primary not in self.doubtful and not self.refuses",
        new="self.is_serving and self.primary not in self.doubtful",
        killer="tests/servers/test_refusals.py::"
        "test_a_primary_that_takes_no_writes_is_named_and_replaced",
        evidence="another primary: not met",
    ),
    Mutant(
        name="the role goes round where all are full",
        place="Suspicion._judge_fault",
        old="takes_writes=look.refuses",
        new=REMOVED,
        killer="tests/unit/test_suspicion.py::"
        "test_the_role_does_not_go_round_where_too_few_take_writes",
        evidence="assert not True",
    ),
    Mutant(
        name="a node that is far counts as away although it answers",
        place="_Watched.report",
        old="patience_seconds + usual_seconds",
        new="patience_seconds",
        killer="tests/unit/test_lookout.py::"
        "test_a_primary_that_answers_is_not_replaced_however_far_it_is",
        evidence="assert ",
    ),
    Mutant(
        name="a connection to a far primary that broke counts as a crash before it is opened anew",
        place="Suspicion._fault",
        old="fault.patience + distance",
        new="fault.patience",
        killer="tests/unit/test_lookout.py::"
        "test_a_lost_connection_to_a_far_primary_is_opened_anew_before_that_counts_as_a_crash",
        evidence="assert not ",
    ),
    Mutant(
        name="what a monitor saw before a failover of its own counts after it",
        place="Lookout.forget",
        old="for watched in self._watched.values(): ...",
        new=REMOVED,
        killer="tests/unit/test_lookout.py::"
        "test_what_was_seen_before_a_failover_of_its_own_is_no_reason_for_another",
        evidence="assert not ",
    ),
    Mutant(
        name="a monitor waits after a failover for one that was silent before",
        place="_Watched.forget",
        old="if self._is_silent or self._report == _SILENT: ...",
        new=REMOVED,
        killer="tests/unit/test_lookout.py::"
        "test_a_node_that_was_silent_before_is_not_waited_for_again",
        evidence="assert ",
    ),
    Mutant(
        name="a monitor waits after a failover until every node has answered",
        place="_Watched.report",
        old="if self._is_silent and not self.is_current: ...",
        new=REMOVED,
        killer="tests/unit/test_lookout.py::"
        "test_a_node_that_falls_silent_in_a_failover_is_waited_for_no_longer_than_any_other",
        evidence="assert False",
    ),
    Mutant(
        name="what a silent node said before a failover comes back",
        place="_Watched._let_go",
        old="if isinstance(self._report, NodeReport): ...",
        new=REMOVED,
        killer="tests/unit/test_lookout.py::"
        "test_a_node_that_falls_silent_in_a_failover_is_waited_for_no_longer_than_any_other",
        evidence="assert frozenset() ==",
    ),
    Mutant(
        name="a change of epoch that somebody goes on with is ended",
        place="Suspicion._followed",
        old="before._replace(...)",
        new="before",
        killer="tests/unit/test_suspicion.py::"
        "test_a_change_of_epoch_is_left_alone_while_somebody_goes_on_with_it[records]",
        evidence="assert not True",
    ),
    Mutant(
        name="a member that goes on for ever holds all monitors up",
        place="Suspicion._between_epochs",
        old="now - seen.since >= LONGEST_CHANGE_SECONDS",
        new=REMOVED,
        killer="tests/unit/test_suspicion.py::test_who_goes_on_for_ever_holds_nobody_up",
        evidence="assert False",
    ),
    Mutant(
        name="monitors that are far begin again all at one time",
        place="Suspicion._between_epochs",
        old="CHANGE_ROUND_TRIPS + seen.hesitation * HESITATION_ROUND_TRIPS",
        new="CHANGE_ROUND_TRIPS",
        killer="tests/unit/test_suspicion.py::"
        "test_who_ends_a_change_of_epoch_that_was_left_is_told_by_chance_where_members_are_"
        "far[1.0-0.3-4.5]",
        evidence="assert not True",
    ),
    Mutant(
        name="a dead member of which nothing is known holds up the end of a change",
        place="Suspicion._between_epochs",
        old="[silences[report.node].usual_seconds for report in found if report.node in silences]",
        new="[silence.usual_seconds for silence in silences.values()]",
        killer="tests/unit/test_suspicion.py::"
        "test_a_change_of_epoch_near_by_does_not_wait_for_a_member_of_which_nothing_is_known",
        evidence="assert False",
    ),
    Mutant(
        name="a far primary that ends a connection while it is opened counts as silent before "
        "it is asked again",
        place="_distance_seconds",
        old="kind_of(reason) != SILENT",
        new="is_crash(reason)",
        killer="tests/unit/test_lookout.py::"
        "test_a_far_primary_that_ends_connections_while_they_are_opened_is_asked_once_more",
        evidence="assert not ",
    ),
    Mutant(
        name="a monitor waits for one answer before it asks again",
        place="_Watched.may_be_asked",
        old="len(self.unanswered) < (limits.MAX_UNANSWERED_LOOKS if self._answers else 1)",
        new="not self.unanswered",
        killer="tests/unit/test_lookout.py::"
        "test_how_often_nodes_are_looked_at_does_not_depend_on_their_distance",
        evidence="assert ",
    ),
)
