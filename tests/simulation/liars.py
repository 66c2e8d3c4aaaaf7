"""The actor of the profile `liars`: one replica that tells lies, at random moments, until all is
over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any

from redrepl.values import limits
from redrepl.values.effects import Command, PlainCommand, ScriptCall
from redrepl.values.keys import CLUSTERS_KEY, KeyLayout
from redrepl.values.topology import Topology
from tests.simulation.lies import DROPPED, ELSEWHERE, LIES, NOWHERE, Lair, another_run, rubbish
from tests.simulation.network import Machine
from tests.simulation.world import World

ELSEWHERE_HELD = b"41"
CHANGES_SHARE = 0.7
"""How many lies change what the server holds; the others are answers, for a while."""

LONGEST_RUBBISH_SECONDS = 5.0
MOST_LACKING = 0.15
"""Of the operations of a history in which one node lies and nothing else fails.

Where it says that it works in one of the next epochs, workers begin another one, and until their
next tick writes are not confirmed.
"""


class Manner(Enum):
    """What may be told.

    GUARDED: what reaches nobody, whatever else happens, so that roles move beside it. ANYTHING:
    all, while the primary stays. ALONE: what is guarded, and nothing else fails, so that all
    operations are done.
    """

    GUARDED = "guarded"
    ANYTHING = "anything"
    ALONE = "alone"


class Liars:
    """Picks a replica, and lets it lie.

    members: where members are, and the topology, behind everybody's back. may_lose: whether this
    machine may be the one that is bad now; it is until ``is_repaired``. counts: where is noted how
    often which lie was told. former: who ever lied.
    doubted: whose word counts for nothing behind everybody's back, from its first lie until it was
    healed.
    """

    def __init__(
        self,
        world: World,
        manner: Manner,
        pause_seconds: float,
        layout: KeyLayout,
        members: Callable[[], tuple[Topology, dict[str, Machine]]],
        may_lose: Callable[[Machine], bool],
        is_repaired: Callable[[Machine], bool],
        counts: dict[str, int],
    ) -> None:
        self.counts = counts
        self.machine: Machine | None = None
        self.former: set[str] = set()
        self.doubted: set[str] = set()
        self._world = world
        self._random = world.stream("liars")
        self._manner = manner
        self._pause_seconds = pause_seconds
        self._layout = layout
        self._members = members
        self._may_lose = may_lose
        self._is_repaired = is_repaired
        self._to_empty: set[str] = set()
        self._answers: dict[str, float] = {}
        self._is_over = False
        self._later()

    def may_restart(self, machine: Machine) -> bool:
        """Whether a server may restart: none does beside one that lies, until that was healed.

        A majority of those that have lost nothing is left then.
        """
        return not self.doubted - {machine.name}

    def is_lying(self, machine: Machine) -> bool:
        """Whether this is the one."""
        return machine is self.machine

    @property
    def has_emptied(self) -> bool:
        """Whether an operator emptied a server, or will."""
        return bool(self._to_empty)

    def stop(self) -> None:
        """No more lies.

        An operator empties the server where what it holds cannot be put right by anybody else.
        """
        self._is_over = True
        if self.machine is not None:
            self._be_honest(self.machine)
        for machine in self._members()[1].values():
            if machine.name in self._to_empty:
                self._count("operator empties it")
                machine.kill()
                machine.start({})

    def trespasses(self, machines: Iterable[Machine], users_keys: set[bytes]) -> list[str]:
        """What stands on servers that never lied and that none but a liar can have brought
        there.
        """
        sound = [machine for machine in machines if machine.name not in self.former]
        return [
            text for machine in sound for text in _trespasses(machine, self._layout, users_keys)
        ]

    def refused(self, outcomes: dict[str, int]) -> list[str]:
        """How operations ended, where more than a few of them failed although nothing was wrong but
        the liar.
        """
        ended = {name: count for name, count in outcomes.items() if name != "increments"}
        lacking = sum(count for name, count in ended.items() if not name.endswith("done"))
        is_right = self._manner is not Manner.ALONE or lacking <= MOST_LACKING * sum(ended.values())
        return [] if is_right else [f"{name}: {count}" for name, count in ended.items()]

    def _be_honest(self, machine: Machine) -> None:
        machine.twist = None
        self._answers.clear()
        self.machine = None

    def _later(self) -> None:
        self._world.after(self._random.expovariate(1.0) * self._pause_seconds, self._next)

    def _next(self) -> None:
        if self._is_over:
            return
        if self.machine is None:
            self._believe_the_healed()
            self._choose()
        elif self._manner is not Manner.ANYTHING and self._random.random() < 0.15:
            self._pause()
        if self.machine is not None and self.machine.is_up:
            self._lie(self.machine)
        self._later()

    def _believe_the_healed(self) -> None:
        for machine in self._members()[1].values():
            if machine.name in self.doubted - self._to_empty and self._is_repaired(machine):
                self.doubted.discard(machine.name)
                machine.saved = (
                    None  # with a file from then it would lie again, maybe as the primary
                )

    def _choose(self) -> None:
        """A replica that serves, now and then another one than before."""
        topology, members = self._members()
        if NOWHERE in topology.ids:
            # Two of three were away, one of them the liar: an operator takes that member out.
            return
        candidates = [members[node] for node in topology.ids if node != topology.decider]
        usual = [machine for machine in candidates if machine.name in self.former]
        machine = self._random.choice(
            usual if usual and self._random.random() < 0.7 else candidates
        )
        if machine.is_up and self._is_repaired(machine) and self._may_lose(machine):
            self.machine = machine
            self.former.add(machine.name)
            self.doubted.add(machine.name)
            self._note(f"{machine.name} begins to lie")

    def _pause(self) -> None:
        """It tells no more lies for a while: until it was healed no other one does, and it may be
        another one then.
        """
        assert self.machine is not None
        if self.machine.name not in self._to_empty:
            self._note(f"{self.machine.name} lies no more")
            self._be_honest(self.machine)

    def _lie(self, machine: Machine) -> None:
        topology, members = self._members()
        node = next((node for node in topology.ids if members[node] is machine), None)
        if node is None or node == topology.decider or NOWHERE in topology.ids:
            self._be_honest(machine)  # a primary that lies decides what is written
            return
        if self._random.random() < CHANGES_SHARE:
            known = [
                lie for lie in LIES if self._manner is Manner.ANYTHING or not lie.of_its_records
            ]
            if self.is_in_two_majorities(topology, members, machine):
                known = [lie for lie in known if not lie.goes_back]
            # One that comes to need its operator tells nothing after that which another server
            # could take over from it.
            lie = self._random.choice(known)
            lie.tell(Lair(node, machine.ask, self._layout, topology, self._random))
            if lie.needs_operator or lie.of_its_records:
                self._to_empty.add(machine.name)
            self._count(lie.name)
        else:
            self._answer(machine)

    def is_in_two_majorities(
        self, topology: Topology, members: dict[str, Machine], liar: Machine
    ) -> bool:
        """Whether as many serve in an earlier epoch still as make a majority with it.

        Were it to say that it is there too, they would go on beside the others, and nobody can tell
        (SECURITY.md, "Not defended").

        From the moment on in which a failover has fenced its majority: the topology is told later.
        """
        present = [machine for node, machine in members.items() if node in topology.ids]
        newest = max(topology.epoch, *(self._moved_to(machine, liar) for machine in present))
        others = [machine for machine in present if machine is not liar]
        behind = [epoch for machine in others if 0 < (epoch := self._serves_in(machine)) < newest]
        return any(behind.count(epoch) + 1 > len(topology.ids) // 2 for epoch in behind)

    def _moved_to(self, machine: Machine, liar: Machine) -> int:
        """The epoch in which it works.

        The liar's word counts where it was stopped, as a failover may count on it.
        """
        member = self._member(machine)
        epoch = member.get(b"epoch", b"")
        is_told = machine is not liar or member.get(b"state") == b"fenced"
        return int(epoch) if is_told and epoch.isdigit() and int(epoch) <= limits.MAX_EPOCH else 0

    def _serves_in(self, machine: Machine) -> int:
        """The epoch in which it serves, 0 for none."""
        member = self._member(machine)
        is_serving = (
            member.get(b"state") == b"active"
            and member.get(b"run_id") == machine.server.run_id.encode()
        )
        return int(member[b"epoch"]) if is_serving else 0

    def _member(self, machine: Machine) -> Mapping[bytes, bytes]:
        """Its member hash, empty where something else stands there."""
        found = machine.ask(PlainCommand((b"HGETALL", self._layout.member)))
        return dict(zip(found[::2], found[1::2], strict=True)) if isinstance(found, list) else {}

    def _answer(self, machine: Machine) -> None:
        """For a while it answers rubbish, with some probability."""
        seconds = min(LONGEST_RUBBISH_SECONDS, self._random.expovariate(1.0))
        kinds = ("rubbish", "rubbish", "another run")
        kind = self._random.choice(
            (*kinds, "done and not done") if self._manner is Manner.ANYTHING else kinds
        )
        if kind == "done and not done":
            self._to_empty.add(machine.name)
        self._answers = {kind: self._random.choice((0.1, 0.5, 1.0))}
        machine.twist = self._twist
        self._count(f"answers: {kind}")
        self._world.after(seconds, self._stop_answering, machine, self._answers)

    def _stop_answering(self, machine: Machine, answers: dict[str, float]) -> None:
        if self._answers is answers:
            machine.twist = None
            self._answers = {}

    def _twist(self, command: Command, carry_out: Callable[[], Any]) -> Any:
        """What the server answers."""
        kind, share = next(iter(self._answers.items()))
        if self._random.random() >= share or self._decides():
            return carry_out()
        if kind == "done and not done":
            is_known = type(command) is ScriptCall and command.script in DROPPED
            return DROPPED[command.script] if is_known else carry_out()  # type: ignore[union-attr]
        if kind == "another run":
            return another_run(command, carry_out(), b"run_id:run-y-1\r\n")
        return rubbish(self._random, command, carry_out())

    def _decides(self) -> bool:
        """Whether it is the primary by now, when it tells no more lies."""
        assert self.machine is not None
        return (
            self._manner is not Manner.ANYTHING
            and self._member(self.machine).get(b"rule") == b"decide"
        )

    def _count(self, name: str) -> None:
        self.counts[f"lie: {name}"] = self.counts.get(f"lie: {name}", 0) + 1
        if self.machine is not None:
            self._note(f"{self.machine.name} lies: {name}")

    def _note(self, text: str) -> None:
        if self._world.is_traced:
            self._world.note("liar", f"!! {text}")


def plant(machine: Machine) -> None:
    """Another program has a key on this server."""
    machine.ask(PlainCommand((b"SET", ELSEWHERE, ELSEWHERE_HELD)))


def _trespasses(machine: Machine, layout: KeyLayout, users_keys: set[bytes]) -> list[str]:
    """What is neither a record of a user's key nor bookkeeping of its kind."""
    data, found = machine.server.data, []
    strings = {layout.guard, layout.no_string, ELSEWHERE, *(layout.data(key) for key in users_keys)}
    hashes = {
        layout.member,
        layout.topology,
        layout.cursors,
        layout.marks,
        layout.sweep,
        layout.probe,
        CLUSTERS_KEY,
    }
    others = {layout.log, layout.checkpoints, layout.discarded, layout.no_stream}
    for name in sorted(data):
        value = data[name].value
        if name in strings:
            is_right = isinstance(value, bytes)
        elif name in hashes:
            is_right = hasattr(value, "get") and not isinstance(value, bytes)
        else:
            is_right = name in others and not isinstance(value, bytes)
        if not is_right:
            found.append(f"{machine.name} holds {name!r}: {value!r:.80}")
    if ELSEWHERE in data and data[ELSEWHERE].value != ELSEWHERE_HELD:
        found.append(
            f"{machine.name} holds {data[ELSEWHERE].value!r:.80} under another program's key"
        )
    return found
