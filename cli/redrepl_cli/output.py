"""Where output goes: data to standard output, in UTF-8 whatever the locale; messages to standard
error.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

import click

from redrepl_cli.text import printable

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

NO_TERMINAL_COLUMNS = 200
"""A file or a pipe has no width; tables take what they need, up to this."""

USUAL_COLUMNS = 80
MOST_DIGITS = 4
"""Of a terminal that does not tell."""

ABSENT = "-"
"""Stands in tables for what is not known or does not apply."""


def say(message: str = "") -> None:
    """A message to the person: standard error."""
    click.echo(message.encode("utf-8", "backslashreplace"), err=True)


def write_text(text: str) -> None:
    """A line or lines of data."""
    click.echo(text.encode("utf-8", "backslashreplace"))


def write_json(content: Mapping[str, Any], compact: bool = False) -> None:
    """An object; ``compact``: on one line, for streams of objects."""
    separators = (",", ":") if compact else None
    text = json.dumps(
        content, ensure_ascii=False, indent=None if compact else 2, separators=separators
    )
    write_text(text)


def write_value(value: bytes) -> None:
    """A stored value: exactly its bytes, but on a terminal with a newline and with control
    characters escaped.
    """
    if sys.stdout.isatty():
        click.echo(printable(value, keep="\n\t"))
    else:
        click.echo(value, nl=False)


def console_for(stream: TextIO) -> Console:
    """A console that fits the stream: colours and its width on a terminal, else neither."""
    from rich.console import Console

    return Console(
        file=stream,
        width=_columns_of(stream, os.environ.get("COLUMNS", "")),
        highlight=False,
        markup=False,
        emoji=False,
    )


def _columns_of(stream: TextIO, wished: str) -> int:
    """COLUMNS where it is a width at all (some programs set it to 0), else the terminal's."""
    if wished.isascii() and wished.isdigit() and len(wished) <= MOST_DIGITS and int(wished) > 0:
        return int(wished)
    if not stream.isatty():
        return NO_TERMINAL_COLUMNS
    try:
        return os.get_terminal_size(stream.fileno()).columns or USUAL_COLUMNS
    except OSError:
        return USUAL_COLUMNS


def write(*parts: RenderableType) -> None:
    """Tables and text."""
    console = console_for(sys.stdout)
    with console.capture() as captured:
        for part in parts:
            console.print(part)
    lines = captured.get().splitlines()
    write_text("\n".join(line.rstrip() for line in lines))


def plain_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """Columns without lines, to be read by people, grep and awk."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(cell_text(cell)) for cell in row))
    return table


def cell_text(cell: object) -> str:
    """A cell's text."""
    if cell is None or cell == "":
        return ABSENT
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    return str(cell)


def listing(pairs: Sequence[tuple[str, object]]) -> Table:
    """Names and values below each other."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    for name, value in pairs:
        table.add_row(name, value if isinstance(value, Text) else Text(cell_text(value)))
    return table
