"""The text of a scenario: commands at the margin, and what happened after each, indented below it.

Comments begin with ``#``. They and blank lines stay as they are when the outcome is written anew.
"""

from __future__ import annotations

from collections.abc import Callable

INDENT = "  "

CarryOut = Callable[[str], list[str]]
"""Does what a command says; returns what happened, a line each."""


def commands(text: str) -> list[str]:
    """The commands of a scenario, in order."""
    return [line for line in text.splitlines() if _is_command(line)]


def rewritten(text: str, carry_out: CarryOut) -> str:
    """The text with what happens now below each command, in place of what was written there."""
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith(INDENT):
            continue
        lines.append(line.rstrip())
        if _is_command(line):
            lines += [INDENT + told for told in carry_out(line)]
    return "\n".join(lines) + "\n"


def _is_command(line: str) -> bool:
    return bool(line.strip()) and not line.startswith((INDENT, "#"))
