"""Node access of clients that no addresses are decided for: members are reached by their names."""

from __future__ import annotations

from collections.abc import Callable

from redrepl.plans.topology import Told
from redrepl.values.topology import Topology


class ByName:
    """Reaches every member that a topology names, and finds the cluster nowhere else.

    ``on_follow`` is told of each.
    """

    def __init__(self, on_follow: Callable[[Topology], object] | None = None) -> None:
        self._on_follow = on_follow

    @property
    def is_withheld(self) -> bool:
        """No address is."""
        return False

    def follow(self, topology: Topology) -> None:
        """Tell of it."""
        if self._on_follow is not None:
            self._on_follow(topology)

    def hear(self, told: Told, topology: Topology) -> None:
        """Of no use here."""

    def confirm_addresses(self, topology: Topology) -> None:
        """None is in doubt."""

    def find_elsewhere(self) -> Topology | None:
        """There is no other place."""
        return None
