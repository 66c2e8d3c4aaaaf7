"""Where a client reaches the members of its cluster: at confirmed addresses alone, and at new ones
when they move.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, Self

from redrepl.edges.addresses import Addresses, are_withheld
from redrepl.edges.cluster import Elsewhere
from redrepl.edges.configuration import Configuration
from redrepl.edges.endpoint import Endpoint
from redrepl.plans.topology import Discovery, Told
from redrepl.values.topology import Topology


class Reaches(Protocol):
    """A driver, as far as its addresses go."""

    def set_endpoints(self, endpoints: Iterable[Endpoint]) -> None:
        """Connect to these nodes from now on."""
        ...


class MemberAccess:
    """Tells a client's driver where the members are.

    Nothing is sent to an address that is not confirmed.
    """

    def __init__(
        self, configuration: Configuration, addresses: Addresses, endpoints: list[Endpoint]
    ) -> None:
        self._addresses = addresses
        self.endpoints = endpoints
        self._is_withheld = are_withheld(self.endpoints)
        self._driver: Reaches | None = None
        self._elsewhere = Elsewhere(
            configuration, lambda again: self._addresses.hear_reports(again.reports)
        )

    @classmethod
    def found(cls, configuration: Configuration, found: Discovery) -> Self:
        """To the members that were found behind the configured addresses."""
        addresses = Addresses(configuration)
        return cls(configuration, addresses, addresses.found(found))

    def drive(self, driver: Reaches) -> None:
        """Tell this driver from now on; it was opened with ``endpoints``."""
        self._driver = driver

    @property
    def is_withheld(self) -> bool:
        """Whether a member's address is not confirmed yet, so that the member is not connected
        to.
        """
        return self._is_withheld

    def follow(self, topology: Topology) -> None:
        """Reach these members from now on."""
        self.endpoints = self._addresses.of(topology)
        self._is_withheld = are_withheld(self.endpoints)
        if self._driver is not None:
            self._driver.set_endpoints(self.endpoints)

    def hear(self, told: Told, topology: Topology) -> None:
        """Members told topologies: addresses that they agree on may be reached from now on."""
        if self._addresses.hear_told(told, len(topology.ids)) and self._is_withheld:
            self.follow(topology)

    def confirm_addresses(self, topology: Topology) -> None:
        """Have the configured addresses asked again, in the background, for what members' addresses
        are.
        """
        self.find_elsewhere()
        if not are_withheld(self._addresses.of(topology)):
            self.follow(topology)

    def find_elsewhere(self) -> Topology | None:
        """Have the configured addresses asked for the cluster, in the background; what they told
        the last time.
        """
        return self._elsewhere.ask()
