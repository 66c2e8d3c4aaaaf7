"""Asking before something is changed that cannot be changed back."""

from __future__ import annotations

import sys

import click

from redrepl_cli.errors import CommandFailed
from redrepl_cli.exit_codes import ExitCode
from redrepl_cli.output import say


def require_terminal_or_yes(yes: bool, what: str) -> None:
    """Raise CommandFailed where nobody can be asked and ``--yes`` was not given: before anything is
    looked at.
    """
    if not yes and not sys.stdin.isatty():
        raise CommandFailed(
            f"{what} asks before it changes anything, and there is no terminal to ask on",
            ExitCode.USAGE,
            "give --yes to go on without being asked",
        )


def confirm_by_name(yes: bool, what: str, changes: str, name: str) -> None:
    """As `confirm`, for what nobody should agree to by habit: the name must be typed."""
    require_terminal_or_yes(yes, what)
    say(changes)
    if (
        not yes
        and click.prompt(f"Type {name} to go on", default="", show_default=False, err=True) != name
    ):
        raise CommandFailed("nothing was changed", ExitCode.ERROR)


def confirm(yes: bool, what: str, changes: str) -> None:
    """Show what will change and ask. Raises CommandFailed on no, and where nobody can be asked."""
    require_terminal_or_yes(yes, what)
    say(changes)
    if not yes and not click.confirm("Go on?", default=False, err=True):
        raise CommandFailed("nothing was changed", ExitCode.ERROR)
