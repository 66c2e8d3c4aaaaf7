"""`redrepl init`."""

from __future__ import annotations

import click

from redrepl import Administration
from redrepl.values.status import SCHEMA_VERSION
from redrepl_cli.options import Invocation, common_options
from redrepl_cli.output import plain_table, write, write_json


@click.command
@common_options
def init(invocation: Invocation) -> None:
    """Make the configured nodes a cluster.

    Writes epoch 1 to every node; all of them must be reachable. Doing it again changes nothing. A
    node where another cluster lives is refused before anything is written.

    \b
    Example: redrepl init --config redrepl.toml
    """
    configuration = invocation.configuration()
    with Administration(configuration) as administration:
        done = administration.initialise()
    if invocation.as_json:
        nodes = [{"id": node, "result": result} for node, result in done.items()]
        write_json(
            {"schema_version": SCHEMA_VERSION, "cluster": configuration.cluster, "nodes": nodes}
        )
    else:
        write(plain_table(["node", "result"], list(done.items())))
