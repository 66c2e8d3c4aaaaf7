"""The command `redrepl demo`."""

from __future__ import annotations

import json

import click

from redrepl import Mode
from redrepl.embedded import EmbeddedError
from redrepl_cli.demo import multi_primary, primary_replica
from redrepl_cli.demo.narrator import Narrator
from redrepl_cli.demo.stage import DemoFailed, Stage


@click.command()
@click.option(
    "--mode",
    type=click.Choice([mode.value for mode in Mode]),
    default=Mode.PRIMARY_REPLICA.value,
    show_default=True,
    help="One primary with replicas, or several primaries.",
)
@click.option("--binary", type=click.Path(), help="The server program; default: what is found.")
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["table", "json"]),
    default="table",
    help="Output for people or programs.",
)
def demo(mode: str, binary: str | None, output_format: str) -> None:
    """Show the main job on real servers, in about ten seconds.

    Starts three servers, a queue and a worker; kills a replica while a client writes; brings it
    back empty; and proves that nothing acknowledged was lost and that all copies are equal. Leaves
    nothing behind; exit code 1 if that fails.
    """
    narrator = Narrator(to_stderr=output_format == "json")
    scenario = multi_primary if mode == Mode.MULTI_PRIMARY.value else primary_replica
    try:
        with Stage(Mode(mode), binary) as stage:
            result = scenario.run(stage, narrator)
    except (EmbeddedError, DemoFailed) as error:
        raise click.ClickException(str(error)) from error
    good = (
        result["converged"]
        and result["acked_writes_lost"] == 0
        and not result.get("expired_keys_alive")
    )
    narrator.headline(f"{'Done' if good else 'FAILED'} in {result['seconds']:.1f} s")
    if output_format == "json":
        click.echo(json.dumps(result))
    if not good:
        raise click.exceptions.Exit(1)
