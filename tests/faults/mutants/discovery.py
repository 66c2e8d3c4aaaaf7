"""Bugs in how programs find the members and the primary."""

from __future__ import annotations

from tests.faults.planting import ALWAYS, NEVER, REMOVED, Mutant

MUTANTS = (
    Mutant(
        name="of two topologies of one epoch it does not count which was believed before",
        place="Reaching._newest",
        old="newest = newest_topology(...) if before in told else newest",
        new=REMOVED,
        killer="tests/servers/test_lying_nodes.py::"
        "test_one_that_says_it_is_the_primary_of_this_very_epoch_is_not_followed_when_the_primary_"
        "dies",
        evidence="assert None == ",
    ),
    Mutant(
        name="the login goes to whatever address a topology names",
        place="Addresses.may_reach",
        old="place_of(...) in self._places",
        new=ALWAYS,
        killer="tests/servers/test_lying_nodes.py::"
        "test_no_login_goes_to_an_address_that_the_one_node_that_is_heard_names",
        evidence="assert not True",
    ),
    Mutant(
        name="one of three that names an address is enough",
        place="Addresses.hear",
        old="count > asked // 2",
        new="count",
        killer="tests/servers/test_lying_nodes.py::"
        "test_no_login_goes_to_an_address_that_the_one_node_that_is_heard_names",
        evidence="assert not True",
    ),
    Mutant(
        name="of two nodes one that came back with older data keeps a new member from being "
        "reached",
        place="Addresses.hear_reports",
        old="asked == 2 and report.has_restarted",
        new=REMOVED,
        killer="tests/servers/test_returning_primary.py::"
        "test_a_primary_that_crashes_while_a_new_member_is_filled_is_put_back",
        evidence="nothing left to bring up",
    ),
    Mutant(
        name="the administration follows former members one step and no further",
        place="Reaching._inspect",
        old="while topology is not None and asked != self._places(): ...",
        new="for _ in range(1 if topology is not None and asked != self._places() else 0): ...",
        killer="tests/servers/test_identity.py::test_former_members_lead_on_step_by_step",
        evidence="AssertionError",
    ),
    Mutant(
        name="a far primary is suspected as soon as a near one",
        place="suspect_seconds",
        old="min(max(SUSPECT_SECONDS, usual_seconds), limits.LONGEST_SUSPECT_SECONDS)",
        new="SUSPECT_SECONDS",
        killer="tests/unit/test_write_one.py::test_a_primary_that_is_far_is_suspected_later",
        evidence="AssertionError",
    ),
    Mutant(
        name="a write does not say whom it takes for the primary",
        place="ClusterView.__init__",
        old="claim = () if self.decider is None else (b'by ' + self.decider.encode(),)",
        new="claim: tuple[bytes, ...] = ()",
        killer="tests/unit/test_following_epochs.py::"
        "test_a_write_that_a_replica_was_to_decide_is_looked_for_where_it_is_decided",
        evidence="by a",
    ),
    Mutant(
        name="a delete is refused at full memory",
        place="ClusterView.write_call",
        old="'write_oom' if is_smaller or record[22:23] == TOMBSTONE else 'write'",
        new="'write'",
        killer="tests/servers/test_full_memory.py::test_a_full_cluster_deletes",
        evidence="OOM command not allowed",
    ),
    Mutant(
        name="a guard that was overwritten is read as an epoch",
        place="ClusterView.check_serving",
        old="epoch and not (epoch.isdigit() and len(epoch) < _EPOCH_DIGITS)",
        new=NEVER,
        killer="tests/unit/test_read_one.py::test_a_copy_that_does_not_serve_is_passed_over",
        evidence="ValueError",
    ),
    Mutant(
        name="the members are known and others are asked",
        place="Reaching.find_members",
        old="topology != found.topology",
        new=NEVER,
        killer="tests/servers/test_identity.py::"
        "test_who_knows_the_members_asks_them_although_a_second_look_is_told_less",
        evidence="assert ",
    ),
)
