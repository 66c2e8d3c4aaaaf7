"""Bugs in what all plans share."""

from __future__ import annotations

from tests.faults.planting import NEVER, REMOVED, Mutant

MUTANTS = (
    Mutant(
        name="all steps of a walk have one deadline",
        place="Steps.step",
        old="if event is not None: ...",
        new=REMOVED,
        killer="tests/unit/test_long_walks.py::"
        "test_a_replica_is_walked_that_has_everything_and_more",
        evidence="no answer in time",
    ),
    Mutant(
        name="what is under way on several lanes has one deadline",
        place="Lanes._take",
        old="self._steps.at = event.at",
        new=REMOVED,
        killer="tests/unit/test_long_walks.py::test_an_empty_replica_is_filled",
        evidence="no answer in time",
    ),
    Mutant(
        name="an answer reaches a plan that does not want it any more",
        place="side_by_side.side_by_side",
        old="lane.is_afresh",
        new=NEVER,
        killer="tests/unit/test_side_by_side.py::"
        "test_what_one_does_not_want_any_more_reaches_nobody",
        evidence="assert",
    ),
    Mutant(
        name="the end of a rest fails what waits for a connection",
        place="Lanes.rest",
        old="holds=True",
        new=REMOVED,
        killer="tests/unit/test_lanes.py::"
        "test_the_end_of_a_rest_is_no_deadline_of_what_waits_for_a_connection",
        evidence="(1, 101.0, False) == (1, 101.0, True)",
    ),
)
