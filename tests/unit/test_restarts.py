"""The rule of upkeep for a server that restarts in the middle of a plan."""

from __future__ import annotations

from redrepl.edges.restarts import RESTARTED, RestartGuard


def test_a_node_that_answered_and_restarted_since_is_not_used_for_the_rest_of_the_plan() -> None:
    guard = RestartGuard()
    guard.note_reply("a", "run-1")
    assert guard.refusal("a", "run-1") is None
    assert guard.refusal("a", "run-2") == RESTARTED


def test_what_counts_is_the_first_run_that_answered() -> None:
    """An answer of the later run may still come, on a connection that was opened before anything
    was concluded.
    """
    guard = RestartGuard()
    guard.note_reply("a", "run-1")
    guard.note_reply("a", "run-2")
    assert guard.refusal("a", "run-2") == RESTARTED


def test_a_node_that_has_not_answered_may_have_restarted_as_often_as_it_likes() -> None:
    guard = RestartGuard()
    guard.note_reply("a", "run-1")
    assert guard.refusal("b", "run-7") is None


def test_the_next_plan_concludes_nothing_from_what_the_one_before_was_told() -> None:
    guard = RestartGuard()
    guard.note_reply("a", "run-1")
    guard.begin_plan()
    assert guard.refusal("a", "run-2") is None
