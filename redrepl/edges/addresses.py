"""Where logins may be sent: to addresses that the configuration names, or most members that could
be asked.

The topology stands on the nodes, and one of them may name any address. Whoever connected there
would send it the login of the nodes, and records. See docs/protocol.md, section 5.8.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import TypeAlias

from redrepl.edges.cluster import endpoints_of
from redrepl.edges.configuration import BY_URLS, Configuration
from redrepl.edges.endpoint import Endpoint, place_of
from redrepl.edges.locks import new_lock
from redrepl.plans.topology import Discovery, Told
from redrepl.values.reasons import REFUSES
from redrepl.values.reports import Reports
from redrepl.values.topology import Topology

WITHHELD = (
    "is at {url}, as one node says, and neither the configuration nor most of the members that it "
    "leads to: nothing is "
    "sent there; name it in the configuration where that is right"
)


Place: TypeAlias = tuple[object, int]
"""Server and database."""


class Addresses:
    """Addresses that may be reached with a login, for one program.

    What was once vouched for stays so.
    """

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._places: set[Place] = {
            place_of(url)
            for endpoint in (*configuration.endpoints, *configuration.routes)
            for url in (endpoint.url, endpoint.connect_url)
            if url is not None
        }
        self._lock = new_lock()

    def vouch(self, url: str) -> None:
        """The operator names this address."""
        with self._lock:
            self._places = {*self._places, place_of(url)}

    def hear(self, told: Collection[Topology], asked: int) -> bool:
        """Take note of what members tell, each at an address that may be reached; whether an
        address is new by that.

        asked: how many such members there are, whether they answered or not.
        """
        names = Counter(
            place for each in told for place in {place_of(member.url) for member in each.members}
        )
        found = {place for place, count in names.items() if count > asked // 2}
        with self._lock:
            is_new = not found <= self._places
            self._places = self._places | found
        return is_new

    def hear_reports(self, reports: Reports) -> bool:
        """The same of what configured addresses, or members that may be reached, say of themselves.

        Servers that are members no more do not count; whoever is silent does.
        """
        told, servers, strangers = [], set(), 0
        asked = len(reports.nodes)
        for report in reports.present.values():
            if not report.member or (asked == 2 and report.has_restarted):
                # Of two, the one that came back with older data may know less than the other: it
                # can object to nothing.
                strangers += 1
            elif report.topology is not None and report.run_id not in servers:
                servers.add(report.run_id)
                told.append(report.topology)
        return self.hear(told, asked - strangers - self._gone(reports.silent.values(), asked))

    def hear_told(self, told: Told, asked: int) -> bool:
        """The same of what members told a client."""
        return self.hear(told.topologies, asked - self._gone(told.failures.values(), asked))

    def _gone(self, reasons: Iterable[str], asked: int) -> int:
        """At how many addresses nothing listens any more.

        Of two nodes in a file that is what a restart looks like, and the other one alone is no
        majority. Of more a file may name machines that were replaced long ago, and bare urls are
        places to begin at, of which one may do.
        """
        counts = asked > 2 or self._configuration.origin == BY_URLS
        return sum(REFUSES in reason for reason in reasons) if counts else 0

    def may_reach(self, url: str) -> bool:
        """Whether a login may be sent there."""
        return place_of(url) in self._places

    def of(self, topology: Topology, seed_of: Mapping[str, str] | None = None) -> list[Endpoint]:
        """The members' endpoints; those that nothing may be sent to are never connected to, and say
        why.
        """
        return [self.checked(each) for each in endpoints_of(topology, self._configuration, seed_of)]

    def checked(self, endpoint: Endpoint) -> Endpoint:
        """The endpoint, withheld where nothing may be sent there."""
        url = endpoint.reached_at
        return (
            endpoint
            if self.may_reach(url)
            else replace(endpoint, withheld=WITHHELD.format(url=url))
        )

    def found(self, discovery: Discovery) -> list[Endpoint]:
        """The endpoints behind the configured addresses."""
        self.hear_reports(discovery.reports)
        return self.of(discovery.topology, discovery.seed_of)


def are_withheld(endpoints: Iterable[Endpoint]) -> bool:
    """Whether there is one that nothing may be sent to."""
    return any(endpoint.withheld for endpoint in endpoints)
