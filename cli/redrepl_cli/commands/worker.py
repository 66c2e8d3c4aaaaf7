"""`redrepl worker`."""

from __future__ import annotations

import click

from redrepl_cli.options import Invocation, common_options, log_level_option


@click.command
@click.option("--burst", is_flag=True, help="End when nothing is left to do.")
@click.option("--name", metavar="NAME", help="Name on the queue [default: a random one].")
@log_level_option
@common_options
def worker(invocation: Invocation, burst: bool, name: str | None, log_level: str) -> int:
    """Run a worker: it keeps the copies equal and the cluster serving.

    It brings up nodes that lag, that restarted or that were added, replaces a primary that is away,
    keeps the change logs short, and compares all keys of all copies once a day (`anti_entropy` in
    the configuration).

    Any number may run, on any machine. SIGTERM and Ctrl-C end it after the batch at hand.

    \b
    Examples: redrepl worker
              redrepl worker --burst --log-level WARNING
    """
    from redrepl_workers.worker import run_worker

    return run_worker(
        invocation.configuration(), burst=burst, name=name, log_level=log_level.upper()
    )
