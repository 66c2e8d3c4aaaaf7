"""The command `redrepl`: its commands, and the edge where errors become exit codes."""

from __future__ import annotations

import sys
from typing import Any, NoReturn

import click

from redrepl_cli.errors import report, silence_output
from redrepl_cli.exit_codes import ExitCode
from redrepl_cli.lazy import LazyCommand, LazyGroup
from redrepl_cli.options import DEBUG

COMMANDS = {
    "demo": LazyCommand("redrepl_cli.demo.command:demo", "Watch a small cluster lose servers and no writes."),
    "up": LazyCommand("redrepl_cli.commands.up:up", "Run a local cluster of embedded servers until Ctrl-C."),
    "init": LazyCommand("redrepl_cli.commands.init:init", "Make the configured nodes a cluster."),
    "status": LazyCommand("redrepl_cli.commands.status:status", "Show health, lag, statistics and the queue."),
    "nodes": LazyCommand("redrepl_cli.commands.nodes:nodes", "List, add and remove nodes."),
    "get": LazyCommand("redrepl_cli.commands.get:get", "Read a value."),
    "set": LazyCommand("redrepl_cli.commands.write:set_value", "Store a value."),
    "delete": LazyCommand("redrepl_cli.commands.write:delete", "Delete keys."),
    "sync": LazyCommand("redrepl_cli.commands.sync:sync", "Make one or all replicas equal to the primary."),
    "verify": LazyCommand("redrepl_cli.commands.verify:verify", "Prove that all copies are equal; --repair them."),
    "switchover": LazyCommand("redrepl_cli.commands.failover:switchover", "Move the primary's role; loses nothing."),
    "failover": LazyCommand("redrepl_cli.commands.failover:failover", "Replace a primary that is away."),
    "discarded": LazyCommand("redrepl_cli.commands.discarded:discarded", "List and restore what nodes gave up."),
    "plan": LazyCommand("redrepl_cli.commands.plan:plan", "Compute how available a number of copies will be."),
    "jobs": LazyCommand("redrepl_cli.commands.jobs:jobs", "List the workers' jobs."),
    "worker": LazyCommand("redrepl_cli.commands.worker:worker", "Run a worker, which brings nodes up."),
    "monitor": LazyCommand("redrepl_cli.commands.monitor:monitor", "Watch the nodes; replace a primary that is away."),
    "bench": LazyCommand("redrepl_cli.bench.command:bench", "Measure throughput and latency."),
    "chaos": LazyCommand("redrepl_cli.chaos.command:chaos", "Break a throw-away cluster and prove that it holds."),
    "config": LazyCommand("redrepl_cli.commands.config:config", "Check and show the configuration."),
}


class Program(LazyGroup):
    """The outermost group: a command returns its exit code or nothing, and every error ends here."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command and exit with its code."""
        try:
            code = super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit):
            raise  # click shows its own usage errors
        except (Exception, KeyboardInterrupt) as error:
            code = report(error, bool(ctx.meta.get(DEBUG)))
        ctx.exit(int(code) if isinstance(code, int) else ExitCode.DONE)


@click.group(
    cls=Program,
    table=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Exit codes: 0 healthy or done, 1 error, 2 usage, 3 degraded, 4 unavailable.",
)
@click.version_option(package_name="redrepl", message="redrepl %(version)s")
def cli() -> None:
    """Several plain Redis or Valkey servers as one replicated store.

    \b
    redrepl up                      a local cluster to try things on
    redrepl set user:1 ada          write to it
    redrepl status                  see how it is
    """


def main() -> NoReturn:
    """The entry point."""
    try:
        cli(prog_name="redrepl")
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)
    finally:
        _flush()
    sys.exit(ExitCode.ERROR)


def _flush() -> None:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        silence_output()
