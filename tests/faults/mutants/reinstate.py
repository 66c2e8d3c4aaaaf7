"""Bugs in putting a primary back to work."""

from __future__ import annotations

from tests.faults.planting import NEVER, REMOVED, Mutant

MUTANTS = (
    Mutant(
        name="what a primary dropped is not looked for on members that were left behind",
        place="_Reinstatement.__init__",
        old="primary.is_in_doubt and each.lineage > 0 and each not in donors",
        new=NEVER,
        killer="tests/unit/test_clocks.py::"
        "test_what_a_primary_dropped_is_taken_from_members_that_were_left_behind",
        evidence="{b'key'}",
    ),
    Mutant(
        name="a primary whose clock was off takes all that a member that was left behind has",
        place="_Reinstatement._take_from",
        old="self._roll_forward if replica in self._donors else self._take_up_dropped",
        new="self._roll_forward",
        killer="tests/unit/test_clocks.py::"
        "test_what_a_primary_dropped_is_taken_from_members_that_were_left_behind",
        evidence="never taken",
    ),
    Mutant(
        name="a primary that lost nothing is put back although others served in a later epoch",
        place="_replicas_needed",
        old="report.is_itself and report.lineage > primary.lineage",
        new="report.lineage < 0",
        killer="tests/unit/test_reinstate.py::"
        "test_a_primary_that_others_went_on_without_is_not_put_back",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="of two copies the primary is put back whatever the other does",
        place="_replicas_needed",
        old="copies // 2",
        new="witnesses_needed(copies) - 1",
        killer="tests/unit/test_reinstate.py::"
        "test_of_two_copies_the_primary_is_not_put_back_while_the_other_is_silent",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="of two copies the primary waits for the other that crashed",
        place="_replicas_needed",
        old="0 if _are_all_heard(...) else copies // 2",
        new="copies // 2",
        killer="tests/unit/test_reinstate.py::"
        "test_of_two_copies_the_primary_is_put_back_where_the_other_crashed",
        evidence="1 replica is needed",
    ),
    Mutant(
        name="a primary that forgot takes up its witnesses' logs from its marks",
        place="reinstate._start",
        old="primary.has_forgotten",
        new=REMOVED,
        killer="tests/unit/test_forgetting.py::"
        "test_a_mark_that_was_moved_beyond_what_was_forgotten_counts_for_nothing[a]",
        evidence="key-1",
    ),
    Mutant(
        name="a primary that is put back to work keeps what was purged without it",
        place="_Reinstatement.roll_forward",
        old="if walked or left_behind: ...",
        new="if False: ...",
        killer="tests/unit/test_anti_entropy.py::"
        "test_a_primary_that_is_put_back_to_work_gives_up_what_was_purged_without_it",
        evidence="assert False is True",
    ),
    Mutant(
        name="the mark of a walk comes before what is to be given up",
        place="_Reinstatement._roll_forward",
        old="""
            yield from copy_all(copier, self._steps)
            return
        """,
        new="""
            yield from copy_all(copier, self._steps)
            yield from copier.absorb((), (), Mark(replica.incarnation, replica.log.end))
            return
        """,
        killer="tests/unit/test_purged_without_it.py::"
        "test_a_worker_that_dies_while_it_puts_an_old_primary_back_leaves_enough_to_do",
        evidence="assert ",
    ),
    Mutant(
        name="a primary is put back with what replicas of any era hold",
        place="_Reinstatement.__init__",
        old="donors_among([*own, *fenced])",
        new="[*own, *fenced]",
        killer="tests/unit/test_witnesses.py::"
        "test_what_the_cluster_went_on_without_does_not_come_back_with_such_a_replica",
        evidence="assert ",
    ),
    Mutant(
        name="a new member is passed over without being fenced",
        place="find_witnesses",
        old="(*counted, *newcomers)",
        new="counted",
        killer="tests/unit/test_witnesses.py::"
        "test_a_newcomer_that_began_to_serve_meanwhile_is_not_passed_over",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="a new member stands in for a replica that is away",
        place="find_witnesses",
        old="len(counted) < needed",
        new="len(counted) + len(newcomers) < needed",
        killer="tests/unit/test_witnesses.py::"
        "test_a_newcomer_does_not_stand_in_for_a_replica_that_is_away",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="a primary that restarted alone is believed",
        place="_at_their_word",
        old="all(r.has_restarted for r in together)",
        new=REMOVED,
        killer="tests/unit/test_witnesses.py::test_two_copies_wait_for_the_replica",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="a primary that was fenced in vain takes from members of any era",
        place="_Reinstatement.__init__",
        old="own = [] if primary.has_restarted else [primary]",
        new="own: list[NodeReport] = []",
        killer="tests/unit/test_change_members.py::test_a_witness_of_an_older_era_gives_it_nothing",
        evidence="never acknowledged",
    ),
    Mutant(
        name="a primary is put back in an epoch that somebody else moved it to",
        place="_Reinstatement._look_again",
        old="check_not_moved_on(...)",
        new=REMOVED,
        killer="tests/unit/test_change_members.py::"
        "test_a_primary_that_somebody_moved_on_is_not_put_back_in_their_epoch",
        evidence="assert ",
    ),
    Mutant(
        name="a primary is put back in an epoch that somebody else began",
        place="reinstate.reinstate",
        old="newest_epoch(...) + 1",
        new="1 + max(report.epoch for report in [primary, *surviving])",
        killer="tests/unit/test_change_members.py::"
        "test_a_fenced_replica_that_crashed_does_not_wait_for_ever_beside_a_primary_that_serves",
        evidence="epoch 9 is somebody else's",
    ),
    Mutant(
        name="a primary that forgot is taken at its word beside members that restarted",
        place="_at_their_word",
        old="all_forgot or not r.has_forgotten",
        new=REMOVED,
        killer="tests/unit/test_forgetting.py::"
        "test_a_primary_that_forgot_is_not_taken_at_its_word_beside_members_that_merely_restarted",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="a primary that forgets while it is put back to work takes up the rest",
        place="_Reinstatement._take_from",
        old="self._newest_entry = copier.newest_entry",
        new=REMOVED,
        killer="tests/unit/test_forgetting.py::"
        "test_a_primary_that_is_set_back_while_it_is_put_back_to_work_is_not_admitted",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="a primary is put back to work without what it forgot of what it took up",
        place="_Reinstatement._look_again",
        old="now.lost is not None",
        new=REMOVED,
        killer="tests/unit/test_forgetting.py::"
        "test_a_primary_that_is_set_back_while_it_is_put_back_to_work_is_not_admitted",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="whom a primary was to enrol it enrols after a restart",
        place="_Reinstatement.admit",
        old="new_log_fields(primary, incarnation) | {'pending': ''}",
        new="new_log_fields(primary, incarnation)",
        killer="tests/unit/test_coming_in.py::"
        "test_a_primary_that_others_stood_in_for_enrols_nobody",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="a primary that is put back begins an epoch that is not believed",
        place="reinstate.reinstate",
        old="newest_epoch(reports) + 1",
        new="1 + max(report.epoch for report in reports.present.values())",
        killer="tests/unit/test_lying_nodes.py::"
        "test_a_primary_that_is_put_back_does_not_begin_an_epoch_that_another_member_told_of",
        evidence="assert (2, True) == (3, True)",
    ),
)
