"""Putting a primary that restarted back to work, without losing what was acknowledged (docs/protocol.md, section 5.1).

It may have missed something: writes under way when it died, or writes it lost with its last second of persistence.
Nobody can tell these apart, so they are rolled forward in a new epoch. First the replicas are fenced, so that no write
of the old epoch can come any more, not even one that waits in a socket: a replica would acknowledge it although the
primary lost it. Then the primary takes what their logs name beyond its own marks, and then the new epoch begins.

Every step changes a member only if it still is as it was seen; whoever is second stops, and whoever comes after a run
that died starts over with a higher epoch.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TypeAlias

from redrepl.plans.catch_up import FIRST_PAGE_ENTRIES, next_count, read_page
from redrepl.plans.copying import Copier, copy_all
from redrepl.plans.inspect import inspect_nodes
from redrepl.plans.marks import starting_mark
from redrepl.plans.membership import change_call, epoch_fields, purge_field
from redrepl.plans.purged import give_up_purged
from redrepl.plans.restarts import restarted_together
from redrepl.plans.steps import Steps
from redrepl.plans.view import FOR_UPKEEP, ClusterView
from redrepl.values.effects import Plan
from redrepl.values.errors import Unavailable
from redrepl.values.level import ConsistencyLevel
from redrepl.values.report import Mark, NodeReport
from redrepl.values.topology import Topology

Reports: TypeAlias = dict[str, NodeReport | str]


@dataclass(slots=True)
class Reinstated:
    """What it took. ``records``: rolled forward from replicas."""

    records: int = 0
    notes: list[str] = field(default_factory=list)


def reinstate(
    view: ClusterView, primary: NodeReport, reports: Reports, incarnation: str, steps: Steps
) -> Plan[Reinstated]:
    """Admit the primary again. Raises Unavailable where too few replicas can bear witness."""
    witnesses = _witnesses(view, primary, reports)
    epoch = 1 + max(report.epoch for report in [primary, *witnesses])
    topology = replace(view.topology, epoch=epoch, merged_epoch=epoch)
    # The primary first: it serves nobody, and whoever is second stops here, before a replica is fenced in vain.
    primary = yield from _fence(view, primary, topology, "syncing", steps)
    fenced: list[NodeReport] = []
    for witness in witnesses:
        fenced += [(yield from _fence(view, witness, topology, "fenced", steps))]
    new_view, done = ClusterView(topology), Reinstated()
    reaches_back = True
    for witness in fenced:
        reaches_back = reaches_back and starting_mark(witness, primary) is not None
        done.records += yield from _roll_forward(new_view, witness, primary, steps)
    if not reaches_back and (given_up := (yield from give_up_purged(new_view, primary, fenced, steps))):
        done.notes.append(f"gave up {given_up} records that were deleted, and purged, since its data was saved")
    limit = max((witness.purged_before for witness in fenced), default=0)
    yield from _admit(new_view, primary, incarnation, topology, limit, steps)
    done.notes.append(f"took up {done.records} records from its replicas, in the new epoch {epoch}")
    return done


def _witnesses(view: ClusterView, primary: NodeReport, reports: Reports) -> list[NodeReport]:
    """Replicas that lost nothing themselves, of the highest lineage.

    A committed QUORUM write stands on n // 2 of n - 1 replicas, so n - n // 2 of them cannot all have missed it.
    """
    copies = len(view.ids)
    others = [reports.get(node) for node in view.others[primary.node]]
    sound = [r for r in others if isinstance(r, NodeReport) and not r.has_restarted and r.state in ("active", "fenced")]
    if not sound:
        together = restarted_together(view, reports)
        sound = [r for r in together if r.node != primary.node and r.state in ("active", "fenced")]
    lineage = max((int(report.member.get("lineage", "0")) for report in sound), default=0)
    sound = [report for report in sound if int(report.member.get("lineage", "0")) == lineage]
    needed = copies - ConsistencyLevel.QUORUM.required(copies - 1) if copies > 1 else 0
    if len(sound) < needed:
        names = ", ".join(report.node for report in sound) or "none"
        text = f"primary {primary.node!r} restarted; {needed} replicas are needed to see what it lost, usable: {names}"
        evidence = {node: report for node, report in reports.items() if isinstance(report, str)}
        raise Unavailable(text, {primary.node: "restarted", **evidence})
    return sound


def _fence(view: ClusterView, report: NodeReport, topology: Topology, state: str, steps: Steps) -> Plan[NodeReport]:
    """Move a member to the new epoch, in which it serves nobody yet; answers its report after that."""
    fields = {**epoch_fields(topology, report.node), "state": state}
    call = change_call(report, view.layout, fields, None)
    answer = yield from steps.ask(report.node, call, "fencing it")
    if answer != 1:
        raise Unavailable(f"node {report.node!r} changed meanwhile", {report.node: repr(answer)})
    now = (yield from inspect_nodes(view.layout, (report.node,), steps.until))[report.node]
    if isinstance(now, str) or now.run_id != report.run_id:
        raise Unavailable(f"node {report.node!r} went away while it was fenced", {report.node: "restarted or silent"})
    return now


def _roll_forward(view: ClusterView, witness: NodeReport, primary: NodeReport, steps: Steps) -> Plan[int]:
    """Take up what a fenced replica's log names beyond the primary's mark, or all it has where that was cut."""
    copier = Copier(view, witness.node, primary.node, steps, primary.now_millis, FOR_UPKEEP)
    mark = starting_mark(witness, primary)
    if mark is None:
        yield from copy_all(copier, steps)
        yield from copier.absorb((), (), Mark(witness.incarnation, witness.log.end))
        return copier.records
    position, count = mark.position, FIRST_PAGE_ENTRIES
    while True:
        page = yield from read_page(view, witness.node, position, count, steps)
        if not page.entries:
            return copier.records
        yield from copier.copy(page.newest, Mark(mark.incarnation, page.end))
        position, count = page.end, next_count(page)


def _admit(
    view: ClusterView, primary: NodeReport, incarnation: str, topology: Topology, purged_before: int, steps: Steps
) -> Plan[None]:
    now = (yield from inspect_nodes(view.layout, (primary.node,), steps.until))[primary.node]
    if isinstance(now, str) or now.run_id != primary.run_id:
        raise Unavailable(f"primary {primary.node!r} restarted meanwhile", {primary.node: "restarted"})
    fields = {"state": "active", "run_id": now.run_id, "lineage": str(view.topology.epoch)}
    fields |= purge_field(now, purged_before)
    if primary.has_restarted:
        fields |= {"incarnation": incarnation, "previous_incarnation": now.incarnation}
        fields |= {"previous_end": primary.log.last_id}
    answer = yield from steps.ask(primary.node, change_call(now, view.layout, fields, topology), "admitting it again")
    if answer != 1:
        raise Unavailable(f"primary {primary.node!r} changed while it was checked", {primary.node: repr(answer)})
