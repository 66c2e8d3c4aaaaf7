"""`redrepl failover` and `redrepl switchover`."""

from __future__ import annotations

import click

from redrepl import Administration, FailedOver, Foreseen, PossibleLoss, RequestError, Topology
from redrepl.values.status import SCHEMA_VERSION
from redrepl_cli.confirmation import confirm, confirm_by_name, require_terminal_or_yes
from redrepl_cli.exit_codes import ExitCode
from redrepl_cli.options import Invocation, common_options, yes_option
from redrepl_cli.output import listing, say, write, write_json
from redrepl_cli.progress import shown_progress
from redrepl_cli.text import printable


@click.command
@click.option("--to", metavar="NODE", required=True, help="The node that becomes the primary.")
@yes_option
@common_options
def switchover(invocation: Invocation, to: str, yes: bool) -> ExitCode:
    """Give the primary's role to another node without losing anything.

    First the node is brought up while writes go on, then writes pause for a moment; none fails. The
    present primary must answer. Exit codes: 3 done, but a node was left to the workers; 4 nodes
    that are needed do not answer.

    \b
    Example: redrepl switchover --to b --yes
    """
    require_terminal_or_yes(yes, "switchover")
    with Administration(invocation.configuration()) as administration:
        topology = administration.find_members()
        if to in topology.ids and topology.decider not in (None, to):
            confirm(
                yes, "switchover", f"{_moves(topology, to, topology.epoch + 1)}\nnothing is lost"
            )
        with shown_progress() as on_progress:
            done = administration.switchover(to, on_progress)
    return _show(invocation, done)


@click.command
@click.option(
    "--to",
    metavar="NODE",
    help="The node that becomes the primary [default: the one that has seen most].",
)
@click.option(
    "--accept-loss",
    is_flag=True,
    help="Where too few nodes are left that lost nothing: take the data of --to for the truth as "
    "it is.",
)
@yes_option
@common_options
def failover(invocation: Invocation, to: str | None, accept_loss: bool, yes: bool) -> ExitCode:
    """Replace a primary that is away.

    No acknowledged QUORUM write is lost; says before it begins what may be.

    It needs a majority of the nodes that have lost nothing. Where fewer are left, --accept-loss
    goes on with one node's data and gives up everything that it does not have, acknowledged writes
    too. Make sure then that nodes that do not answer are really stopped. Exit codes: 3 done, but a
    node was left to the workers; 4 too few nodes can take part.

    \b
    Examples: redrepl failover
              redrepl failover --to b --yes
              redrepl failover --accept-loss --to c
    """
    if accept_loss and to is None:
        raise RequestError("--accept-loss needs --to NODE: whose data is to be the truth")
    if accept_loss:
        require_terminal_or_yes(yes, "failover")
    with Administration(invocation.configuration()) as administration:
        topology = administration.find_members()
        foreseen = administration.foresee_failover(
            to, accept_loss
        )  # says why not, also where it cannot ask
        require_terminal_or_yes(yes, "failover")
        if accept_loss:
            confirm_by_name(yes, "failover", _warning(topology, foreseen), foreseen.primary)
        else:
            confirm(yes, "failover", _changes(topology, foreseen))
        done = administration.failover(to, accept_loss=accept_loss)
    return _show(invocation, done, foreseen.loss)


def _moves(topology: Topology, to: str, epoch: int) -> str:
    move = (
        f"primary {topology.decider} stays"
        if to == topology.decider
        else f"primary {topology.decider} -> {to}"
    )
    return f"{move}, epoch {topology.epoch} -> {epoch}"


def _changes(topology: Topology, foreseen: Foreseen) -> str:
    lines = [_moves(topology, foreseen.primary, foreseen.epoch)]
    lines += [
        f"left to the workers: {node}: {printable(why)}" for node, why in foreseen.left.items()
    ]
    return "\n".join([*lines, printable(foreseen.loss.text, keep="\n")])


def _warning(topology: Topology, foreseen: Foreseen) -> str:
    lines = [
        "WARNING: DATA MAY BE LOST FOR GOOD",
        _moves(topology, foreseen.primary, foreseen.epoch),
        printable(foreseen.loss.text, keep="\n"),
        "nodes that do not answer are not stopped by this: see to it that they are",
    ]
    return "\n".join(lines)


def _show(invocation: Invocation, done: FailedOver, loss: PossibleLoss | None = None) -> ExitCode:
    content: dict[str, object] = {
        "epoch": done.epoch,
        "primary": done.primary,
        "previous": done.previous,
        "active": list(done.active),
        "records": done.records,
        "left": done.left,
        "seconds": round(done.seconds, 3),
    }
    if loss is not None:
        content |= {"could_be_lost": loss.changes, "could_be_lost_text": loss.text}
    if invocation.as_json:
        write_json({"schema_version": SCHEMA_VERSION, **content})
    else:
        write(listing(_rows(done, loss)))
    if not done.left:
        return ExitCode.DONE
    say("left to the workers (`redrepl worker`), which bring them up:")
    for node, why in done.left.items():
        say(f"  {node}: {printable(why)}")
    return ExitCode.DEGRADED


def _rows(done: FailedOver, loss: PossibleLoss | None) -> list[tuple[str, object]]:
    rows: list[tuple[str, object]] = [
        ("primary", done.primary),
        ("previous", done.previous),
        ("epoch", done.epoch),
        ("active", ", ".join(done.active)),
        ("records copied", done.records),
        ("seconds", f"{done.seconds:.3f}"),
    ]
    if loss is not None:
        rows.append(
            (
                "could be lost",
                "not known" if loss.changes is None else f"up to {loss.changes} changes",
            )
        )
    return rows
