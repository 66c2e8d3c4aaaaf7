"""`redrepl up`."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from redrepl import Mode
from redrepl.embedded import find_server_binary
from redrepl.values import limits
from redrepl.values.status import SCHEMA_VERSION
from redrepl.values.validation import check_name
from redrepl_cli.local.run import LocalCluster, Stopped, run
from redrepl_cli.local.settings import Wishes, settle
from redrepl_cli.options import Invocation, common_options
from redrepl_cli.output import say, write_json, write_text


@click.command
@click.option(
    "--nodes",
    type=click.IntRange(1, limits.MAX_NODES),
    help="Copies [default: 3, or what is there].",
)
@click.option(
    "--mode",
    type=click.Choice([mode.value for mode in Mode]),
    help="[default: primary-replica, or what is there]",
)
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=".redrepl",
    show_default=True,
    help="Where data and the generated redrepl.toml lie.",
)
@click.option(
    "--cluster", metavar="NAME", help="Name of the cluster [default: local, or what is there]."
)
@click.option(
    "--no-worker", is_flag=True, help="Start no worker: nothing is caught up or readmitted then."
)
@click.option(
    "--binary", type=click.Path(path_type=Path), help="Server program [default: what is found]."
)
@common_options
def up(
    invocation: Invocation,
    nodes: int | None,
    mode: str | None,
    directory: Path,
    cluster: str | None,
    no_worker: bool,
    binary: Path | None,
) -> None:
    """Run a local cluster: a server per node, a queue and a worker, until Ctrl-C.

    For development and for trying things out. Data stays in the directory: the next `redrepl up`
    goes on with it, on the same ports where they are free. --config plays no part here: the
    directory holds the configuration.

    \b
    Example: redrepl up --nodes 3
             export REDREPL_CONFIG=.redrepl/redrepl.toml      (in another terminal)
             redrepl status
    """
    if cluster is not None:
        check_name("--cluster", cluster)
    settings = settle(directory, Wishes(nodes, Mode(mode) if mode else None, cluster))
    show = _show_json if invocation.as_json else _show_text
    try:
        run(settings, find_server_binary(binary), not no_worker, show)
    except Stopped:
        say(f"stopped; the data stays in {settings.directory}")


def _show_json(local: LocalCluster) -> None:
    servers = local.servers.nodes
    nodes = [
        {"id": m.id, "url": m.url, "role": m.role.value, "pid": servers[m.id].pid}
        for m in local.configuration.members
    ]
    content = {
        "schema_version": SCHEMA_VERSION,
        "cluster": local.configuration.cluster,
        "mode": local.configuration.mode.value,
        "config": str(local.settings.file),
        "condition": local.status.condition.value if local.status else "unavailable",
        "nodes": nodes,
        "queue_url": local.configuration.queue_url,
        "worker_pid": local.worker.pid if local.worker else None,
    }
    write_json(content, compact=True)
    _say_rest(local)


def _show_text(local: LocalCluster) -> None:
    configuration = local.configuration
    write_text(f"cluster {configuration.cluster} is up, {configuration.mode.value}:")
    for member in configuration.members:
        pid = local.servers.nodes[member.id].pid
        write_text(f"  {member.id}  {member.role.value:<7}  {member.url}  pid {pid}")
    write_text("\nin another terminal:\n")
    write_text(f"  export REDREPL_CONFIG={shlex.quote(str(local.settings.file))}")
    write_text("  redrepl set greeting hello\n  redrepl get greeting\n  redrepl status\n")
    _say_rest(local)


def _say_rest(local: LocalCluster) -> None:
    for name in local.servers.moved:
        say(f"warning: the port of {name} was taken; it has another one now")
    if not local.is_healthy:
        say(
            "warning: the cluster is not healthy yet; `redrepl status` says more, `redrepl "
            "worker` brings nodes up"
        )
        for problem in local.status.problems if local.status else ():
            say(f"  {problem}")
    say("Ctrl-C stops it; the data stays")
