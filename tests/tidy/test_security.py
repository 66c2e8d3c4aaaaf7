"""SECURITY.md: every measure names a test, and every test that it names exists."""

from __future__ import annotations

import re
from pathlib import Path

from tests.tidy.test_assumptions import cells, test_exists

DOCUMENT = (Path(__file__).parents[2] / "SECURITY.md").read_text("utf-8")
ROWS = [
    cells(line)
    for line in DOCUMENT.splitlines()
    if line.startswith("|") and not line.startswith(("|---", "| threat"))
]
NAMED = re.compile(r"`([\w/]+::\w+)`")


def test_every_measure_has_a_test() -> None:
    assert ROWS
    assert [row[0] for row in ROWS if not NAMED.search(row[-1]) and row[-1] != "the same"] == []


def test_what_is_named_exists() -> None:
    assert [name for row in ROWS for name in NAMED.findall(row[-1]) if not test_exists(name)] == []
