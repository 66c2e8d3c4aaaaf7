"""`redrepl status`."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from redrepl import Administration, ClusterStatus, Unavailable
from redrepl_cli.errors import describe, show
from redrepl_cli.exit_codes import ExitCode
from redrepl_cli.options import Invocation, common_options
from redrepl_cli.output import console_for, write, write_json
from redrepl_cli.parameters import FiniteRange
from redrepl_cli.queue import QueueStatistics, queue_statistics
from redrepl_cli.views.status import EXIT_CODES, status_json, status_view, unanswered_status

if TYPE_CHECKING:
    from rich.console import RenderableType

Look = tuple[ClusterStatus, QueueStatistics]


@click.command
@click.option(
    "--watch", is_flag=True, help="Refresh until Ctrl-C; with --format json, one object per line."
)
@click.option(
    "--interval",
    "interval_seconds",
    type=FiniteRange(0.1, 3600),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="Pause of --watch.",
)
@click.option("--no-keys", is_flag=True, help="Do not count keys: a light look at large clusters.")
@common_options
def status(invocation: Invocation, watch: bool, interval_seconds: float, no_keys: bool) -> ExitCode:
    """Show every node's health and lag, statistics, the conditions of correct replication, and the
    queue.

    Exit codes: 0 healthy, 3 degraded (a copy is missing or behind), 4 unavailable (writes at the
    configured level cannot be confirmed).

    \b
    Examples: redrepl status
              redrepl status --format json | jq .condition
              redrepl status --watch --interval 1 --no-keys
    """
    configuration = invocation.configuration()
    with Administration(configuration) as administration:
        if not watch:
            return _once(administration, invocation.as_json, not no_keys)
        looks = _looks(administration, not no_keys, interval_seconds)
        if invocation.as_json:
            for look in looks:
                write_json(status_json(*look), compact=True)
        elif sys.stdout.isatty():
            _watch_live(looks)
        else:
            for look in looks:
                write(_view(look), "")
    return ExitCode.DONE


def _once(administration: Administration, as_json: bool, look_at_keys: bool) -> ExitCode:
    found, queue, error = _look(administration, look_at_keys)
    if as_json:
        write_json(status_json(found, queue))
    else:
        write(_view((found, queue)))
    if error is not None:
        show(error.message, {}, describe(error).advice)
    return EXIT_CODES[found.condition]


def _look(
    administration: Administration, look_at_keys: bool
) -> tuple[ClusterStatus, QueueStatistics, Unavailable | None]:
    queue = queue_statistics(administration.configuration)
    try:
        return administration.status(look_at_keys), queue, None
    except Unavailable as error:
        return unanswered_status(administration.configuration, error), queue, error


def _looks(
    administration: Administration, look_at_keys: bool, interval_seconds: float
) -> Iterator[Look]:
    """A look at every interval, for ever."""
    while True:
        found, queue, _ = _look(administration, look_at_keys)
        yield found, queue
        time.sleep(interval_seconds)


def _watch_live(looks: Iterator[Look]) -> None:
    from rich.live import Live
    from rich.text import Text

    with Live(
        Text("looking ..."), console=console_for(sys.stdout), auto_refresh=False, screen=True
    ) as live:
        for look in looks:
            live.update(_view(look), refresh=True)


def _view(look: Look) -> RenderableType:
    return status_view(*look, columns=console_for(sys.stdout).width)
