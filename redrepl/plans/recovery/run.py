"""What one run of a node's recovery goes by, and what it has done so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from redrepl.plans.doubtful_clocks import doubtful_members
from redrepl.plans.epochs.membership import Tolerances
from redrepl.plans.recovery.restarts import restarted_together
from redrepl.plans.steps import Steps
from redrepl.plans.view import ClusterView
from redrepl.values.effects import Plan
from redrepl.values.errors import Unavailable
from redrepl.values.report import NodeReport
from redrepl.values.reports import Reports


@dataclass(slots=True)
class BroughtUp:
    """What was done for a node. ``finished`` False: there is more to do, call again.

    is_replaced: it came back empty, and its place went to the empty server.
    """

    node: str
    entries: int = 0
    records: int = 0
    payload_bytes: int = 0
    full_syncs: int = 0
    undecided_replaced: int = 0
    activated: bool = False
    finished: bool = True
    is_replaced: bool = False
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class BringUpOrder:
    """How to go about it.

    ``incarnation``: a fresh random id for the node's log, used if it needs a new one. ``identity``:
    a fresh one for a server that came back empty, which is another member than the one that it was.

    stop_at: the driver's clock when to stop between batches. exactly: walk all keys even where the
    logs suffice. fails_over: a primary that restarted or came back empty hands its role over, where
    enough others can take it. own_ahead: see `redrepl.plans.doubtful_clocks.wrong_clocks`.
    keys_per_second: of a walk over all keys; 0: as fast as clients allow. reached: see
    `redrepl.plans.strangers.check_reached`. may_replace: whether the place of a member that is
    empty may go to the empty server, see `ReplacementLimiter`.
    """

    incarnation: str
    identity: str
    tolerances: Tolerances
    started: float
    stop_at: float
    exactly: bool = False
    fails_over: bool = False
    own_ahead: float | None = None
    keys_per_second: float = 0.0
    reached: Mapping[str, str] = field(default_factory=dict)
    may_replace: bool = True


class RecoveryRun:
    """The context of one run.

    reports: of the look with which it began. done: what is told of it in the end.
    """

    def __init__(
        self,
        view: ClusterView,
        reports: Reports,
        order: BringUpOrder,
        steps: Steps,
        done: BroughtUp,
    ) -> None:
        self.view = view
        self.reports = reports
        self.order = order
        self.steps = steps
        self.done = done

    def note(self, text: str) -> None:
        """Have the operator told of something."""
        self.done.notes.append(text)

    def look_at(self, node: str) -> Plan[NodeReport]:
        """A member's report now. Raises Unavailable where it gives none."""
        reports = yield from self.steps.inspect(self.view.layout, (node,), known=self.view.topology)
        return reported(node, reports)

    def sources_of(self, target: str, reports: Reports) -> list[NodeReport]:
        """Whose logs count for the target: active members of the epoch whose clocks can be trusted,
        as far as they answer. Raises Unavailable where several primaries all restarted, and cannot
        be taken at their word.
        """
        doubtful = doubtful_members(self.view.topology, reports, self.order.own_ahead)
        return [
            source
            for source in self._active_sources(target, reports)
            if source.node not in doubtful
        ]

    def _active_sources(self, target: str, reports: Reports) -> list[NodeReport]:
        topology = self.view.topology
        names = topology.sources_of(target)
        found = [r for r in reports.among(names) if r.is_serving and r.epoch == topology.epoch]
        if found or self.view.decider is not None:
            return found
        # Several primaries that all restarted: each has what it had, and they give it to each
        # other.
        together = restarted_together(self.view, reports)
        return [
            r for r in together if r.node in names and r.state.serves and r.epoch == topology.epoch
        ]


def reported(node: str, reports: Reports) -> NodeReport:
    """A node's report. Raises Unavailable where it gave none."""
    report = reports.of(node)
    if report is None:
        raise Unavailable(f"node {node!r} stopped answering", {node: reports.silent[node]})
    return report
