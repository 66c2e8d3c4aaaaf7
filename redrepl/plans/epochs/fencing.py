"""Fencing: moving members to a new epoch in which they do not serve yet (docs/protocol.md, section
5).

Once a majority is fenced no write commits in the old epoch any more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from redrepl.plans.copies.copying import check_clock_steady
from redrepl.plans.epochs.clocks import kept_doubt
from redrepl.plans.epochs.member_changes import MemberChanges, change_members
from redrepl.plans.epochs.membership import change_call
from redrepl.plans.epochs.soundness import majority_of, noted_as_voided
from redrepl.plans.steps import Steps
from redrepl.plans.topology import check_members_stayed
from redrepl.values.effects import Plan
from redrepl.values.errors import Unavailable
from redrepl.values.keys import KeyLayout
from redrepl.values.member_state import MemberState
from redrepl.values.report import NodeReport
from redrepl.values.reports import Reports
from redrepl.values.topology import Topology


class Divided(Unavailable):
    """Rivals fenced some members each in this epoch, none of them a majority.

    Whoever gets this is the one that is to continue.
    """

    def __init__(self, message: str, evidence: Mapping[str, str], epoch: int) -> None:
        super().__init__(message, evidence)
        self.epoch = epoch


class Fencing:
    """One attempt to fence members, in one epoch.

    members: as they were seen; each is moved only if it still is like that. They learn among which
    members they are counted, and none may know of a change of these meanwhile. doubtful: those that
    may have dropped records by a wrong clock; that is noted on them until they have been compared
    with the others.
    """

    def __init__(
        self,
        layout: KeyLayout,
        topology: Topology,
        members: Sequence[NodeReport],
        doubtful: Mapping[str, str],
        epoch: int,
        steps: Steps,
    ) -> None:
        self._topology = topology
        self._layout = layout
        self._members = members
        self._doubtful = doubtful
        self._epoch = epoch
        self._steps = steps

    def carry_out(self, must: str | None) -> Plan[list[NodeReport]]:
        """Fence a majority; returns the members' reports after that.

        must: the member without which nothing is done; it is moved first, alone, so that the others
        continue to serve where it cannot be.

        Raises Unavailable, or Divided, where too few could be fenced.
        """
        changes = yield from self._move(must)
        reports = yield from self._steps.inspect(
            self._layout, tuple(changes.done), known=self._topology
        )

        fenced = self._fenced_among(reports)
        if len(fenced) < majority_of(self._topology):
            raise self._too_few(fenced, changes)
        self._check(fenced, reports)
        return fenced

    def _move(self, must: str | None) -> Plan[MemberChanges]:
        fields = {"epoch": str(self._epoch), "state": MemberState.FENCED}
        calls = {
            report.node: change_call(
                report, self._layout, fields | kept_doubt(report, self._doubtful), self._topology
            )
            for report in self._members
        }

        first = MemberChanges([], {}, {})
        if must is not None:
            first = yield from change_members({must: calls.pop(must)}, self._steps)
            _check_moved(first, must)
        rest = yield from change_members(calls, self._steps)
        return MemberChanges(first.done + rest.done, rest.found_instead, rest.failures)

    def _fenced_among(self, reports: Reports) -> list[NodeReport]:
        """Those that are in the new epoch still, in the same run of their servers."""
        run_ids = {report.node: report.run_id for report in self._members}
        found = reports.present.values()
        stayed = [
            report
            for report in found
            if report.run_id == run_ids[report.node] and not report.has_restarted
        ]
        return [report for report in stayed if report.epoch == self._epoch]

    def _too_few(self, fenced: Sequence[NodeReport], changes: MemberChanges) -> Unavailable:
        topology, members, won = self._topology, self._members, changes.done
        text = (
            f"only {len(fenced)} of {len(topology.ids)} members could be fenced in epoch "
            f"{self._epoch}"
        )
        # The first of all is fenced by one process at most; others that have a majority continue.
        has_rivals = bool(changes.found_instead)
        if (
            has_rivals
            and members[0].node in won
            and len(members) - len(won) < majority_of(topology)
        ):
            return Divided(text, changes.why_not, self._epoch)
        return Unavailable(text, changes.why_not)

    def _check(self, fenced: Sequence[NodeReport], reports: Reports) -> None:
        """Raise Unavailable where the members were changed meanwhile, or a clock stepped."""
        names = [report.node for report in fenced]
        check_members_stayed(self._topology, reports, names)
        _check_not_replaced(self._topology, self._members, names)
        # A new look is no baseline: the first one was compared with the other nodes' clocks.
        before = {report.node: report for report in self._members}
        for report in fenced:
            check_clock_steady(report, before[report.node])


def _check_moved(changes: MemberChanges, primary: str) -> None:
    """Raise Unavailable unless the present primary was moved.

    What it takes meanwhile would be left behind.
    """
    if primary not in changes.done:
        text = (
            f"the present primary {primary!r} could not be fenced, and the role was not moved; "
            "try again"
        )
        raise Unavailable(text, {primary: changes.why_not[primary]})


def _check_not_replaced(
    topology: Topology, members: Sequence[NodeReport], fenced: Sequence[str]
) -> None:
    """Raise Unavailable where one of these members knew that the place of one that was fenced is
    given away, and the primary went on since the look. A change of members moves it first, so that
    there is none where it was fenced.
    """
    voided = noted_as_voided(
        topology, Reports({report.node: report for report in members})
    ).intersection(fenced)
    if voided and topology.decider not in fenced:
        evidence = dict.fromkeys(sorted(voided), "its place is given to another server")
        raise Unavailable("somebody else changed the members meanwhile", evidence)
