"""What a node's recovery does next: the tables in the docstrings decide every case, and the code
does what they say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from enum import Enum
from itertools import product
from typing import Any, NamedTuple

import pytest

from redrepl.plans.recovery.classification import (
    NO_SOURCE,
    UNDER_WAY,
    Classification,
    Facts,
    RecoveryStep,
    ResyncFacts,
    ResyncMethod,
    classify,
    facts_of,
    resync_facts,
    resync_method,
    step_for,
)
from redrepl.plans.view import ClusterView
from redrepl.values.report import NodeReport
from redrepl.values.reports import Reports
from redrepl.values.topology import Mode, Topology
from tests.unit.support.by_hand import topology
from tests.unit.support.reports import INCARNATION, report

EPOCH = 7
VALUES = {"yes": True, "no": False}


class Row(NamedTuple):
    """One row of a table: facts that matter, in the order of the fields of the facts, and what
    follows.
    """

    facts: Mapping[int, bool]
    outcome: str

    def applies(self, facts: tuple[Any, ...]) -> bool:
        """Whether this row is about these facts."""
        return all(facts[index] is value for index, value in self.facts.items())


def rows_of(function: Callable[..., object]) -> list[Row]:
    """The table in a function's docstring."""
    lines = [line.split() for line in (function.__doc__ or "").splitlines()]
    borders = [number for number, line in enumerate(lines) if line and set("".join(line)) == {"="}]
    assert len(borders) == 3, "a border, the head, a border, the rows, a border"
    return [_row(line) for line in lines[borders[1] + 1 : borders[2]]]


def _row(cells: list[str]) -> Row:
    *values, outcome = cells
    assert set(values) <= {"yes", "no", "-"}
    return Row(
        {index: VALUES[value] for index, value in enumerate(values) if value != "-"}, outcome
    )


STEPS, METHODS = rows_of(step_for), rows_of(resync_method)


def _combinations(fields: tuple[str, ...]) -> Iterator[tuple[bool, ...]]:
    return product((False, True), repeat=len(fields))


def _matching(rows: list[Row], fields: tuple[str, ...]) -> dict[tuple[bool, ...], list[Row]]:
    return {facts: [row for row in rows if row.applies(facts)] for facts in _combinations(fields)}


@pytest.mark.parametrize(
    ("rows", "fields"), [(STEPS, Facts._fields), (METHODS, ResyncFacts._fields)]
)
def test_exactly_one_row_decides_every_case(rows: list[Row], fields: tuple[str, ...]) -> None:
    undecided = {
        facts: found for facts, found in _matching(rows, fields).items() if len(found) != 1
    }
    assert undecided == {}


@pytest.mark.parametrize("row", STEPS, ids=lambda row: f"{row.outcome} {dict(row.facts)}")
def test_a_step_is_what_its_row_says(row: Row) -> None:
    covered = [facts for facts in _combinations(Facts._fields) if row.applies(facts)]
    assert {step_for(Facts(*facts)) for facts in covered} == {RecoveryStep[row.outcome]}


@pytest.mark.parametrize("row", METHODS, ids=lambda row: f"{row.outcome} {dict(row.facts)}")
def test_a_method_is_what_its_row_says(row: Row) -> None:
    covered = [facts for facts in _combinations(ResyncFacts._fields) if row.applies(facts)]
    assert {resync_method(ResyncFacts(*facts)) for facts in covered} == {ResyncMethod[row.outcome]}


@pytest.mark.parametrize(("rows", "outcomes"), [(STEPS, RecoveryStep), (METHODS, ResyncMethod)])
def test_every_outcome_has_a_row(rows: list[Row], outcomes: type[Enum]) -> None:
    assert {row.outcome for row in rows} == set(outcomes.__members__)


def _cluster(
    mode: Mode = Mode.PRIMARY_REPLICA, **members: dict[str, str]
) -> tuple[Topology, Reports]:
    """Three members that serve, each with these fields."""
    now = topology(3, mode, epoch=EPOCH)
    found: dict[str, NodeReport] = {}
    for node in now.ids:
        fields = {"lineage": str(EPOCH), "identity": now.identities[node], **members.get(node, {})}
        found[node] = replace(report(node, member=fields), topology=now).seen_by(now)
    return now, Reports(found)


def _facts(node: str, mode: Mode = Mode.PRIMARY_REPLICA, **members: dict[str, str]) -> Facts:
    now, reports = _cluster(mode, **members)
    sources = reports.among(now.sources_of(node))
    return facts_of(ClusterView(now), reports.present[node], reports, sources, False, None)


