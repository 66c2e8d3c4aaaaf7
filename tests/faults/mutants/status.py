"""Bugs in status and administration."""

from __future__ import annotations

from tests.faults.planting import ALWAYS, NEVER, REMOVED, Mutant

MUTANTS = (
    Mutant(
        name="status is healthy where nobody would replace the primary",
        place="_problems_of",
        old="expected.fails_over and looked_ago is not None and looked_ago > UNWATCHED_SECONDS",
        new="expected.fails_over and False",
        killer="tests/servers/test_refusals.py::"
        "test_status_is_not_healthy_where_all_monitors_have_stopped",
        evidence="HEALTHY",
    ),
    Mutant(
        name="any server gets the place of a member",
        place="Administration.replace_node",
        old="self._check_fit(...)",
        new=REMOVED,
        killer="tests/cli/test_nodes_replace.py::test_a_server_that_cannot_be_a_node_gets_no_place",
        evidence="FAILED tests/cli/test_nodes_replace.py",
    ),
    Mutant(
        name="a primary that is dead is told to be started, where it is to be replaced",
        place="Administration._successor",
        old="if present: ...",
        new="if False: ...",
        killer="tests/cli/test_nodes_replace.py::"
        "test_a_dead_primary_is_replaced_by_a_failover_first",
        evidence="('', False) == ('', True)",
    ),
    Mutant(
        name="status is healthy as long as nodes answer",
        place="condition_of",
        old="s.takes_writes is not False",
        new=REMOVED,
        killer="tests/servers/test_refusals.py::"
        "test_a_primary_that_takes_no_writes_is_named_and_replaced",
        evidence="Condition.UNAVAILABLE",
    ),
    Mutant(
        name="monitors judge by looks from before their own failover",
        place="Administration._fail_over",
        old="self._look_anew()",
        new="pass",
        killer="tests/servers/test_far_nodes.py::"
        "test_what_was_seen_before_a_failover_is_looked_at_again_whatever_came_of_it",
        evidence="assert ",
    ),
    Mutant(
        name="several primaries that all forgot count as forgetful for good",
        place="Administration.set_forgetful_aside",
        old="self._forget_entries()",
        new="pass",
        killer="tests/servers/test_forgetting.py::"
        "test_several_primaries_that_were_all_set_back_go_on_with_what_they_have",
        evidence="assert False",
    ),
    Mutant(
        name="status takes a login that is to read alone for nodes that take no writes",
        place="_without_own_refusals",
        old="not refusals or not all(map(_is_of_reader, refusals))",
        new=ALWAYS,
        killer="tests/servers/test_access_rules.py::"
        "test_an_error_names_the_login_the_right_and_the_command_that_prints_it",
        evidence="Condition.UNAVAILABLE",
    ),
    Mutant(
        name="a login that cannot read records counts as one that is to read alone",
        place="_is_of_reader",
        old="not lacking_rights(...) <= READ_ONLY_COMMANDS",
        new=REMOVED,
        killer="tests/servers/test_rights_taken.py::"
        "test_where_no_node_can_be_read_writes_are_rejected_and_the_cluster_is_unavailable",
        evidence="assert ",
    ),
    Mutant(
        name="a primary that turns the looker away is said to be replaced",
        place="_on_takeover",
        old="refuses_us(...)",
        new=NEVER,
        killer="tests/servers/test_rights_taken.py::"
        "test_a_primary_that_turns_away_whoever_looks_is_said_to_stay",
        evidence="assert ",
    ),
    Mutant(
        name="a cluster is made of whatever servers there are",
        place="Administration.initialise",
        old="self._check_fit()",
        new=REMOVED,
        killer="tests/servers/test_init.py::"
        "test_servers_that_cannot_be_nodes_are_refused_and_named_and_nothing_is_written",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="a file that contradicts the cluster is not named",
        place="Administration.contradictions",
        old="""
            if topology is None or self.configuration.origin == BY_URLS:
                return {}
        """,
        new="return {}",
        killer="tests/cli/test_config.py::"
        "test_connect_and_status_name_what_contradicts_the_cluster",
        evidence="assert 0 == ",
    ),
    Mutant(
        name="a switchover does not say why its target does not catch up",
        place="Administration._prepare",
        old="why_not_ready(...)",
        new=REMOVED,
        killer="tests/servers/test_moving_the_primary.py::"
        "test_a_switchover_says_why_its_target_does_not_catch_up",
        evidence="assert {}",
    ),
    Mutant(
        name="a worker's job does not know at which addresses it asks",
        place="Administration.bring_up",
        old="self._reached_urls",
        new=REMOVED,
        killer="tests/servers/test_identity.py::"
        "test_a_worker_that_still_asks_at_a_former_address_gives_nothing_to_the_server_there",
        evidence="DID NOT RAISE",
    ),
)
