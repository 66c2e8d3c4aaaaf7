"""Clients of the simulated cluster: coordinators that read and write a few keys at random, and note
what they saw.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from functools import partial
from random import Random
from typing import Any, NamedTuple, TypeAlias

from redrepl.edges.clock import StampClock, SystemClock
from redrepl.edges.configuration import Configuration
from redrepl.edges.reporter import NOT_OBSERVED
from redrepl.plans.client.cluster_state import ClusterState
from redrepl.plans.client.codecs import Codecs
from redrepl.plans.client.options import CallOptions
from redrepl.plans.client.store import ClientStore
from redrepl.testing import history
from redrepl.testing.calls import answer_of, call
from redrepl.testing.history import Operation
from redrepl.testing.model import Content, content_of, payload_of
from redrepl.values import limits
from redrepl.values.errors import (
    NotAReplicatedRecord,
    RedreplError,
    RequestError,
    WriteFailure,
    WriteRejected,
)
from redrepl.values.level import ConsistencyLevel, Level
from redrepl.values.operation import (
    CHANGING,
    GET,
    SET,
    Condition,
    OperationKind,
    Result,
    Way,
)
from redrepl.values.preference import ReadPreference
from redrepl.values.receipt import Outcome, WriteReceipt
from redrepl.values.session import Session
from redrepl.values.stamp import NO_STAMP, Stamp
from redrepl.values.topology import Topology
from tests.simulation.programs import Program, Rest, Script
from tests.support.access import ByName

QUORUM = ConsistencyLevel.QUORUM
LONG_SECONDS = 5_000.0
"""A deadline that passes only by a clock that is far ahead."""

COUNTER = "n"
"""Only added to and read: every sum then tells which increments it holds."""

TEXT = "t"
"""As the counter, with texts."""

BUILDING = tuple(kind for kind in CHANGING if not kind.overwrites)
"""What is done with these keys.

What leaves a value as it is makes another version of the same content, and on other keys
comparisons of versions are judged by contents.
"""

Conversation: TypeAlias = Generator[Any, Any, None]


class Habits(NamedTuple):
    """What the clients of one history do, all together.

    Pauses and time-outs in seconds.

    keys: those that hold any value. weights: how often which kind of conversation comes up.
    bound_seconds: how old a read at ONE of the primary may be, None where that is not judged.
    all_share: of the writes, those at ALL.
    """

    operations: int
    pause_seconds: float
    timeout_seconds: float
    keys: tuple[str, ...]
    weights: dict[str, int]
    bound_seconds: float | None = None
    all_share: float = 0.05

    @property
    def every_key(self) -> tuple[str, ...]:
        """All keys that may hold something."""
        texts = (TEXT,) if "get text" in self.weights else ()
        return (*self.keys, COUNTER, *texts)


class ClientHistory(history.History):
    """What all clients did, in the order in which they began, how it ended, and what else is to be
    judged.

    left: conversations that are still to be begun by anybody. crashes: what should never come up.
    committed: when which stamp of a key was acknowledged at QUORUM. foreign: values that none of
    ours wrote, which a liar alone puts there. stale: reads at ONE that are older than may be, in
    words. mortal: writes of values with a deadline, by their numbers, and the stamps of those that
    were acknowledged.
    """

    def __init__(self, conversations: int) -> None:
        super().__init__()
        self.left = conversations
        self.outcomes: dict[str, int] = {}
        self.crashes: list[str] = []
        self.foreign: list[str] = []
        self.committed: list[tuple[float, str, Stamp]] = []
        self.stale: list[str] = []
        self.mortal: dict[int, Stamp | None] = {}

    def count(self, kind: str, outcome: str) -> None:
        """One more operation ended like this."""
        name = f"{kind} {outcome}"
        self.outcomes[name] = self.outcomes.get(name, 0) + 1

    def may_be_dropped(self, key: str, oldest: Stamp) -> bool:
        """Whether what stands under this key, if it is no older than that, may be a value with a
        deadline.
        """
        may_stand = [
            number for number in self.mortal if self[number].outcome is not history.Outcome.REJECTED
        ]
        stamps = [self.mortal[number] for number in may_stand if self[number].key == key]
        return any(stamp is None or stamp >= oldest for stamp in stamps)


class ProgramClock(SystemClock):
    """A program's wall clock."""

    def __init__(self, program: Program) -> None:
        super().__init__()
        self._program = program

    def micros(self) -> int:
        return self._own_micros() + self.offset_micros

    def _own_micros(self) -> int:
        return int(self._program.wall_seconds * 1e6)


