"""The command `redrepl`: its commands, and the edge where errors become exit codes."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from redrepl_cli.errors import describe, report, show, silence_output
from redrepl_cli.exit_codes import ExitCode
from redrepl_cli.lazy import LazyCommand, LazyGroup
from redrepl_cli.options import CONFIG_PATH, DEBUG

LAST_STANDARD_STREAM = 2

COMMANDS = {
    "demo": LazyCommand(
        "redrepl_cli.demo.command:demo", "Watch a small cluster lose servers and no writes."
    ),
    "up": LazyCommand(
        "redrepl_cli.commands.up:up", "Run a local cluster of embedded servers until Ctrl-C."
    ),
    "init": LazyCommand("redrepl_cli.commands.init:init", "Make the configured nodes a cluster."),
    "status": LazyCommand(
        "redrepl_cli.commands.status:status", "Show health, lag, statistics and the queue."
    ),
    "nodes": LazyCommand("redrepl_cli.commands.nodes:nodes", "List, add and remove nodes."),
    "get": LazyCommand("redrepl_cli.commands.get:get", "Read a value."),
    "set": LazyCommand("redrepl_cli.commands.write:set_value", "Store a value."),
    "delete": LazyCommand("redrepl_cli.commands.write:delete", "Delete keys."),
    "sync": LazyCommand(
        "redrepl_cli.commands.sync:sync", "Make one or all replicas equal to the primary."
    ),
    "verify": LazyCommand(
        "redrepl_cli.commands.verify:verify", "Prove that all copies are equal; --repair them."
    ),
    "switchover": LazyCommand(
        "redrepl_cli.commands.failover:switchover", "Move the primary's role; loses nothing."
    ),
    "failover": LazyCommand(
        "redrepl_cli.commands.failover:failover", "Replace a primary that is away."
    ),
    "discarded": LazyCommand(
        "redrepl_cli.commands.discarded:discarded", "List and restore what nodes gave up."
    ),
    "plan": LazyCommand(
        "redrepl_cli.commands.plan:plan", "Compute how available a number of copies will be."
    ),
    "acl": LazyCommand(
        "redrepl_cli.commands.acl:acl", "Print the ACL rules of a login, by its role."
    ),
    "jobs": LazyCommand("redrepl_cli.commands.jobs:jobs", "List the workers' jobs."),
    "worker": LazyCommand(
        "redrepl_cli.commands.worker:worker", "Run a worker, which brings nodes up."
    ),
    "monitor": LazyCommand(
        "redrepl_cli.commands.monitor:monitor", "Watch the nodes; replace a primary that is away."
    ),
    "bench": LazyCommand("redrepl_cli.bench.command:bench", "Measure throughput and latency."),
    "chaos": LazyCommand(
        "redrepl_cli.chaos.command:chaos", "Break a throw-away cluster and prove that it holds."
    ),
    "config": LazyCommand(
        "redrepl_cli.commands.config:config", "Check and show the configuration."
    ),
}


class Program(LazyGroup):
    """The outermost group: a command returns its exit code or nothing, and every error ends
    here.
    """

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
@click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Configuration file, for every command that takes one.",
)
@click.version_option(package_name="redrepl", message="redrepl %(version)s")
@click.pass_context
def cli(ctx: click.Context, config_path: Path | None) -> None:
    """Several plain Redis or Valkey servers as one replicated store.

    \b
    redrepl up                      a local cluster to try things on
    redrepl set user:1 ada          write to it
    redrepl status                  see how it is
    """
    ctx.meta[CONFIG_PATH] = config_path


def main() -> NoReturn:
    """The entry point."""
    _open_standard_streams()
    code: object = ExitCode.ERROR
    try:
        cli(prog_name="redrepl")
    except SystemExit as end:
        code = end.code
    except KeyboardInterrupt:
        code = ExitCode.INTERRUPTED
    except OSError as error:  # click's own output, as for --help
        code = _output_failed(error)
    try:
        sys.stdout.flush()
    except OSError as error:
        code = _output_failed(error) or code
    sys.exit(code if isinstance(code, int) else ExitCode.ERROR)


def _open_standard_streams() -> None:
    """Where standard input or output are closed, something else must not become them: a node's
    connection above all.
    """
    while (fileno := os.open(os.devnull, os.O_RDWR)) <= LAST_STANDARD_STREAM:
        continue
    os.close(fileno)
    # The interpreter has none for what was closed when it began; what is written there goes
    # nowhere.
    sys.stdin = sys.stdin or open(0, encoding="utf-8")  # noqa: SIM115
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8")  # noqa: SIM115


def _output_failed(error: OSError) -> ExitCode | None:
    """The exit code where standard output took no more; None where only its reader went away."""
    silence_output()
    if isinstance(error, BrokenPipeError):
        return None
    show(describe(error).message, {}, None)
    return ExitCode.ERROR
