"""`redrepl sync`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import click

from redrepl import Administration, RequestError, Topology, Unavailable
from redrepl.doors.operating import BroughtUp
from redrepl.values.status import SCHEMA_VERSION
from redrepl_cli.confirmation import confirm, require_terminal_or_yes
from redrepl_cli.errors import show
from redrepl_cli.exit_codes import ExitCode
from redrepl_cli.options import Invocation, common_options, yes_option
from redrepl_cli.output import plain_table, say, write, write_json
from redrepl_cli.progress import OnProgress, shown_progress


@dataclass(slots=True)
class Synced:
    """What came out, per node: done, or why not."""

    done: list[BroughtUp] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def exit_code(self) -> ExitCode:
        """DEGRADED where some nodes could not be synced, UNAVAILABLE where none could."""
        if not self.failed:
            return ExitCode.DONE
        return ExitCode.DEGRADED if self.done else ExitCode.UNAVAILABLE


@click.command
@click.argument("node", required=False)
@yes_option
@common_options
def sync(invocation: Invocation, node: str | None, yes: bool) -> ExitCode:
    """Make one NODE, or every node but the primary, exactly equal to the primary, walking all keys.

    What a node lacks is copied to it; what it holds beyond the primary is deleted. With several
    primaries nothing is deleted: of each key the later version stays. The workers do what is
    usually needed by themselves. Exit codes: 3 some nodes could not be synced, 4 none could.

    \b
    Example: redrepl sync b --yes
    """
    require_terminal_or_yes(yes, "sync")
    with Administration(invocation.configuration()) as administration:
        topology = administration.find_members()
        targets = _targets(topology, node)
        if targets:
            confirm(yes, "sync", _change_text(topology, targets))
        with shown_progress() as on_progress:
            synced = _sync_each(administration, targets, on_progress)
    _show(invocation, synced)
    return synced.exit_code


def _targets(topology: Topology, node: str | None) -> list[str]:
    if node is None:
        return [other for other in topology.ids if other != topology.decider]
    if node not in topology.ids:
        raise RequestError(f"node {node!r} is no member; members are {', '.join(topology.ids)}")
    if node == topology.decider:
        raise RequestError(f"node {node!r} is the primary: the others are synced to it")
    return [node]


def _change_text(topology: Topology, targets: list[str]) -> str:
    names = ", ".join(targets)
    if topology.decider is None:
        return (
            f"brought up to all the other primaries: {names}\nof each key the later version stays"
        )
    return (
        f"made equal to primary {topology.decider!r}: {names}\nrecords that only these nodes "
        "hold are deleted"
    )


def _sync_each(
    administration: Administration, targets: list[str], on_progress: OnProgress
) -> Synced:
    """One after the other; a node that fails does not keep the rest waiting."""
    synced = Synced()
    for target in targets:
        try:
            [done] = administration.sync(target, on_progress)
        except Unavailable as error:
            synced.failed[target] = error.evidence.get(target) or str(error)
            continue
        if done.full_syncs:
            synced.done.append(done)
        else:
            synced.failed[target] = "; ".join(done.notes) or "nothing could be done"
    return synced


def _as_json(done: BroughtUp) -> dict[str, Any]:
    return {
        "node": done.node,
        "records": done.records,
        "payload_bytes": done.payload_bytes,
        "removed": done.undecided_replaced,
        "activated": done.activated,
        "notes": done.notes,
    }


def _show(invocation: Invocation, synced: Synced) -> None:
    if invocation.as_json:
        nodes = [_as_json(done) for done in synced.done]
        write_json({"schema_version": SCHEMA_VERSION, "synced": nodes, "failed": synced.failed})
    elif synced.done:
        columns = ["node", "records copied", "bytes", "surplus replaced", "admitted again", "notes"]
        write(plain_table(columns, [_cells(done) for done in synced.done]))
    if synced.failed:
        show(
            "nodes could not be synced",
            synced.failed,
            "`redrepl status` shows what is wrong with the nodes",
        )
    elif not synced.done:
        say("there is no other node to sync")


def _cells(done: BroughtUp) -> tuple[object, ...]:
    return (
        done.node,
        done.records,
        done.payload_bytes,
        done.undecided_replaced,
        done.activated,
        "; ".join(done.notes),
    )
