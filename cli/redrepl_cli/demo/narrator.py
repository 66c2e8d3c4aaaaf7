"""Telling what happens, with the time since the start: on standard output, or on standard error
beside JSON.
"""

from __future__ import annotations

import time

import click


class Narrator:
    """Prints one line per event."""

    def __init__(self, to_stderr: bool) -> None:
        self._to_stderr = to_stderr
        self.started = time.monotonic()

    @property
    def elapsed_seconds(self) -> float:
        """Since the demo began."""
        return time.monotonic() - self.started

    def headline(self, text: str) -> None:
        """The start of a part."""
        click.echo(click.style(f"\n{text}", bold=True), err=self._to_stderr)

    def say(self, text: str) -> None:
        """One event."""
        click.echo(f"  {self.elapsed_seconds:5.1f} s  {text}", err=self._to_stderr)

    def verdict(self, good: bool, text: str) -> None:
        """A result that may be good or bad."""
        mark = click.style("ok  ", fg="green") if good else click.style("FAIL", fg="red", bold=True)
        click.echo(f"  {mark}  {text}", err=self._to_stderr)
