"""ARCHITECTURE's table "Where to change what" names files and names that exist."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tidy import change_table
from tests.tidy.tree import ROOT

ROWS = change_table.rows((ROOT / "ARCHITECTURE.md").read_text("utf-8"))
ROOTS = (ROOT, ROOT / "redrepl")


def test_the_table_is_found() -> None:
    assert len(ROWS) > 12
    assert "add an operation" in dict(ROWS)


@pytest.mark.parametrize(("task", "where"), ROWS, ids=[task for task, _ in ROWS])
def test_what_a_row_names_exists(task: str, where: str) -> None:
    del task
    assert change_table.wrong_names(where, ROOTS) == []


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("`plans/here.py`", []),
        ("the table in `plans/here.py` (`Here`)", []),
        ("a `Here` in `plans/`", []),
        ("`plans/gone.py`, `plans/here.py`", ["no file plans/gone.py"]),
        ("`here.py`", ["no file here.py"]),
        ("`plans/here.py` (`Gone`)", ["no Gone in these files"]),
        ("`plans/here.py` (`Her`)", ["no Her in these files"]),
        ("a `Gone` in `plans/`", ["no Gone in these files"]),
        ("look around", ["names no file"]),
    ],
)
def test_a_row_that_names_what_does_not_exist_is_found(
    tmp_path: Path, where: str, found: list[str]
) -> None:
    (tmp_path / "plans").mkdir()
    (tmp_path / "plans/here.py").write_text("class Here: ...\n")
    assert change_table.wrong_names(where, (tmp_path,)) == found


def test_only_the_rows_of_this_table_are_looked_at() -> None:
    table = "| to | look at |\n|---|---|\n| add | `a.py` |\n"
    document = (
        f"| no | row |\n\n{change_table.HEADING}\n\nText.\n\n{table}\n## Next\n\n| another "
        "| row |\n"
    )
    assert change_table.rows(document) == [("add", "`a.py`")]
