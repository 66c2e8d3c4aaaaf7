"""Changing the fields of members, each only if it still is as it was seen.

Any number of processes may begin an epoch, or recover a member, at once. What keeps them apart is
that `change_member.lua` compares: of two that saw the same member only the first changes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from redrepl.plans.copies.copying import check_clock_steady
from redrepl.plans.epochs.membership import change_call
from redrepl.plans.steps import Steps
from redrepl.plans.strangers import why_gone
from redrepl.values.answers.membership import MemberChange, parse_change, parse_changes
from redrepl.values.effects import Command, Plan
from redrepl.values.errors import Unavailable
from redrepl.values.keys import KeyLayout
from redrepl.values.report import NodeReport
from redrepl.values.topology import Topology


class MemberChanges(NamedTuple):
    """What became of changes of several members.

    done: the nodes that were changed, in the order of their answers. found_instead: how others are
    by now, in words. failures: why there is no answer, in words.
    """

    done: list[str]
    found_instead: dict[str, str]
    failures: dict[str, str]

    @property
    def why_not(self) -> dict[str, str]:
        """Why the others were not changed, in words."""
        return {**self.failures, **self.found_instead}


def try_to_change_member(
    report: NodeReport,
    layout: KeyLayout,
    fields: Mapping[str, str],
    topology: Topology | None,
    doing: str,
    steps: Steps,
) -> Plan[MemberChange]:
    """Change a member's fields if it still is as reported; see `change_call`.

    Raises Unavailable where it gives no answer, with ``doing`` for what could not be done.
    """
    call = change_call(report, layout, fields, topology)
    return parse_change((yield from steps.ask(report.node, call, doing)))


def change_member(
    report: NodeReport,
    layout: KeyLayout,
    fields: Mapping[str, str],
    topology: Topology | None,
    doing: str,
    steps: Steps,
    error: str = "",
) -> Plan[None]:
    """Change a member's fields, on which everything depends.

    Raises Unavailable also where another process changed it meanwhile, with the text ``error``.
    """
    change = yield from try_to_change_member(report, layout, fields, topology, doing, steps)
    if not change.is_done:
        node = report.node
        raise Unavailable(error or f"node {node!r} changed meanwhile", {node: change.found_instead})


def change_members(calls: Mapping[str, Command], steps: Steps) -> Plan[MemberChanges]:
    """Make the changes of these `change_call`s at once. Never raises for a node's failure."""
    gathered = yield from steps.gather(calls)
    changes = parse_changes(gathered.answers)

    done = [node for node, change in changes.items() if change.is_done]
    found_instead = {
        node: change.found_instead for node, change in changes.items() if not change.is_done
    }
    return MemberChanges(done, found_instead, gathered.failures)


def look_again(
    before: NodeReport,
    layout: KeyLayout,
    known: Topology,
    epoch: int,
    steps: Steps,
    error: str = "",
) -> Plan[NodeReport]:
    """A member's report now: of the same run of its server, with a steady clock, in this epoch.

    known: by which its answer is judged. Raises Unavailable otherwise; with the text ``error``
    where it gives no answer, or has restarted.
    """
    node = before.node
    reports = yield from steps.inspect(layout, (node,), known=known)
    now = reports.of(node)
    if now is None or now.run_id != before.run_id:
        raise Unavailable(
            error or f"node {node!r} went away meanwhile", {node: why_gone(node, reports)}
        )
    check_clock_steady(now, before)
    check_not_moved_on(now, epoch)
    return now


def check_not_moved_on(now: NodeReport, epoch: int) -> None:
    """Raise Unavailable where another process has moved a member on to its own epoch.

    That process counts on the member: taken back, it would serve in an epoch that others have left.
    """
    if now.epoch != epoch:
        what = f"epoch {now.epoch}, {now.state}"
        raise Unavailable(f"node {now.node!r} was moved on meanwhile", {now.node: what})
