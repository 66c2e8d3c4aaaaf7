"""The simulator finds bugs: each planted one must show within so many histories."""

from __future__ import annotations

import pytest

from tests.simulation.planted import BUGS, Bug, hunt


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "bug",
    [pytest.param(bug, id=bug.name, marks=[] if bug.quick else [pytest.mark.soak]) for bug in BUGS],
)
def test_a_planted_bug_is_found(bug: Bug, capsys: pytest.CaptureFixture[str]) -> None:
    found = hunt(bug)
    assert found is not None, f"{bug.name!r} was not found in {bug.within} histories"
    verdict = found.result.verdict.value
    with capsys.disabled():
        print(f"\n{bug.name}: {verdict}, by history {found.seeds} of {bug.profile!r}")  # noqa: T201