class Store(ClientStore[bytes, bytes]):
    """A coordinator that the simulation drives."""

    def __init__(
        self, configuration: Configuration, topology: Topology, program: Program, writer: int
    ) -> None:
        clock = StampClock(ProgramClock(program), writer)
        cluster = ClusterState(
            configuration, topology, program, clock, ByName(program.follow), NOT_OBSERVED
        )
        super().__init__(cluster, program, Codecs(), Session())
        program.follow(topology)

    @property
    def topology(self) -> Topology:
        """The members as this coordinator knows them."""
        return self.cluster.view.topology


class PlanCalls:
    """Operations of a store, by the coordinator's names, as the plans that a program's channel
    runs.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def get_record(self, key: str, level: Level, prefer: ReadPreference) -> Any:
        """One record."""
        return self._store.get_record_plan(key, level, prefer, None)

    def get_many(self, keys: Sequence[str], level: Level) -> Any:
        """Some values."""
        return self._store.get_many_plan(keys, level, ReadPreference.PRIMARY, None)

    def change(
        self,
        kind: OperationKind,
        key: str,
        argument: Content,
        level: Level,
        expected: Stamp | None = None,
        ttl: float | None = None,
    ) -> Any:
        """One operation that is no read."""
        options = CallOptions(level, None)
        return call(self._store, kind, key, argument, expected, ttl, "_plan", options=options)

    def set_many(self, items: dict[str, bytes], level: Level) -> Any:
        """One batch."""
        return self._store.set_many_plan(items, None, CallOptions(level, None))


class Client:
    """One program with a coordinator, whose threads carry out operations one after the other."""

    def __init__(
        self,
        program: Program,
        configuration: Configuration,
        topology: Topology,
        habits: Habits,
        seen: ClientHistory,
        random: Random,
    ) -> None:
        self.program = program
        writer = 1 + random.randrange(limits.MAX_CLIENT_WRITER)
        self.store, self.calls = self._open_store(configuration, topology, writer)
        self.open_threads = 0
        self._habits = habits
        self._history = seen
        self._random = random
        self._count = 0
        self._known: dict[str, tuple[Stamp, Content]] = {}
        self._past: dict[str, set[Stamp]] = {}
        self._conversations: dict[str, Callable[[], Conversation]] = {
            **{kind.name: partial(self._change, kind) for kind in CHANGING},
            "get": self._get,
            "set for long": lambda: self._change(SET, LONG_SECONDS),
            "get counter": lambda: self.read(COUNTER),
            "get text": lambda: self.read(TEXT),
            "set_many": self._set_many,
            "get_many": self._get_many,
            "get at one": self._get_at_one,
            "get from primary": lambda: self._get_at_one(ReadPreference.PRIMARY),
            "set alone": self._set_alone,
        }

    @property
    def topology(self) -> Topology:
        """The members as this client knows them."""
        known: Topology = self.store.topology
        return known

    def begin(self, threads: int) -> None:
        """Start the threads."""
        for _ in range(threads):
            self.open_threads += 1
            self.program.start(self._thread())

    def _open_store(
        self, configuration: Configuration, topology: Topology, writer: int
    ) -> tuple[Any, Any]:
        """The coordinator, and its operations as this program's threads want them."""
        store = Store(configuration, topology, self.program, writer)
        return store, PlanCalls(store)

    def _thread(self) -> Script:
        names, weights = zip(*self._habits.weights.items(), strict=True)
        while self._history.left > 0:
            self._history.left -= 1
            yield Rest(self._random.expovariate(1.0) * self._habits.pause_seconds)
            yield from self._conversations[self._random.choices(names, weights)[0]]()
        self.open_threads -= 1

    # One conversation for each kind of operation --------------------------------------------------

    def _get(self) -> Conversation:
        return self.read(self._key())

    def read(self, key: str) -> Conversation:
        operation = self._invoke(key, GET)
        wanted = self.calls.get_record(key, QUORUM, ReadPreference.PRIMARY)
        done, found = yield from self._carry_out(wanted, [operation])
        if done:
            content = content_of(None if found is None else found.value)
            self._answered(operation, content)
            if found is not None:
                self._known[key] = found.stamp, content
                self._saw(key, found.stamp)

    def _change(self, kind: OperationKind, ttl: float | None = None) -> Conversation:
        key, argument = self._key_for(kind), self._argument(kind)
        stamp, expected = None, None
        if kind.condition is Condition.VERSION:
            if key not in self._known:
                yield from self.read(key)
            if key not in self._known:
                return
            stamp, expected = self._known[key]

        operation = self._invoke(key, kind, argument, expected)
        if ttl is not None:
            self._history.mortal[operation] = None
        level = self._level() if kind.way is Way.WRITE else QUORUM
        wanted = self.calls.change(kind, key, argument, level, stamp, ttl)
        done, result = yield from self._carry_out(wanted, [operation])
        if done and kind.result is Result.RECEIPT:
            self._committed(operation, result)
        elif done:
            self._answered(operation, answer_of(kind, result))

    def _key_for(self, kind: OperationKind) -> str:
        if kind not in BUILDING:
            return self._key()
        if kind.argument.type is None:
            return self._random.choice((COUNTER, TEXT))
        return COUNTER if kind.argument.type is int else TEXT

    def _argument(self, kind: OperationKind) -> Content:
        """A value that no other operation writes; of a number, an amount that tells itself from all
        sums.
        """
        if kind.argument.type is not int:
            return None if kind.argument.type is None else self._value()
        number = self._history.outcomes.get("increments", 0)
        self._history.outcomes["increments"] = number + 1
        return 1 << number % 50

    def _set_alone(self) -> Conversation:
        """Acknowledged by one copy, it may be lost: as good as unknown."""
        key, value = self._key(), self._value()
        operation = self._invoke(key, SET, value)
        yield from self._carry_out(
            self.calls.change(SET, key, value, ConsistencyLevel.ASYNC), [operation]
        )

    def _set_many(self) -> Conversation:
        values = {key: self._value() for key in self._habits.keys}
        operations = [self._invoke(key, SET, value) for key, value in values.items()]
        items = {key: value.encode() for key, value in values.items()}
        done, receipts = yield from self._carry_out(self.calls.set_many(items, QUORUM), operations)
        for operation in operations if done else ():
            self._committed(operation, receipts[self._history[operation].key])

    def _get_many(self) -> Conversation:
        operations = [self._invoke(key, GET) for key in self._habits.keys]
        done, values = yield from self._carry_out(
            self.calls.get_many(self._habits.keys, QUORUM), operations
        )
        for operation in operations if done else ():
            self._answered(operation, content_of(values[self._history[operation].key]))

    def _get_at_one(self, prefer: ReadPreference | None = None) -> Conversation:
        """Any copy answers, with something that somebody wrote, and nothing older than this
        program's own past.
        """
        key, invoked = self._key(), self.program.world.now
        prefer = prefer or self._random.choice([ReadPreference.PRIMARY, *ReadPreference])
        past = set(self._past.get(key, ()))
        may_be_absent = any(
            kind.removes_value and kind.name in self._habits.weights for kind in CHANGING
        )
        done, found = yield from self._carry_out(
            self.calls.get_record(key, ConsistencyLevel.ONE, prefer), []
        )
        if not done:
            return
        written = {payload_of(each.argument) for each in self._history if each.argument is not None}
        if found is not None and found.value not in written:
            self._history.crashes.append(
                f"{self.program.name} read {found.value!r} of {key}, which nobody wrote"
            )
        # What nobody acknowledged may be taken back after it was read.
        acknowledged = [
            (at, stamp)
            for at, name, stamp in self._history.committed
            if name == key and at < invoked
        ]
        bound = self._habits.bound_seconds if prefer is ReadPreference.PRIMARY else None
        known = [
            stamp
            for at, stamp in acknowledged
            if stamp in past or (bound is not None and at < invoked - bound)
        ]
        oldest = max(known, default=NO_STAMP)
        # A node whose clock is far ahead drops what has a deadline. Until somebody looks, it
        # answers all the same.
        machines = self.program.network.machines.values()
        may_be_absent |= any(
            each.was_far_ahead for each in machines
        ) and self._history.may_be_dropped(key, oldest)
        if found.stamp < oldest if found is not None else oldest > NO_STAMP and not may_be_absent:
            text = (
                f"{self.program.name} read {found} of {key} from {prefer.value}, older than "
                f"{oldest}"
            )
            self._history.stale.append(f"at {invoked:.3f}: {text}")
        elif found is not None and prefer is ReadPreference.PRIMARY:
            self._saw(key, found.stamp)

    # Parts ----------------------------------------------------------------------------------------

    def _answered(self, operation: int, answer: Content = None) -> Operation:
        return self._history.end(operation, self._now_nanos(), answer=answer)

    def _committed(self, operation: int, receipt: WriteReceipt) -> None:
        assert receipt.outcome is Outcome.COMMITTED
        ended = self._answered(operation, answer_of(self._history[operation].kind, receipt))
        if operation in self._history.mortal:
            self._history.mortal[operation] = receipt.stamp
        if receipt.applied:
            self._saw(ended.key, receipt.stamp)
            self._history.committed.append((self.program.world.now, ended.key, receipt.stamp))
        if receipt.applied and ended.argument is not None:
            self._known[ended.key] = receipt.stamp, ended.argument

    def _saw(self, key: str, stamp: Stamp) -> None:
        self._past.setdefault(key, set()).add(stamp)

    def _carry_out(
        self, wanted: Any, operations: list[int]
    ) -> Generator[Any, Any, tuple[bool, Any]]:
        """Whether the operations are known to be done, and their result."""
        kind = self._history[operations[0]].kind if operations else GET
        try:
            result = yield wanted
        except Exception as error:
            self._failed(operations, kind, error)
            return False, None
        self._end(operations, "done")
        self._note(f"{kind} is done")
        return True, result

    def _failed(self, operations: list[int], kind: OperationKind, error: Exception) -> None:
        """What is known of operations that ended with an error."""
        is_read = kind.way is Way.READ
        unknown = "unavailable" if is_read else "unknown"
        if isinstance(error, NotAReplicatedRecord):
            self._history.foreign.append(f"{self.program.name}: {error!r}")
            self._end(operations, unknown)
        elif isinstance(error, RequestError) or not isinstance(error, RedreplError):
            self._history.crashes.append(f"{self.program.name}: {error!r}")
        elif isinstance(error, WriteRejected):
            self._end(operations, "rejected")
            for operation in operations:
                self._history.end(operation, self._now_nanos(), history.Outcome.REJECTED)
            self._note(str(error))
        elif isinstance(error, WriteFailure):
            self._end_each(operations, error)
            self._note(str(error))
        else:
            self._end(operations, unknown if is_read else f"unknown ({type(error).__name__})")
            self._note(repr(error))

    def _end_each(self, operations: list[int], error: WriteFailure) -> None:
        """Of several writes, each has an outcome of its own."""
        receipts = {receipt.key: receipt for receipt in error.receipts}
        for operation in operations:
            receipt = receipts.get(self._history[operation].key)
            if receipt is not None and receipt.outcome is Outcome.COMMITTED:
                self._committed(operation, receipt)
                self._end([operation], "done")
            elif receipt is not None and receipt.outcome is Outcome.REJECTED:
                self._history.end(operation, self._now_nanos(), history.Outcome.REJECTED)
                self._end([operation], "rejected")
            else:
                self._end([operation], "unknown")

    def _end(self, operations: list[int], outcome: str) -> None:
        for operation in operations:
            self._history.count(self._history[operation].kind.name, outcome)

    def _note(self, text: str) -> None:
        if self.program.world.is_traced:
            self.program.world.note(self.program.name, f"** {text}")

    def _invoke(
        self, key: str, kind: OperationKind, argument: Content = None, expected: Content = None
    ) -> int:
        """Note that an operation begins; its number in the history."""
        self._note(f"{kind} {key} {argument!r}" + (f" if {expected!r}" if expected else ""))
        return self._history.begin(
            self.program.name, key, kind, self._now_nanos(), argument, expected
        )

    def _now_nanos(self) -> int:
        return round(self.program.world.now * 1e9)

    def _level(self) -> Level:
        return ConsistencyLevel.ALL if self._random.random() < self._habits.all_share else QUORUM

    def _key(self) -> str:
        return self._random.choice(self._habits.keys)

    def _value(self) -> str:
        self._count += 1
        return f"{self.program.name}.{self._count}"
