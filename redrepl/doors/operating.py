"""What workers, monitors and commands need of the plans, beside `Administration`.

They import no plan themselves: the failure detector, the results of jobs and the wording of states
come from here.
"""

from __future__ import annotations

from redrepl.plans.copies.anti_entropy import Swept
from redrepl.plans.epochs.forgetful import forgetful_members
from redrepl.plans.epochs.soundness import newest_epoch
from redrepl.plans.epochs.suspicion import NOT_SEEN_YET, Suspicion, Verdict
from redrepl.plans.recovery.bring_up import BroughtUp
from redrepl.plans.status import node_state
from redrepl.plans.strangers import answers_of, no_member_error
from redrepl.plans.view import ClusterView
from redrepl.values.reports import Reports
from redrepl.values.topology import NodeState, Topology

__all__ = [
    "NOT_SEEN_YET",
    "BroughtUp",
    "Suspicion",
    "Swept",
    "Verdict",
    "answers_of",
    "forgetful_members",
    "member_states",
    "newest_epoch",
    "no_member_error",
]


def member_states(topology: Topology, reports: Reports) -> dict[str, tuple[NodeState, str | None]]:
    """The state of each member, and what is wrong with it in words, None where nothing is."""
    view = ClusterView(topology)
    return {member.id: node_state(view, member, reports) for member in topology.members}
