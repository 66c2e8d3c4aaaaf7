"""What a change of members that failed has changed and what not, and what to do next, told from how
the nodes look.
"""

from __future__ import annotations

from typing import NamedTuple

from redrepl.plans.epochs.soundness import majority_of, why_left
from redrepl.values.report import NodeReport
from redrepl.values.reports import Reports
from redrepl.values.topology import Topology


class Outcome(NamedTuple):
    """What is so now, and what to do, in words."""

    state: str
    advice: str


def outcome_of_change(
    old: Topology, new: Topology, found: Topology | None, reports: Reports
) -> Outcome:
    """What became of a change from ``old`` to ``new`` that raised an error.

    ``found``: the newest topology now.
    """
    if found is None:
        return Outcome(
            "whether the members were changed is not known, as no member answers now",
            "look at `redrepl nodes list` before you try again",
        )
    if _places(found) == _places(new):
        return _changed(old, new, found, reports)
    members = f"the members are {', '.join(found.ids)} still"
    if found.epoch > old.epoch:
        return Outcome(f"another change came first: {members}, in epoch {found.epoch}", "try again")
    ahead = [
        f"{node} (epoch {report.epoch})"
        for node, report in sorted(reports.present.items())
        if report.epoch > found.epoch
    ]
    if ahead:
        return Outcome(
            f"nothing was changed for good: {members}, but {', '.join(ahead)} had been moved on "
            "by then",
            "wait for the workers and monitors, which end that with the members as they are "
            "(without one, `redrepl "
            "failover` does); then try again",
        )
    return Outcome(
        f"nothing was changed: {members}, in epoch {found.epoch}",
        "mend what is said here and try again",
    )


def _changed(old: Topology, new: Topology, found: Topology, reports: Reports) -> Outcome:
    """The members are the new ones, although not all steps after that were done."""
    state = (
        f"the members were changed all the same: they are {', '.join(found.ids)} since epoch "
        f"{found.epoch}, and "
        f"{majority_of(found)} of {len(found.ids)} are a majority now"
    )
    added = [
        node
        for node, identity in new.identities.items()
        if old.identities.get(node, "none") != identity
    ]
    removed = [node for node in old.ids if node not in new.ids]
    for node in added:
        report = reports.of(node)
        if report is None or not report.is_itself:
            is_new = report is not None and not report.member
            why = "its server has not taken its membership" if is_new else why_left(node, reports)
            return Outcome(
                f"{state}; {node} counts among them, but is not ready: {why}",
                f"mend that, and the workers bring {node} in and fill it (do not add it again); "
                "or take it out with "
                f"`redrepl nodes remove {node}`",
            )
    if removed:
        return Outcome(
            f"{state}; {', '.join(removed)} is out, but its server may not know it",
            f"empty the server of {', '.join(removed)} before it is used again",
        )
    return Outcome(
        state, "nothing: the workers do the rest (`redrepl status` shows how far they are)"
    )


def why_not_ready(source: NodeReport | None, node: NodeReport | None) -> str:
    """Why a node that was brought up again and again cannot become the primary without a long
    pause.
    """
    if source is None or node is None:
        return "no answer"
    if not node.is_serving:
        return (
            f"is {node.state or 'without membership'} still; `redrepl status` and the workers' "
            "log say why"
        )
    return (
        f"lacks {source.lag_of(node.node)} changes; it is slower than what is written, or "
        "refuses writes"
    )


def _places(topology: Topology) -> set[tuple[str, str, str]]:
    return {(member.id, member.identity, member.url) for member in topology.members}
