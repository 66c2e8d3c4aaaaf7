"""docs/diagrams.md: the diagram of a member's states has all of them, and its table every arrow."""

from __future__ import annotations

import re
from pathlib import Path

from redrepl import NodeState
from redrepl.values.member_state import MemberState
from tests.tidy.test_assumptions import cells

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs/diagrams.md").read_text("utf-8")
OUTSIDE = "[*]"
"""A server without membership."""

STATES = {state.value for state in MemberState if state.is_stored}

BLOCK = re.compile(r"^```mermaid\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ARROW = re.compile(r"^\s*(\S+) --> (\S+?): \S", re.MULTILINE)


def arrows(document: str) -> set[tuple[str, str]]:
    """The arrows of the one diagram of states, each with the words for what causes it."""
    diagrams = [text for text in BLOCK.findall(document) if text.startswith("stateDiagram")]
    assert len(diagrams) == 1
    found = ARROW.findall(diagrams[0])
    assert len(found) == diagrams[0].count("-->"), "an arrow says nothing of its cause"
    return set(found)


def explained(document: str) -> set[tuple[str, str]]:
    """The arrows that the table below the diagram explains; `any` stands for every state."""
    rows = [cells(line) for line in document.splitlines() if line.startswith("|")]
    pairs = [(row[0].strip("`"), row[1].strip("`")) for row in rows if len(row) == 4]
    origins = {origin for origin, _ in arrows(document)} - {OUTSIDE}
    found = set()
    for origin, end in pairs:
        found |= {(each, end) for each in (origins if origin == "any" else {origin})}
    return found - {("from", "to"), ("---", "---")}


def test_every_state_that_the_code_knows_is_in_the_diagram() -> None:
    drawn = {state for arrow in arrows(DOCUMENT) for state in arrow}
    assert drawn == {*STATES, OUTSIDE}


def test_every_state_can_be_entered_and_left() -> None:
    entered = {end for origin, end in arrows(DOCUMENT) if origin != end}
    left = {origin for origin, end in arrows(DOCUMENT) if origin != end}
    assert entered == left == {*STATES, OUTSIDE}


def test_the_table_explains_every_arrow_and_no_other() -> None:
    assert explained(DOCUMENT) == arrows(DOCUMENT)


def test_every_state_that_is_shown_is_derived_from_these() -> None:
    shown = {row[0] for row in map(cells, DOCUMENT.splitlines()) if len(row) == 2}
    assert {f"`{state.value}`" for state in NodeState} <= shown


def test_a_state_or_an_arrow_that_is_missing_is_found() -> None:
    lacking = DOCUMENT.replace("    syncing --> fenced: a new epoch begins\n", "")
    assert explained(lacking) - arrows(lacking) == {("syncing", "fenced")}
    unexplained = re.sub(r"^\| `fenced` \| `active` .*\n", "", DOCUMENT, flags=re.MULTILINE)
    assert arrows(unexplained) - explained(unexplained) == {("fenced", "active")}
