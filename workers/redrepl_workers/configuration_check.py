"""Saying in the log where the configuration contradicts what the cluster knows of its members."""

from __future__ import annotations

from redrepl import Administration, Topology
from redrepl.values.reports import Reports
from redrepl_workers.troubles import Troubles


class ConfigurationCheck:
    """Looks again when the members have changed, and not at every tick: it may have to contact
    other servers.
    """

    def __init__(self, troubles: Troubles) -> None:
        self._troubles = troubles
        self._seen: tuple[object, ...] | None = None
        self._wrong: set[str] = set()

    def look(self, administration: Administration, topology: Topology, reports: Reports) -> None:
        """Compare, if there is anything new to compare with."""
        members = tuple((member.id, member.url, member.identity) for member in topology.members)
        if members == self._seen:
            return
        self._seen = members
        found = administration.contradictions(topology, reports)
        for node, text in found.items():
            self._troubles.note(_subject(node), text, f"node {node!r}: {text}")
        for node in self._wrong - found.keys():
            self._troubles.over(
                _subject(node), f"node {node!r} is as {administration.configuration.origin} says"
            )
        self._wrong = set(found)


def _subject(node: str) -> str:
    return f"the configuration of {node}"
