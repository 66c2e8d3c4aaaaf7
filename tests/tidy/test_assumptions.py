"""The list of assumptions: each row is whole, and what it says breaks the assumption exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from redrepl_cli.chaos.faults import FAULTS
from tests.simulation.settings import PROFILES

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs/assumptions.md").read_text("utf-8")
COLUMNS = 5
NOT_PROMISED = re.compile(
    r"^## What is not promised\n(?P<table>.*?)(?:^## |\Z)", re.MULTILINE | re.DOTALL
)
LAST_CELL = re.compile(r"`(?P<named>[^`]+)`|not promised: (?P<promise>[^,;`]+(?:, (?!`)[^,;`]+)*)")
SIMULATED = set(PROFILES) | {kind for profile in PROFILES.values() for kind in profile.faults}


def cells(line: str) -> list[str]:
    """The cells of a row of a table."""
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def rows(document: str) -> list[list[str]]:
    """The rows of all tables, without headings."""
    lines = [line for line in document.splitlines() if line.startswith("|")]
    return [cells(line) for line in lines if not line.startswith(("|---", "| assumption |"))]


def promises_not_made() -> list[str]:
    """What guarantees.md lists as not promised."""
    found = NOT_PROMISED.search((ROOT / "docs/guarantees.md").read_text("utf-8"))
    assert found is not None
    return [cells(line)[0] for line in found["table"].splitlines() if line.startswith("|")]


def test_exists(name: str) -> bool:
    """Whether there is such a test, as folder/file::function."""
    path, _, function = name.partition("::")
    file = ROOT / "tests" / f"{path}.py"
    return (
        file.is_file()
        and re.search(rf"def {re.escape(function)}\(", file.read_text("utf-8")) is not None
    )


test_exists.__test__ = False  # type: ignore[attr-defined]


def trouble_with(row: list[str]) -> str | None:
    """What is wrong with a row, in words."""
    if len(row) != COLUMNS:
        return f"{len(row)} cells instead of {COLUMNS}: {row[0]}"
    if not all(row[:2]):
        return f"an assumption without what can break it: {row}"
    found = list(LAST_CELL.finditer(row[-1]))
    if not found:
        return f"nothing breaks it: {row[0]}"
    if not all(row) and not all(each["promise"] for each in found):
        return f"it is not said how it is noticed and what happens: {row[0]}"
    wrong = [each.group() for each in found if not _exists(each["named"], each["promise"])]
    return f"{', '.join(wrong)} does not exist: {row[0]}" if wrong else None


def _exists(named: str | None, promise: str | None) -> bool:
    if promise is not None:
        return any(promise.strip() in entry for entry in promises_not_made())
    assert named is not None
    kind, _, rest = named.partition(" ")
    if kind == "chaos":
        return rest in FAULTS
    return rest in SIMULATED if kind == "simulator" else test_exists(named)


def test_every_assumption_is_broken_by_something_that_exists() -> None:
    found = rows(DOCUMENT)
    assert len(found) > 30
    assert [trouble for row in found if (trouble := trouble_with(row))] == []


def test_every_fault_of_a_node_or_link_stands_in_the_list() -> None:
    """A fault that breaks no assumption of the list shows that the list lacks one."""
    last_cells = " ".join(row[-1] for row in rows(DOCUMENT))
    named = set(re.findall(r"`chaos ([a-z-]+)`", last_cells))
    assert set(FAULTS) - named == set()


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (["a", "b", "c", "d"], "4 cells"),
        (["a", "", "c", "d", "`chaos kill`"], "without what can break it"),
        (["a", "b", "c", "", "`chaos kill`"], "it is not said how"),
        (["a", "b", "c", "d", ""], "nothing breaks it"),
        (["a", "b", "c", "d", "words alone"], "nothing breaks it"),
        (["a", "b", "c", "d", "`chaos nonsense`"], "`chaos nonsense` does not exist"),
        (["a", "b", "c", "d", "`simulator nonsense`"], "`simulator nonsense` does not exist"),
        (
            ["a", "b", "c", "d", "`unit/test_failover::test_nonsense`"],
            "test_nonsense` does not exist",
        ),
        (
            ["a", "b", "c", "d", "`unit/test_nonsense::test_x`, `chaos kill`"],
            "test_x` does not exist",
        ),
        (["a", "b", "c", "d", "not promised: nonsense"], "not promised: nonsense does not exist"),
    ],
)
def test_a_row_that_is_not_whole_is_found(row: list[str], said: str) -> None:
    assert said in (trouble_with(row) or "")


def test_a_row_that_is_whole_is_left() -> None:
    last = (
        "`chaos kill`, `simulator kill older`, "
        "`unit/test_failover::test_a_rival_who_was_quicker_is_left_alone`"
    )
    assert (
        trouble_with(["a", "b", "c", "d", f"{last}, not promised: anything on servers that evict"])
        is None
    )
