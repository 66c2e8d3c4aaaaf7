"""The simulator finds bugs: each planted one must show within so many histories."""

from __future__ import annotations

import pytest

from tests.simulation.planted import BUGS, Bug, hunt

QUICK_SEEDS = 400


def _name(bug: Bug) -> str:
    return bug.name


@pytest.mark.parametrize(
    "bug",
    [pytest.param(bug, id=bug.name, marks=[pytest.mark.soak] * (bug.within > QUICK_SEEDS)) for bug in BUGS],
)
@pytest.mark.timeout(1200)
def test_a_planted_bug_is_found(bug: Bug, record_property: pytest.FixtureRequest) -> None:
    found = hunt(bug)
    assert found is not None, f"{bug.name!r} was not found in {bug.within} histories"
    record_property("histories", found.seeds)  # type: ignore[operator]
    print(f"{bug.name}: found by history {found.seeds}, {found.result.verdict.value}")  # noqa: T201
