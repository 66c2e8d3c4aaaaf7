"""Why no node takes the primary's role over, and what an operator can do, told from reports.

The rules are those of docs/protocol.md, sections 5.1, 5.3 and 5.6. `status`, the monitors' log and
`redrepl failover` use the same words.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from redrepl.plans.epochs.soundness import majority_of, sound_members, ways_out, why_left
from redrepl.values.reasons import is_crash
from redrepl.values.reports import Reports
from redrepl.values.topology import Topology


class Takeover(NamedTuple):
    """Whether another member could take the primary's role over now.

    needed: how many members must count. counted: those that do. not_counted: the others, and why.
    ways: what an operator can do, exact commands included.
    """

    primary: str
    needed: int
    counted: tuple[str, ...]
    not_counted: dict[str, str]
    ways: tuple[str, ...]

    @property
    def is_possible(self) -> bool:
        """Whether enough members count."""
        return len(self.counted) >= self.needed

    @property
    def arithmetic(self) -> str:
        """Who counts, how many must, and why the others do not, in words."""
        copies = len(self.counted) + len(self.not_counted)
        counting = f"{_listed(self.counted)} {'count' if len(self.counted) > 1 else 'counts'}"
        text = (
            f"{self.needed} of {copies} members must take part that have lost nothing since "
            f"they served; {counting}"
        )
        if not self.not_counted:
            return text
        left = "; ".join(f"{node}: {why}" for node, why in sorted(self.not_counted.items()))
        return f"{text}; not counted are {left}"

    @property
    def advice(self) -> str:
        """What can be done, in words."""
        return "; or ".join(self.ways)

    def as_json(self) -> dict[str, Any]:
        """As `status --format json` gives it."""
        return {
            "possible": self.is_possible,
            "needed": self.needed,
            "counted": list(self.counted),
            "not_counted": dict(self.not_counted),
            "ways": list(self.ways),
        }


def takeover_of(
    topology: Topology, reports: Reports, away: Iterable[str] = (), takes_writes: bool = False
) -> Takeover | None:
    """How a failover would fare with the members as they look now; None where there is no one
    primary.

    takes_writes: count those alone that do.
    """
    if topology.decider is None:
        return None
    members = [
        report
        for report in sound_members(topology, reports, away)
        if report.takes_writes or not takes_writes
    ]
    counted = tuple(report.node for report in members)
    left = {node: why_left(node, reports) for node in topology.ids if node not in counted}
    for node, report in reports.present.items():
        if node in left and report.is_serving and report.refusal:
            left[node] = f"takes no writes: {report.refusal}"
    ways = ways_out(topology, reports)
    return Takeover(topology.decider, majority_of(topology), counted, left, tuple(ways))


def cause_of(takeover: Takeover, reports: Reports) -> str:
    """What stays the same from look to look while the same thing is wrong, whatever words nodes
    find for it.
    """
    kinds = []
    for node, why in sorted(takeover.not_counted.items()):
        silence = "down" if is_crash(reports.reason(node, "")) else "silent"
        kinds.append(f"{node} {why if node in reports.present else silence}")
    return f"{takeover.primary}: {', '.join(takeover.counted)}; {', '.join(kinds)}"


def why_not_replaced(takeover: Takeover, fault: str) -> str:
    """Why no node takes over from the primary, of which ``fault`` says what is wrong, and what to
    do.
    """
    return f"{fault}, and no node takes over: {takeover.arithmetic}. What to do: {takeover.advice}"


def turned_away(takeover: Takeover, why: str) -> str:
    """What becomes of a primary that turns this login away: it may serve others, so no monitor
    replaces it for that.
    """
    text = (
        f"primary {takeover.primary!r} turns this login away, and may serve others, so no worker "
        "or monitor that it "
        f"turns away replaces it ({why}); give the login its rights back"
    )
    if not takeover.is_possible:
        return text
    return f"{text}, or have {_listed(takeover.counted)} take over: `redrepl failover`"


def what_comes_next(takeover: Takeover, fault: str, is_automatic: bool, is_put_back: bool) -> str:
    """What happens about a primary that does not serve, or why nothing does.

    is_automatic: workers and monitors replace it. is_put_back: enough replicas are there to put it
    back to work, as it answers and has restarted.
    """
    if takeover.is_possible and is_automatic:
        return (
            f"{fault}: {_listed(takeover.counted)} can take over, and workers and monitors see to "
            "it; if this lasts, "
            f"none runs that sees these nodes: start `redrepl worker`, or run `redrepl failover`"
        )
    if is_put_back:
        return (
            f"{fault}: the workers put it back to work; if this lasts, none runs: start "
            "`redrepl worker`"
        )
    if takeover.is_possible:
        return (
            f'{fault}, and no node takes over by itself, as failover = "manual" is set: '
            f"{_listed(takeover.counted)} "
            f"count. What to do: {takeover.advice}"
        )
    return why_not_replaced(takeover, fault)


def _listed(names: Sequence[str]) -> str:
    *most, last = names or ("none",)
    return f"{', '.join(most)} and {last}" if most else last