WELL = Facts(
    is_primary=False,
    has_source=True,
    is_member=True,
    is_ahead=False,
    may_have_forgotten=False,
    is_out=False,
    is_unfinished=False,
    has_successor=True,
    may_fail_over=False,
)
AHEAD = {"epoch": "8", "state": "fenced"}
RESTARTED = {"run_id": "run-0"}


def test_a_replica_that_serves_is_well() -> None:
    assert _facts("b") == WELL


def test_there_is_one_primary_or_none() -> None:
    assert _facts("a").is_primary
    assert not _facts("a", Mode.MULTI_PRIMARY).is_primary


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"state": "syncing"}, {"is_out": True}),
        ({"epoch": "6"}, {"is_out": True}),
        ({"clock_off": "5.0 s ahead"}, {"is_out": True}),
        ({"run_id": "forgot 12"}, {"is_out": True}),
        (RESTARTED, {"is_out": True}),
        (AHEAD, {"is_out": True, "is_ahead": True, "is_unfinished": True}),
        (AHEAD | RESTARTED, {"is_out": True, "is_ahead": True}),
    ],
)
def test_what_a_replica_tells(fields: dict[str, str], expected: dict[str, bool]) -> None:
    assert _facts("b", b=fields) == WELL._replace(**expected)


def test_what_the_others_tell() -> None:
    assert _facts("b", c=AHEAD) == WELL._replace(is_unfinished=True)
    assert not _facts("b", a=RESTARTED, c=RESTARTED).has_successor
    forgot = _facts("b", b=RESTARTED, c=AHEAD)
    assert (forgot.may_have_forgotten, forgot.is_unfinished) == (True, False)


def test_an_empty_server_is_no_member() -> None:
    now, reports = _cluster()
    empty = replace(reports.present["b"], member={})
    facts = facts_of(
        ClusterView(now), empty, reports.updated(Reports({"b": empty})), [], True, None
    )
    assert (facts.is_member, facts.has_source, facts.may_fail_over) == (False, False, True)


def test_what_ends_without_an_action_is_told_and_nothing_else() -> None:
    now, reports = _cluster(b=AHEAD)
    view, sources = ClusterView(now), reports.among(["a"])
    found = reports.present
    assert classify(view, found["b"], reports, sources, False, None) == (
        RecoveryStep.WAIT,
        UNDER_WAY,
    )
    assert classify(view, found["b"], reports, [], False, None) == (
        RecoveryStep.NO_SOURCE,
        NO_SOURCE,
    )
    assert classify(view, found["c"], reports, sources, False, None) == Classification(
        RecoveryStep.RESYNC
    )


def test_only_what_takes_the_role_or_gives_up_leaves_others_time() -> None:
    """Where no other member can end the change of epoch there is none to wait for."""
    patient = {step for step in RecoveryStep if step.leaves_others_time}
    assert patient == {RecoveryStep.FAIL_OVER, RecoveryStep.REINSTATE, RecoveryStep.EMPTY_PRIMARY}


def _resync_facts(
    fields: dict[str, str], mode: Mode = Mode.PRIMARY_REPLICA, has_mark: bool = True
) -> ResyncFacts:
    now, reports = _cluster(mode, b=fields)
    marks = {"a": (INCARNATION, "5-0", 3)} if has_mark else {}
    target = replace(reports.present["b"], marks=report("b", marks=marks).marks)
    return resync_facts(ClusterView(now), reports.present["a"], target, False)


KNOWN = ResyncFacts(is_exact=False, is_walked=False, is_unknown=False, is_diverged=False)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, KNOWN),
        ({"clock_off": "5.0 s ahead"}, KNOWN._replace(is_unknown=True)),
        ({"run_id": "forgot 12"}, KNOWN._replace(is_unknown=True)),
        ({"lineage": "6"}, KNOWN._replace(is_diverged=True)),
        ({"lineage": "0"}, KNOWN._replace(is_diverged=True)),
    ],
)
def test_what_a_copy_tells_of_how_it_is_resynced(
    fields: dict[str, str], expected: ResyncFacts
) -> None:
    assert _resync_facts(fields) == expected


def test_a_copy_that_never_served_and_read_nothing_of_a_source_is_unknown() -> None:
    assert _resync_facts({"lineage": "0"}, has_mark=False).is_unknown
    assert not _resync_facts({}, has_mark=False).is_unknown


def test_of_several_primaries_none_has_diverged() -> None:
    assert not _resync_facts({"lineage": "6"}, Mode.MULTI_PRIMARY).is_diverged
