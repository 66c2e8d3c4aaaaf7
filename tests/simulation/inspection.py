"""What the servers of a simulation hold and say, read at once and without any program's
knowledge.
"""

from __future__ import annotations

from collections.abc import Callable

from redrepl.plans.recovery.upkeep import needs_bringing_up
from redrepl.plans.view import inspect_keys
from redrepl.values.effects import ScriptCall
from redrepl.values.record import NO_DEADLINE, TOMBSTONE, Record, parse_record
from redrepl.values.report import NodeReport
from redrepl.values.report_answer import UNREADABLE, Unreadable, as_found_in, parse_report
from redrepl.values.reports import Reports
from redrepl.values.topology import Topology
from tests.simulation.network import Machine, Network, address_of
from tests.simulation.world import BEGINNING_SECONDS


class Inspection:
    """Looks at all machines of a network.

    first: the topology while no node tells any. doubted: nodes whose word does not count, at
    present. purges: whether tombstones are purged, so that copies may differ in them.
    """

    def __init__(
        self, network: Network, first: Topology, doubted: Callable[[], set[str]], purges: bool
    ) -> None:
        self._network = network
        self._first = first
        self._doubted = doubted
        self._purges = purges

    def report(self, machine: Machine, node: str | None = None) -> NodeReport | str:
        """What a machine says of itself, as a member of this name; in words where that cannot be
        read.
        """
        answer = machine.ask(ScriptCall("inspect", inspect_keys(machine.layout), ()))
        try:
            return parse_report(node or machine.name, answer, machine.server.run_id)
        except UNREADABLE as error:
            return Unreadable(str(error), as_found_in(answer))

    def members(self) -> dict[str, Machine]:
        """Where the members are; a node that is none is where it always was."""
        network = self._network
        found = {name: self.report(machine) for name, machine in network.machines.items()}
        newest = self._told(Reports.collect(found))
        urls = {member.id: member.url for member in newest.members if network.has(member.url)}
        return {node: network.at(urls.get(node, address_of(node))) for node in network.nodes}

    def reports(self) -> Reports:
        """What all members say, as the newest topology has them."""
        found = Reports.collect(
            {node: self.report(machine, node) for node, machine in self.members().items()}
        )
        newest = self._told(found)
        return found.updated(
            Reports({name: report.seen_by(newest) for name, report in found.present.items()})
        )

    def newest_topology(self) -> Topology:
        """The newest topology of all."""
        return self._told(self.reports())

    def unsettled(self) -> list[str]:
        """Members that lack something."""
        reports = self.reports()
        return needs_bringing_up(self._told(reports), reports)

    def topology_and_reports(self) -> tuple[Topology, Reports]:
        """The newest topology, and what all members say."""
        reports = self.reports()
        return self._told(reports), reports

    def contents(self, machine: Machine) -> dict[str, bytes]:
        """A machine's records, without those that have a deadline, and without tombstones where
        they are purged.

        Nobody here sets a deadline: these are tombstones that copying made, which each node drops
        when it likes.
        """
        data, prefix = machine.server.data, machine.layout.data_prefix
        found = {
            name[len(prefix) :].decode(): data[name].value
            for name in sorted(data)
            if name.startswith(prefix)
        }
        records = {key: parse_record(stored) for key, stored in found.items()}
        return {key: found[key] for key, record in records.items() if self._lasts(record)}

    def _lasts(self, record: Record) -> bool:
        if self._purges and record.kind == TOMBSTONE:
            return False
        now_millis = int(1000 * (BEGINNING_SECONDS + self._network.world.now))
        return record.deadline_millis == NO_DEADLINE or record.is_live(now_millis)

    def _told(self, reports: Reports) -> Topology:
        """The newest topology that a node tells whose word counts: others may have made one up."""
        doubted = self._doubted()
        honest = [report for name, report in reports.present.items() if name not in doubted]
        told = [each.own_topology for each in honest if each.own_topology is not None]
        return max(told, key=lambda topology: topology.epoch, default=self._first)
