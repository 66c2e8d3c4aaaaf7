"""What one look at several nodes found: their reports, and why others gave none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from redrepl.values.report import NodeReport
from redrepl.values.report_answer import Unreadable
from redrepl.values.topology import Topology


@dataclass(frozen=True, slots=True)
class Reports:
    """What nodes told of themselves at one look.

    present: the report of each node that answered, strangers included.
    silent: for each other node why there is no report, in words; an `Unreadable` where it told what
    cannot be true.
    nodes: all that were asked. Everything here is in that order.
    """

    present: Mapping[str, NodeReport] = field(default_factory=dict)
    silent: Mapping[str, str] = field(default_factory=dict)
    nodes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.nodes:
            object.__setattr__(self, "nodes", (*self.present, *self.silent))

    @classmethod
    def collect(cls, found: Mapping[str, NodeReport | str]) -> Reports:
        """From one outcome for each node."""
        present = {node: each for node, each in found.items() if isinstance(each, NodeReport)}
        silent = {node: each for node, each in found.items() if not isinstance(each, NodeReport)}
        return cls(present, silent, tuple(found))

    def of(self, node: str | None) -> NodeReport | None:
        """The node's report; None where it gave none, or was not asked."""
        return None if node is None else self.present.get(node)

    def among(self, nodes: Iterable[str]) -> list[NodeReport]:
        """The reports of those of the nodes that answered, in the order of ``nodes``."""
        return [self.present[node] for node in nodes if node in self.present]

    def members(self, topology: Topology) -> list[NodeReport]:
        """The reports of the members that answered, in the order of the topology."""
        return self.among(topology.ids)

    def primary(self, topology: Topology) -> NodeReport | None:
        """The report of the one primary; None where it gave none, or there are several."""
        return self.of(topology.decider)

    def reason(self, node: str, if_not_asked: str) -> str:
        """Why a node gave no report, in words."""
        return self.silent.get(node, if_not_asked)

    def unreadable(self, node: str) -> Unreadable | None:
        """What a node told that cannot be true; None where it told something else, or nothing."""
        found = self.silent.get(node)
        return found if isinstance(found, Unreadable) else None

    def updated(self, later: Reports) -> Reports:
        """With what a later look found in place of what this one did."""
        return self.collect({**self._by_node(), **later._by_node()})

    def only(self, nodes: Iterable[str]) -> Reports:
        """What was found of these nodes alone."""
        wanted = set(nodes)
        found = self._by_node()
        return self.collect({node: found[node] for node in self.nodes if node in wanted})

    def _by_node(self) -> dict[str, NodeReport | str]:
        found: dict[str, NodeReport | str] = {**self.present, **self.silent}
        return {node: found[node] for node in self.nodes}


NO_REPORTS = Reports()
"""Where nothing was asked."""
