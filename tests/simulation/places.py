"""Servers in members' places: on which machines they come in, what happens to those that had the
places before, and where programs look for the members.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from redrepl.values.topology import Topology
from tests.simulation.faults import Faults
from tests.simulation.network import Machine, Network, address_of
from tests.simulation.programs import Program

HARMS = ("cut", "cut", "freeze", "kill", "nothing")


class Places:
    """Machines whose places are given to others.

    newest_topology: what the nodes tell, behind everybody's back.
    """

    def __init__(
        self,
        network: Network,
        random: Random,
        faults: Faults,
        newest_topology: Callable[[], Topology],
    ) -> None:
        self._network = network
        self._world = network.world
        self._random = random
        self._faults = faults
        self._newest_topology = newest_topology
        self._coming_in: dict[str, int] = {}
        self._file = {node: address_of(node) for node in network.nodes}

    def may_come_in(self, host: str) -> bool:
        """Whether a server may come into a member's place on this machine: it counts as one that
        lost its data.
        """
        machine = self._network.machines[host]
        if not machine.is_up or not self._faults.may_lose(machine):
            return False
        self._coming_in[host] = self._newest_topology().epoch + 1
        return True

    def is_over(self, host: str) -> bool:
        """Whether who was to come in there, and is no member, did not, and never will in a later
        epoch.
        """
        return self._newest_topology().epoch > self._coming_in.get(host, 0)

    def empty(self, host: str) -> None:
        """Start a server without data there."""
        machine = self._network.machines[host]
        machine.kill()
        machine.start({})

    def harm_former(self, program: str, host: str) -> None:
        """Why it is replaced: its operator does not reach it, it hangs, or it is down.

        Later it is there again.

        Where its place is not given away after all, one that was down is a member that restarted,
        so it counts as one.
        """
        machine, seconds = self._network.machines[host], self._random.expovariate(1.0) * 2.0
        kind = self._random.choice(HARMS)
        if kind == "cut":
            link = self._network.link(program, host)
            link.cuts += 1
            self._world.after(seconds, link.heal)
        elif kind == "freeze":
            machine.freeze()
            self._world.after(seconds, machine.thaw)
        elif kind == "kill" and machine.is_up:
            self._faults.restarted.add(host)
            machine.kill()
            self._world.after(seconds, _start_again, machine)

    def bring_file_up_to_date(self) -> None:
        """Whoever is asked for help sees where the members are, and changes the file."""
        self._file |= {member.id: member.url for member in self._newest_topology().members}

    def tell(self, program: Program) -> None:
        """Have a program that starts look where its file has the members.

        Whoever replaces a machine then changes the url in the files (docs/operating.md): here as
        late as can be, when none of them leads to a member any more, or where the workers do not
        get any further.
        """
        members = self._newest_topology().members
        if not any(self._file[member.id] == member.url for member in members):
            self.bring_file_up_to_date()
        for node, url in self._file.items():
            if url != address_of(node):
                program.reach(node, url)


def twin(host: str) -> str:
    """The other machine of a member."""
    return host[0] if len(host) > 1 else f"{host}2"


def _start_again(machine: Machine) -> None:
    if not machine.is_up:
        machine.start()
