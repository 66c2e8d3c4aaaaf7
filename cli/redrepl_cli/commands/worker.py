"""`redrepl worker`."""

from __future__ import annotations

import click

from redrepl_cli.options import Invocation, common_options


@click.command
@click.option("--burst", is_flag=True, help="End when nothing is left to do.")
@click.option("--name", metavar="NAME", help="Name on the queue [default: a random one].")
@click.option(
    "--log-level",
    type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"], case_sensitive=False),
    default="INFO",
    show_default=True,
    help="What to log on standard error.",
)
@common_options
def worker(invocation: Invocation, burst: bool, name: str | None, log_level: str) -> int:
    """Run a worker: it brings up nodes that lag, that restarted or that were added, and keeps the change logs short.

    Any number may run, on any machine. SIGTERM and Ctrl-C end it after the batch at hand.

    \b
    Examples: redrepl worker
              redrepl worker --burst --log-level WARNING
    """
    from redrepl_workers.worker import run_worker

    return run_worker(invocation.configuration(), burst=burst, name=name, log_level=log_level.upper())
