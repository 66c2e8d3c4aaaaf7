"""What goes wrong in a simulation.

Each kind begins something and has it end by itself some time later.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from redrepl.values.effects import PlainCommand
from tests.simulation.network import SERVICE_SECONDS, Machine, Network
from tests.simulation.programs import Program
from tests.simulation.servers import Data

LONGEST_SECONDS = 60.0
FAR_AHEAD_SECONDS = 1e5
"""Every deadline has passed by a clock that is so far ahead."""

STEPS_SECONDS = (2.5, -2.5, 10.0, -10.0, FAR_AHEAD_SECONDS, FAR_AHEAD_SECONDS)
"""By how much a clock steps: more than is tolerated, and mostly ahead, since values with deadlines
go then.
"""

READERS = "reader"
"""How the names of clients begin that only read."""

LEAST_CONFIRMED = 15
"""Entries of a log: more than are added until somebody looks, which is why it is seen that the log
was lost.
"""

LEAST_FORGOTTEN = 30
"""Entries that a server is set back by: more than are added from one look of a monitor to the next,
also where an answer comes late.
"""

REFUSALS = (
    "OOM command not allowed when used memory > 'maxmemory'.",
    "OOM command not allowed when used memory > 'maxmemory'.",
    "READONLY You can't write against a read only replica.",
    "MISCONF Errors writing to the AOF file: No space left on device",
)
"""What a server says that answers and takes no writes; full memory lets bookkeeping pass."""


class Faults:
    """Lets faults begin at random until it is told to stop, when all that still goes on ends.

    programs: those that run now. replace: put another program in the place of one that was killed.
    is_repaired: whether a machine serves again after a restart. may_restart: whether one may
    restart beside what else is wrong.
    most_restarted, most_lossy: how many machines may be unrepaired after a restart at the same
    time, and how many of them may have lost data. empties_primary: whether a primary that comes
    back empty can be replaced.
    """

    def __init__(
        self,
        network: Network,
        kinds: tuple[str, ...],
        pause_seconds: float,
        programs: Callable[[], list[Program]],
        replace: Callable[[Program], None],
        is_repaired: Callable[[Machine], bool],
        may_restart: Callable[[Machine], bool],
        most_restarted: int,
        most_lossy: int,
    ) -> None:
        self.counts: dict[str, int] = {}
        self.restarted: set[str] = set()
        self.lossy: set[str] = set()
        self._network = network
        self._world = network.world
        self._random = network.world.stream("faults")
        self._machines = list(network.machines.values())
        self._pause_seconds = pause_seconds
        self._programs = programs
        self._replace = replace
        self._is_repaired = is_repaired
        self._may_restart_beside = may_restart
        self._most_restarted = most_restarted
        self._most_lossy = most_lossy
        self._forgetful: dict[str, bytes] = {}
        self._ends: dict[int, Callable[[], None]] = {}
        self._number = 0
        self._is_over = False
        self._begin: dict[str, Callable[[], Callable[[], None] | None]] = {
            "cut node": self._cut_node,
            "cut link": self._cut_link,
            "cut links": self._cut_links,
            "cut keepers": self._cut_keepers,
            "slow links": self._slow_links,
            "freeze": self._freeze,
            "slow node": self._slow_node,
            "kill": lambda: self._kill("kept"),
            "kill older": lambda: self._kill("older"),
            "kill empty": lambda: self._kill("empty"),
            "flush scripts": self._flush_scripts,
            "lose log": self._lose_log,
            "set back": self._set_back,
            "set back in a job": self._set_back_in_a_job,
            "refuse": self._refuse,
            "take guard": self._take_guard,
            "pause program": self._pause_program,
            "kill program": self._kill_program,
            "clock": self._move_clock,
            "clock step": self._step_clock,
            "clock step in a job": self._step_clock_in_a_job,
        }
        self._kinds = kinds
        if kinds:
            self._later()

    def may_lose(self, machine: Machine) -> bool:
        """Whether a server without data may come in on this machine; if so, it counts as one that
        lost them.
        """
        if not self._may_restart(machine, "empty"):
            return False
        self.restarted.add(machine.name)
        self.lossy.add(machine.name)
        return True

    def stop(self) -> None:
        """No more faults, and all that still goes on ends."""
        self._is_over = True
        for end in list(self._ends.values()):
            end()
        self._ends.clear()

    def _later(self) -> None:
        self._world.after(self._random.expovariate(1.0) * self._pause_seconds, self._next)

    def _next(self) -> None:
        if self._is_over:
            return
        if self._random.random() < 0.3:
            self._random.choice(self._machines).save()
        kind = self._random.choice(self._kinds)
        end = self._begin[kind]()
        if end is not None:
            self._count(kind)
            self._number += 1
            self._ends[self._number] = end
            self._world.after(self._duration(), self._end, self._number)
        self._later()

    def _count(self, kind: str) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + 1

    def _duration(self) -> float:
        """Mostly a moment, sometimes longer than anything is waited for."""
        random = self._random
        usual = random.choice((0.05, 0.3, 1.0, 4.0))
        return min(LONGEST_SECONDS, random.expovariate(1.0) * usual)

    def _end(self, number: int) -> None:
        end = self._ends.pop(number, None)
        if end is not None:
            end()

    def _note(self, text: str) -> None:
        if self._world.is_traced:
            self._world.note("fault", f"!! {text}")

    # Links ----------------------------------------------------------------------------------------

    def _cut(self, pairs: list[tuple[str, str]]) -> Callable[[], None]:
        self._note("cut " + ", ".join(f"{program}-{node}" for program, node in pairs))
        links = [self._network.link(program, node) for program, node in pairs]
        for link in links:
            link.cuts += 1

        def heal() -> None:
            self._note("healed " + ", ".join(f"{program}-{node}" for program, node in pairs))
            for link in links:
                link.heal()

        return heal

    def _names(self) -> list[str]:
        return [program.name for program in self._programs()]

    def _cut_node(self) -> Callable[[], None]:
        node = self._random.choice(self._machines).name
        return self._cut([(program, node) for program in self._names()])

    def _cut_link(self) -> Callable[[], None]:
        return self._cut(
            [(self._random.choice(self._names()), self._random.choice(self._machines).name)]
        )

    def _cut_keepers(self) -> Callable[[], None]:
        """Clients reach the node, and nobody else does: it is replaced, and does not know."""
        node = self._random.choice(self._machines).name
        return self._cut(
            [(program, node) for program in self._names() if not program.startswith(READERS)]
        )

    def _cut_links(self) -> Callable[[], None]:
        pairs = [(program, machine.name) for program in self._names() for machine in self._machines]
        return self._cut([pair for pair in pairs if self._random.random() < 0.4])

    def _slow_links(self) -> Callable[[], None]:
        node, factor = self._random.choice(self._machines).name, self._random.choice((5, 50, 300))
        links = [self._network.link(program, node) for program in self._names()]
        self._note(f"links to {node} become {factor} times as slow")
        for link in links:
            link.usual_seconds *= factor

        def end() -> None:
            for link in links:
                link.usual_seconds /= factor

        return end

    # Machines -------------------------------------------------------------------------------------

    def _freeze(self) -> Callable[[], None]:
        machine = self._random.choice(self._machines)
        self._note(f"{machine.name} freezes")
        machine.freeze()

        def thaw() -> None:
            self._note(f"{machine.name} goes on")
            machine.thaw()

        return thaw

    def _slow_node(self) -> Callable[[], None]:
        machine = self._random.choice(self._machines)
        machine.service_seconds = SERVICE_SECONDS * self._random.choice((20, 200, 1000))
        self._note(f"{machine.name} becomes slow")

        def end() -> None:
            machine.service_seconds = SERVICE_SECONDS

        return end

    def _refuse(self) -> Callable[[], None] | None:
        machine = self._random.choice(self._machines)
        if machine.server.refusal is not None:
            return None
        machine.server.refusal = self._random.choice(REFUSALS)
        self._note(f"{machine.name} takes no writes: {machine.server.refusal}")

        def end() -> None:
            machine.server.refusal = None
            self._note(f"{machine.name} takes writes again")

        return end

    def _take_guard(self) -> Callable[[], None]:
        """Somebody deletes the guard of a member, or puts something else in its place."""
        machine = self._random.choice(self._machines)
        guard = machine.layout.guard
        command = self._random.choice(((b"DEL", guard), (b"SET", guard, b"what?")))
        if machine.is_up:
            machine.ask(PlainCommand(command))
            self._note(f"the guard of {machine.name} is taken away")
        return _nothing

    def _lose_log(self) -> Callable[[], None] | None:
        """The change log is gone while records and cursors stay; enough was confirmed for that to
        be seen.
        """
        machine = self._random.choice(self._machines)
        data, layout = machine.server.data, machine.layout
        held = data[layout.cursors].value.values() if layout.cursors in data else ()
        confirmed = max((int(cursor.split()[1]) for cursor in held), default=0)
        # Of one that is gone already, and was noticed, the cursors may be left for a moment:
        # nothing is lost then.
        is_there = LEAST_CONFIRMED <= confirmed <= _entries(machine, data)
        if not machine.is_up or not is_there or not self._may_restart(machine, "without its log"):
            return None
        self.restarted.add(machine.name)
        self.lossy.add(machine.name)
        self._forgetful[machine.name] = _membership(machine, data)[b"incarnation"]
        machine.ask(PlainCommand((b"DEL", layout.log)))
        self._note(f"{machine.name} has lost its log, of which {confirmed} entries were confirmed")
        return _nothing

    def _set_back_in_a_job(self) -> Callable[[], None]:
        """A worker has looked up to where the replica has a log, and it is set back before the
        worker goes on there.
        """
        machine = self._random.choice(self._machines)

        def set_back() -> None:
            if self._set_back(machine) is None:
                machine.before_storing = set_back  # it was not to be noticed yet
            else:
                self._count("set back in the midst of a job")

        def end() -> None:
            machine.before_storing = None

        machine.before_storing = set_back
        return end

    def _set_back(self, machine: Machine | None = None) -> Callable[[], None] | None:
        """A replica goes on with the memory of a while ago.

        What a primary forgets is not promised until it is noticed; and what nobody has seen of a
        log cannot be missed.
        """
        machine = machine or self._random.choice(self._machines)
        if not machine.is_up or machine.saved is None:
            return None
        own, before = _membership(machine, machine.server.data), _membership(machine, machine.saved)
        lost = _entries(machine, machine.server.data) - _entries(machine, machine.saved)
        is_same = own == before and own.get(b"state") == b"active" and own.get(b"rule") == b"follow"
        if not is_same or lost < LEAST_FORGOTTEN or not self._may_restart(machine, "set back"):
            return None
        self.restarted.add(machine.name)
        self.lossy.add(machine.name)
        self._forgetful[machine.name] = own[b"incarnation"]
        machine.set_back()
        self._note(f"{machine.name} goes on with its memory of {lost} entries ago")
        return _nothing

    def forgetful(self) -> list[str]:
        """Machines that were set back and whose logs were not begun anew since: nobody has noticed
        yet.
        """
        machines = [self._network.machines[name] for name in self._forgetful]
        held = {each.name: _membership(each, each.server.data) for each in machines}
        return [name for name, own in held.items() if own[b"incarnation"] == self._forgetful[name]]

    def _flush_scripts(self) -> Callable[[], None]:
        machine = self._random.choice(self._machines)
        self._note(f"the scripts of {machine.name} are flushed")
        machine.flush_scripts()
        return _nothing

    def _move_clock(self) -> Callable[[], None]:
        machine = self._random.choice(self._machines)
        if machine.is_in_time:  # and stays so: all clocks then differ by less than is tolerated
            largest = machine.largest_skew_seconds
            moved = machine.skew_seconds + self._random.uniform(-0.1, 0.1)
            machine.skew_seconds = min(largest, max(-largest, moved))
        self._note(f"the clock of {machine.name} is moved")
        return _nothing

    def _step_clock_in_a_job(self) -> Callable[[], None]:
        """A worker has looked at the node, and its clock steps far ahead before the worker reads
        its records.
        """
        machine = self._random.choice(self._machines)
        ends: list[Callable[[], None]] = []

        def step() -> None:
            end = self._step_clock(machine, (FAR_AHEAD_SECONDS,))
            if end is not None:
                ends.append(end)

        def end() -> None:
            if machine.before_copying is step:
                machine.before_copying = None
            for each in ends:
                each()

        machine.before_copying = step
        return end

    def _step_clock(
        self, machine: Machine | None = None, steps_seconds: tuple[float, ...] = STEPS_SECONDS
    ) -> Callable[[], None] | None:
        """Further than is tolerated, ahead or back, and right again after a while.

        No other clock steps meanwhile.
        """
        machine = machine or self._random.choice(self._machines)
        if not machine.is_up or not machine.is_in_time or not self._may_restart(machine, "stepped"):
            return None
        seconds = self._random.choice(steps_seconds)
        self.lossy.add(machine.name)
        self.restarted.add(machine.name)
        machine.skew_seconds += seconds
        machine.is_in_time = False
        machine.was_far_ahead |= seconds == FAR_AHEAD_SECONDS
        self._note(f"the clock of {machine.name} steps by {seconds} s")

        def end() -> None:
            machine.skew_seconds -= seconds
            machine.is_in_time = True
            self._note(f"the clock of {machine.name} is right again")

        return end

    def _kill(self, what: str) -> Callable[[], None] | None:
        machine = self._random.choice(self._machines)
        if not machine.is_up or not self._may_restart(machine, what):
            return None
        data: Data | None = None
        if what == "empty":
            data = {}
        elif what == "older":
            if machine.saved is None:
                return None
            data, machine.saved = machine.saved, None
        self._note(f"{machine.name} dies, its data will be {what}")
        self.restarted.add(machine.name)
        if what != "kept":
            self.lossy.add(machine.name)
        machine.kill()

        def start() -> None:
            machine.start(data)
            self._note(f"{machine.name} starts with {what} data as {machine.server.run_id}")

        return start

    def _may_restart(self, machine: Machine, what: str) -> bool:
        for name in list(self.restarted):
            if self._is_repaired(self._network.machines[name]) and name not in self.forgetful():
                self.restarted.discard(name)
                self.lossy.discard(name)
        if not self._may_restart_beside(machine):
            return False
        if len(self.restarted | {machine.name}) > self._most_restarted:
            return False
        return what == "kept" or len(self.lossy | {machine.name}) <= self._most_lossy

    # Programs -------------------------------------------------------------------------------------

    def _a_program(self) -> Program | None:
        alive = [program for program in self._programs() if program.is_alive]
        return self._random.choice(alive) if alive else None

    def _pause_program(self) -> Callable[[], None] | None:
        if (program := self._a_program()) is None:
            return None
        seconds = self._duration()
        self._note(f"{program.name} pauses for {seconds:.3f} s")
        program.pause(seconds)
        return _nothing

    def _kill_program(self) -> Callable[[], None] | None:
        if (program := self._a_program()) is None:
            return None
        self._note(f"{program.name} is killed")
        program.kill()
        return lambda: self._replace(program)


def _membership(machine: Machine, data: Data) -> dict[bytes, bytes]:
    """What tells one life of a member from another."""
    held = data[machine.layout.member].value if machine.layout.member in data else {}
    return {
        name: held.get(name, b"")
        for name in (b"epoch", b"state", b"rule", b"run_id", b"incarnation")
    }


def _entries(machine: Machine, data: Data) -> int:
    """How many entries its log has ever had."""
    log = machine.layout.log
    return int(data[log].value.entries_added) if log in data else 0


def _nothing() -> None:
    """It was over at once."""


def chosen(random: Random, kinds: tuple[str, ...]) -> tuple[str, ...]:
    """Some of these kinds: a history with few kinds of faults has more of each."""
    some = tuple(kind for kind in kinds if random.random() < 0.5)
    return some or kinds
