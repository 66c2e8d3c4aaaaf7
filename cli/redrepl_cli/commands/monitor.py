"""`redrepl monitor`."""

from __future__ import annotations

import click

from redrepl import ConfigError, Mode
from redrepl.edges.configuration import AUTOMATIC
from redrepl_cli.options import Invocation, common_options, log_level_option


@click.command
@log_level_option
@common_options
def monitor(invocation: Invocation, log_level: str) -> int:
    """Watch the nodes and replace the primary when it is away.

    Every worker does this too.

    For machines that see the nodes and run no worker. Any number may run: a failover needs a
    majority of the members, and whoever is second stops. SIGTERM and Ctrl-C end it.

    \b
    Example: redrepl monitor --log-level WARNING
    """
    from redrepl_workers.worker import run_monitor

    configuration = invocation.configuration()
    if configuration.mode is not Mode.PRIMARY_REPLICA:
        raise ConfigError(
            "in multi-primary mode every node is a primary: there is nothing to fail over"
        )
    if configuration.failover != AUTOMATIC:
        raise ConfigError(
            'failover = "manual" is set: nothing is replaced by itself, so there is nothing to '
            "watch for"
        )
    return run_monitor(configuration, log_level=log_level.upper())
