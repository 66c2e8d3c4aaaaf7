"""What is said of a change of members, or of the primary, that failed: what is so now, why, and
what to do.
"""

from __future__ import annotations

import pytest

from redrepl.plans.epochs.changed import outcome_of_change, why_not_ready
from redrepl.values.report import Log, NodeReport
from redrepl.values.reports import NO_REPORTS, Reports
from redrepl.values.topology import Member, NodeRole
from tests.unit.support.by_hand import topology
from tests.unit.support.reports import report, stranger

OLD = topology(3)
NEW = OLD.with_member(Member("d", "redis://d:6379/0", NodeRole.REPLICA))


def _reports(**found: NodeReport | str) -> Reports:
    return Reports.collect({**{node: report(node) for node in "abc"}, **found})


def test_nothing_was_changed() -> None:
    outcome = outcome_of_change(OLD, NEW, OLD, _reports(d="h:1 refuses connections"))
    assert outcome.state == "nothing was changed: the members are a, b, c still, in epoch 7"
    assert "try again" in outcome.advice


def test_a_change_that_was_begun_and_not_won() -> None:
    outcome = outcome_of_change(OLD, NEW, OLD, _reports(a=report("a", epoch="8", state="fenced")))
    assert (
        "nothing was changed for good: the members are a, b, c still, but a (epoch 8) had been "
        "moved" in outcome.state
    )
    assert "`redrepl failover`" in outcome.advice


@pytest.mark.parametrize(
    ("found", "why"),
    [("h:1 refuses connections", "refuses"), (stranger("d"), "its server has not taken")],
)
def test_the_members_were_changed_and_the_new_one_is_not_ready(
    found: NodeReport | str, why: str
) -> None:
    outcome = outcome_of_change(OLD, NEW, NEW, _reports(d=found))
    assert (
        "the members were changed all the same: they are a, b, c, d since epoch 8, and 3 of 4 are"
        in outcome.state
    )
    assert f"d counts among them, but is not ready: {why}" in outcome.state.replace("h:1 ", "")
    assert "do not add it again" in outcome.advice
    assert "`redrepl nodes remove d`" in outcome.advice


def test_the_members_were_changed_and_the_rest_is_left_to_the_workers() -> None:
    outcome = outcome_of_change(OLD, NEW, NEW, _reports(d=report("d", state="syncing")))
    assert outcome.advice.startswith("nothing: the workers do the rest")


def test_a_removed_node_may_not_know_it() -> None:
    outcome = outcome_of_change(OLD, OLD.without_member("c"), OLD.without_member("c"), _reports())
    assert "c is out, but its server may not know it" in outcome.state
    assert "empty the server of c" in outcome.advice


def test_another_change_came_first_or_none_answers() -> None:
    assert (
        "another change came first"
        in outcome_of_change(OLD, NEW, OLD.with_primary("b", 9), _reports()).state
    )
    assert "not known" in outcome_of_change(OLD, NEW, None, NO_REPORTS).state


SOURCE = report("a", log=Log(9000, "9-0", 9000, "1-0"), cursors={"b": ("4-0", 4000)})
FOLLOWS = report("b", epoch="7")


@pytest.mark.parametrize(
    ("source", "node", "said"),
    [
        (
            SOURCE,
            FOLLOWS,
            "lacks 5000 changes; it is slower than what is written, or refuses writes",
        ),
        (
            SOURCE,
            report("b", state="syncing"),
            "is syncing still; `redrepl status` and the workers' log say why",
        ),
        (
            SOURCE,
            report("b", state="fenced"),
            "is fenced still; `redrepl status` and the workers' log say why",
        ),
        (
            SOURCE,
            stranger("b"),
            "is without membership still; `redrepl status` and the workers' log say why",
        ),
        (SOURCE, None, "no answer"),
        (None, FOLLOWS, "no answer"),
    ],
)
def test_why_a_node_that_was_brought_up_again_and_again_cannot_become_the_primary(
    source: NodeReport | None, node: NodeReport | None, said: str
) -> None:
    assert why_not_ready(source, node) == said
