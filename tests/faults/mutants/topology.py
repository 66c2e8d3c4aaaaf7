"""Bugs in which topology is believed."""

from __future__ import annotations

from tests.faults.planting import ALWAYS, NEVER, REMOVED, Mutant

MUTANTS = (
    Mutant(
        name="one that forgot a later epoch outvotes its primary",
        place="voices_of",
        old="report.has_returned",
        new=REMOVED,
        killer="tests/unit/test_forgetting.py::"
        "test_one_that_forgot_a_later_epoch_does_not_outvote_its_primary",
        evidence="a majority and its primary serve in epoch 1",
    ),
    Mutant(
        name="of two clusters of one name a program goes to the one that it does not know",
        place="believed",
        old="known in cluster",
        new=REMOVED,
        killer="tests/unit/test_hearsay.py::"
        "test_a_program_that_hears_one_member_alone_does_not_go_to_another_cluster_of_the_name",
        evidence="assert ",
    ),
    Mutant(
        name="whoever names itself the primary of the present epoch is believed when that is dead",
        place="_weight",
        old="topology.decider not in others",
        new="topology.decider in tellers",
        killer="tests/unit/test_hearsay.py::"
        "test_whoever_names_itself_in_the_present_epoch_is_not_followed_when_the_primary_dies",
        evidence="assert (",
    ),
    Mutant(
        name="a majority that knows of nothing new ends a look, although one of it was moved",
        place="_agree",
        old="told is not None and told.epoch > known.epoch",
        new=ALWAYS,
        killer="tests/unit/test_asking_nodes.py::"
        "test_one_that_was_moved_and_told_nothing_yet_does_not_end_the_look",
        evidence="the plan has ended",
    ),
    Mutant(
        name="whoever could confirm a later epoch is not waited for",
        place="hear_topology",
        old="not _is_undecided(...)",
        new=ALWAYS,
        killer="tests/unit/test_asking_nodes.py::"
        "test_where_one_tells_of_a_later_epoch_the_others_are_waited_for",
        evidence="assert 100.",
    ),
    Mutant(
        name="what nobody can have begun ends a failover",
        place="check_members_stayed",
        old="not cannot_follow(...)",
        new=REMOVED,
        killer="tests/unit/test_change_members.py::"
        "test_what_cannot_have_been_begun_ends_no_failover",
        evidence="somebody else changed the members",
    ),
    Mutant(
        name="one replica that knows of other members ends every failover",
        place="check_members_stayed",
        old="[topology.decider] if topology.decider in fenced else voices",
        new="voices",
        killer="tests/unit/test_change_members.py::"
        "test_one_replica_alone_ends_no_failover_that_has_fenced_the_primary",
        evidence="somebody else changed the members",
    ),
    Mutant(
        name="whatever topology is the newest is believed",
        place="believed",
        old="any(_is_refuted(...) for other in newest_first)",
        new=NEVER,
        killer="tests/unit/test_hearsay.py::test_what_one_replica_tells_alone_is_not_believed",
        evidence="AssertionError",
        quick=True,
    ),
    Mutant(
        name="of two topologies of one epoch the first that is told counts",
        place="believed",
        old="_is_outdone(...)",
        new=REMOVED,
        killer="tests/unit/test_hearsay.py::"
        "test_of_two_topologies_of_one_epoch_a_majority_tells_the_right_one",
        evidence="AssertionError",
    ),
    Mutant(
        name="an earlier topology that one made up refutes what others tell",
        place="_is_refuted",
        old="len(objecting) < len(tellers)",
        new=NEVER,
        killer="tests/unit/test_hearsay.py::"
        "test_a_topology_of_an_earlier_epoch_that_one_replica_made_up_refutes_nothing",
        evidence="AssertionError",
    ),
    Mutant(
        name="one member that says that it serves alone in an earlier epoch denies all others",
        place="not_believed",
        old="len(serving) <= len(beside)",
        new="not serving",
        killer="tests/unit/test_hearsay.py::"
        "test_a_topology_of_an_earlier_epoch_that_one_replica_made_up_refutes_nothing",
        evidence="AssertionError",
    ),
    Mutant(
        name="a program goes to a cluster of another kind",
        place="may_follow",
        old="if told.mode is not known.mode: ...",
        new=REMOVED,
        killer="tests/unit/test_hearsay.py::test_a_program_never_goes_to_a_cluster_of_another_kind",
        evidence="AssertionError",
    ),
    Mutant(
        name="of two copies the replica is believed too",
        place="_is_refuted",
        old="copies // 2 + 1 if former.decider in objecting else copies - copies // 2",
        new="copies - copies // 2",
        killer="tests/unit/test_hearsay.py::test_of_two_copies_the_primary_is_believed",
        evidence="AssertionError",
    ),
    Mutant(
        name="an epoch far ahead on one node counts",
        place="not_believed",
        old="others and voice.epoch > max(others) + PLAUSIBLE_EPOCHS",
        new=NEVER,
        killer="tests/unit/test_hearsay.py::test_epochs_far_ahead_are_not_believed",
        evidence="AssertionError",
    ),
    Mutant(
        name="an accepted loss is undone by those who come back",
        place="_is_refuted",
        old="_is_accepted_loss(told, former, heard, voices) or (skipped and former.decider in "
        "moved)",
        new="skipped and former.decider in moved",
        killer="tests/unit/test_hearsay.py::test_an_accepted_loss_is_believed_whoever_comes_back",
        evidence="AssertionError",
    ),
    Mutant(
        name="an address that one member made up enters the next epoch",
        place="believed",
        old="_at_usual_addresses(topology, told, known)",
        new="topology",
        killer="tests/unit/test_hearsay.py::"
        "test_the_next_epoch_has_no_address_that_one_member_made_up",
        evidence="nowhere",
    ),
    Mutant(
        name="former members outvote those that replaced them",
        place="believed",
        old="max(_clusters_of(told), key=lambda cluster: (..., known in cluster, "
        "cluster[0].epoch))",
        new="[max(told, key=lambda each: (sum(map(each.is_related_to, told)), each.epoch))]",
        killer="tests/unit/test_asking_nodes.py::"
        "test_former_members_do_not_outvote_those_that_replaced_them",
        evidence="AssertionError",
    ),
    Mutant(
        name="a program that reads does not hear what members say that it may not use now",
        place="_dispute",
        old="may_be_over(found, voices.values(), served)",
        new="may_be_over(found, voices.values(), {})",
        killer="tests/unit/test_looking.py::"
        "test_members_that_are_not_used_now_tell_in_which_epoch_they_served",
        evidence="it pauses before it asks again",
    ),
    Mutant(
        name="a primary that was never told its epoch may have begun it",
        place="believed",
        old="_is_news_to_its_primary(...)",
        new=REMOVED,
        killer="tests/unit/test_hearsay.py::"
        "test_a_primary_that_was_never_told_its_epoch_has_not_begun_it",
        evidence="assert ",
    ),
    Mutant(
        name="a truth that answers otherwise is one",
        place="_is_accepted_loss",
        old="each.node == told.decider and (each.identity != identity or each.epoch < told.epoch)",
        new=NEVER,
        killer="tests/unit/test_hearsay.py::"
        "test_what_only_looks_like_an_accepted_loss_holds_no_program",
        evidence="assert ",
    ),
    Mutant(
        name="a former identity is that of a truth",
        place="_is_accepted_loss",
        old="(each.identities.get(told.decider) != identity for each in heard if each.epoch < "
        "told.epoch)",
        new="(each.identities.get(told.decider) != identity for each in [former])",
        killer="tests/unit/test_hearsay.py::"
        "test_an_operator_gives_the_truth_an_identity_that_it_never_had",
        evidence="assert ",
    ),
    Mutant(
        name="one replica moves other servers by its word alone",
        place="_takes_many_along",
        old="has_moved or len(former.ids) - len(stays) > 1",
        new="len(former.ids) - len(stays) > 1",
        killer="tests/unit/test_lying_nodes.py::"
        "test_a_failover_has_nobody_tell_an_address_that_one_replica_made_up",
        evidence="evil",
    ),
    Mutant(
        name="one replica leaves all others out by its word alone",
        place="_takes_many_along",
        old="len(former.ids) - len(stays) > 1",
        new=REMOVED,
        killer="tests/unit/test_lying_nodes.py::"
        "test_one_replica_is_no_cluster_by_itself_while_the_primary_is_away[101]",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="fewer members that the primary alone tells yet are not believed",
        place="_is_denied",
        old="not is_begun",
        new=REMOVED,
        killer="tests/unit/test_hearsay.py::"
        "test_what_the_primary_alone_tells_of_fewer_members_is_believed",
        evidence="AssertionError",
    ),
    Mutant(
        name="cursors of a server that was replaced count for the new one",
        place="Topology.position_field",
        old="f'{node}@{identity}' if identity else node",
        new="node",
        killer="tests/unit/test_identity.py::"
        "test_cursors_and_marks_of_another_server_of_the_name_are_not_seen",
        evidence="assert ",
    ),
    Mutant(
        name="one alone moves the others while they serve",
        place="_is_refuted",
        old="stayed and is_role_moved and len(moved) <= 1 and heard.count(...) <= 1",
        new=NEVER,
        killer="tests/unit/test_hearsay.py::"
        "test_while_another_one_serves_one_member_alone_is_not_believed",
        evidence="assert ",
    ),
    Mutant(
        name="who bears a member's name speaks for it",
        place="_weight",
        old="topology.identities.get(voice.node) == voice.identity",
        new="voice.node in topology.identities",
        killer="tests/unit/test_hearsay.py::"
        "test_who_bears_the_name_of_another_member_speaks_for_nobody",
        evidence="assert ",
    ),
    Mutant(
        name="who bears a member's name has it leave its epoch",
        place="in_later_epochs",
        old="voice.node if is_member else f'{voice.node} ({voice.identity})'",
        new="voice.node",
        killer="tests/unit/test_hearsay.py::"
        "test_who_bears_the_name_of_another_member_does_not_end_its_epoch",
        evidence="assert not ",
    ),
    Mutant(
        name="a program goes where somebody of a member's name has moved",
        place="may_follow",
        old="known.identities.get(voice.node) == voice.identity",
        new="voice.node in known.ids",
        killer="tests/unit/test_hearsay.py::"
        "test_who_bears_the_name_of_another_member_speaks_for_nobody",
        evidence="assert not ",
    ),
    Mutant(
        name="at a member's place another member may speak",
        place="voices_of",
        old="node if (node := report.member.get(...)) == name or ... else f'{node} at {name}'",
        new="node if (node := report.member.get('node', '')) else ''",
        killer="tests/unit/test_asking_nodes.py::"
        "test_who_says_at_a_members_place_that_it_is_another_member_speaks_for_neither",
        evidence="assert ",
    ),
    Mutant(
        name="one step may move the role and change the members",
        place="_is_refuted",
        old="_takes_two_steps(...)",
        new=NEVER,
        killer="tests/unit/test_hearsay.py::test_one_step_moves_the_role_or_changes_the_members",
        evidence="assert ",
    ),
    Mutant(
        name="a cluster may change its kind",
        place="believed",
        old="""
            if more == 0:
                return known
            if more < 0: ...
        """,
        new="if True: ...",
        killer="tests/unit/test_hearsay.py::"
        "test_of_two_kinds_neither_is_believed_where_nothing_decides",
        evidence="assert ",
    ),
    Mutant(
        name="a topology keeps the options of the urls that are stored in it",
        place="topology._parse",
        old="public_url(_url(m['url']))",
        new="_url(m['url'])",
        killer="tests/unit/test_node_url.py::"
        "test_a_stored_topology_shows_no_options_of_earlier_versions",
        evidence="ssl_password",
    ),
    Mutant(
        name="a topology may name a primary that serves in an earlier epoch",
        place="_is_refuted",
        old="told.decider in objecting and len(objecting) > len(moved)",
        new=NEVER,
        killer="tests/unit/test_hearsay.py::test_the_primary_that_it_names_is_not_in_its_epoch",
        evidence="assert ",
    ),
    Mutant(
        name="several primaries do not follow beyond a number that is not given again",
        place="_is_refuted",
        old="former.epoch + LEFT_OVER_EPOCHS + 1",
        new="former.epoch + LEFT_OVER_EPOCHS",
        killer="tests/unit/test_hearsay.py::"
        "test_the_first_of_several_primaries_that_moves_is_believed[11-True]",
        evidence="assert Topology(",
    ),
)
