"""Bugs in the command line."""

from __future__ import annotations

from tests.faults.planting import Mutant

MUTANTS = (
    Mutant(
        name="processes of commands import what lies in the present directory",
        place="SAFE_PATH",
        old="('-P',)",
        new="('-B',)",
        killer="tests/cli/test_surroundings.py::"
        "test_processes_that_commands_start_import_nothing_from_the_present_directory",
        evidence="planted",
    ),
    Mutant(
        name="a command's time-out does not follow the distance",
        place="timeout_for",
        old="max(coordinator.configuration.timeout_seconds, measured)",
        new="min(coordinator.configuration.timeout_seconds, measured)",
        killer="tests/servers/test_far_nodes.py::"
        "test_commands_on_values_reach_nodes_that_are_far_with_the_time_outs_as_they_are",
        evidence="AssertionError",
    ),
    Mutant(
        name="a check of the configuration looks at no server's fitness",
        place="contacted",
        old="{**administration.contradictions(topology, reports), "
        "**administration.unfit_servers()}",
        new="{**administration.contradictions(topology, reports)}",
        killer="tests/cli/test_config.py::test_connect_names_a_member_that_evicts",
        evidence="assert 0 == ",
    ),
)
