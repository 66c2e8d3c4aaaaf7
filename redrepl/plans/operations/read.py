"""Reading: from one copy by preference, or confirmed by enough copies with read repair.

See docs/protocol.md, section 4.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from redrepl.plans.operations.watch import watching
from redrepl.plans.scan import FOREIGN
from redrepl.plans.view import ClusterView, ask, check_admitted, foreign_value, keys_to_ask
from redrepl.values import limits
from redrepl.values.effects import (
    DeadlinePassed,
    Event,
    Exchange,
    Failure,
    PlainCommand,
    Plan,
    Reply,
    Request,
)
from redrepl.values.errors import Unavailable
from redrepl.values.preference import ReadPreference
from redrepl.values.record import Record
from redrepl.values.stamp import NO_STAMP, STAMP_BYTES, Stamp

SHARE_KEYS = 8
"""Fewer keys of one read are not worth a request of their own, measured with three nodes on two cores."""

NEAR_FACTOR = 2.0
"""Copies that take at most so many times what the nearest takes are near too: many keys are divided among them."""

_RECORDS = 0
_HEADERS = 1
_REPAIR = 2


class Found(NamedTuple):
    """A record as one node holds it; None where nothing stands."""

    record: Record | None
    node: str


def read_decider(view: ClusterView, key: bytes, started: float, until: float) -> Plan[Record | None]:
    """One plain GET on the one primary, whose record is the answer whatever it is. Raises Unavailable, EpochMoved."""
    home, name = view.decider, view.layout.data_prefix + key
    assert home is not None, "asked in the mode of one primary alone"
    patient_until = started + view.patience_seconds
    is_patient = patient_until >= until
    request = Request(home, PlainCommand((b"GET", name)))
    event = yield Exchange((request,), until if is_patient else patient_until, home, True, not is_patient)
    if type(event) is not Reply and type(event) is DeadlinePassed and not is_patient:
        event = yield from watching(view, _wait(until), started, view.others[home])
    if type(event) is Reply:
        return None if event.content is None else view.record_at(home, name, event.content)
    reason = _failure(view, home, name, event)
    raise Unavailable(f"no copy could answer the read of {key!r}", {home: reason})


def _wait(until: float) -> Plan[Event]:
    return (yield Exchange((), until))


def read_one(
    view: ClusterView, key: bytes, candidates: Sequence[str], at_least: Stamp, started: float, until: float
) -> Plan[Found]:
    """One plain GET on the first candidate that answers and is no older than ``at_least``.

    Raises Unavailable when none does.
    """
    name = view.layout.data_prefix + key
    command = PlainCommand((b"GET", name))
    failures: dict[str, str] = {}
    for number, node in enumerate(candidates):
        share = (until - started) / (len(candidates) - number)
        event = yield ask(node, command, min(until, started + share))
        assert event is not None
        started = event.at
        if type(event) is Reply:
            record = None if event.content is None else view.record_at(node, name, event.content)
            if at_least is NO_STAMP or node == view.decider or _stamp_of(record) >= at_least:
                return Found(record, node)
            failures[node] = "lags behind what this session has seen"
        else:
            failures[node] = _failure(view, node, name, event)
    raise Unavailable(f"no copy could answer the read of {key!r}", failures)


def width_of(
    preference: ReadPreference,
    nodes: Sequence[str],
    count: int,
    home: str,
    trouble: Callable[[str], str | None],
    latency_seconds: Callable[[str], float],
) -> int:
    """Among how many of the candidates, from the first on, to divide a read of ``count`` keys."""
    usable = [node for node in nodes if trouble(node) is None]
    width = 1
    if preference is ReadPreference.REPLICA:
        width = sum(1 for node in usable if node != home)
    elif preference is ReadPreference.NEAREST and usable:
        slowest = latency_seconds(usable[0]) * NEAR_FACTOR
        width = sum(1 for node in usable if latency_seconds(node) <= slowest)
    return max(1, min(width, count // SHARE_KEYS))


def read_many_from(
    view: ClusterView,
    keys: Sequence[bytes],
    nodes: Sequence[str],
    at_least: Sequence[Stamp],
    started: float,
    until: float,
    width: int = 1,
) -> Plan[list[Found]]:
    """Read many keys: divided among the first ``width`` nodes, asked at once, one plain MGET each.

    What a node that fails or stays silent was asked for, and keys with a record older than ``at_least``, are asked for
    elsewhere, in the order of ``nodes``; each gets its share of the time. Raises Unavailable where a key is left.
    """
    reading = _DividedRead(view, keys, nodes, at_least, until)
    effect = reading.opening(width, started)
    while True:
        event = yield effect
        assert event is not None
        requests = reading.take(event)
        if reading.is_done():
            return reading.answer()
        is_over = isinstance(event, DeadlinePassed) and event.at >= until
        if is_over or not (requests or reading.is_waiting()):
            text = f"no copy could answer the read of {reading.left()} of {len(keys)} keys"
            raise Unavailable(text, reading.failures)
        effect = Exchange(requests, reading.next_look())


class _Asked(NamedTuple):
    """Indexes of keys that a node was asked for, and until when nobody else is."""

    node: str
    indexes: Sequence[int]
    until: float


class _DividedRead:
    """The state of one read: which keys were found, and who was asked for the others.

    ``_asked`` has one entry for each request, by tag. ``_due``: those that nobody else is asked for yet; ``_silent``:
    those that others were asked for, whose answers still are welcome. ``_out``: nodes that are asked no more.
    """

    def __init__(
        self, view: ClusterView, keys: Sequence[bytes], nodes: Sequence[str], at_least: Sequence[Stamp], until: float
    ) -> None:
        self.failures: dict[str, str] = {}
        self._view = view
        self._names = [view.layout.data_prefix + key for key in keys]
        self._nodes = nodes
        self._at_least = at_least
        self._until = until
        self._found: dict[int, Found] = {}
        self._asked: list[_Asked] = []
        self._due: dict[int, _Asked] = {}
        self._silent: set[int] = set()
        self._out: set[str] = set()
        self._tried: dict[int, set[str]] = {index: set() for index in range(len(keys))}

    def opening(self, width: int, at: float) -> Exchange:
        """The keys in equal parts to the first nodes."""
        count, width = len(self._names), min(width, len(self._nodes))
        bounds = [count * part // width for part in range(width + 1)]
        requests = tuple(
            self._ask(node, range(start, end), at)
            for node, start, end in zip(self._nodes, bounds, bounds[1:], strict=False)
            if start < end
        )
        return Exchange(requests, self.next_look(), fresh=True)

    def take(self, event: Event) -> tuple[Request, ...]:
        """Take in what happened; answers what to ask now."""
        assert event is not None
        if isinstance(event, DeadlinePassed):
            return self._give_up_silent(event.at)
        asked = self._asked[event.tag]
        self._due.pop(event.tag, None)
        self._silent.discard(event.tag)
        if isinstance(event, Reply):
            lagging = self._take_records(asked, event.content)
            return self._ask_elsewhere(lagging, event.at)
        name = self._names[asked.indexes[0]]
        self.failures[asked.node] = _failure(self._view, asked.node, name, event)
        self._out.add(asked.node)
        return self._ask_elsewhere(asked.indexes, event.at)

    def _take_records(self, asked: _Asked, content: Sequence[bytes | None]) -> list[int]:
        """Keep what is no older than it must be; answers the rest."""
        node, view, lagging = asked.node, self._view, []
        for index, stored in zip(asked.indexes, content, strict=True):
            if index in self._found:
                continue
            record = None if stored is None else view.record_at(node, self._names[index], stored)
            if node == view.decider or _stamp_of(record) >= self._at_least[index]:
                self._found[index] = Found(record, node)
            else:
                lagging.append(index)
        if lagging:
            self.failures[node] = "lags behind what this session has seen"
        return lagging

    def _give_up_silent(self, at: float) -> tuple[Request, ...]:
        """Ask others for what silent nodes were asked for."""
        silent = [tag for tag, asked in self._due.items() if asked.until <= at]
        self._silent.update(silent)
        self._out.update(self._asked[tag].node for tag in silent)
        requests: list[Request] = []
        for tag in silent:
            asked = self._due.pop(tag)
            self.failures[asked.node] = "no answer in time"
            requests += self._ask_elsewhere(asked.indexes, at)
        return tuple(requests)

    def _ask_elsewhere(self, indexes: Sequence[int], at: float) -> tuple[Request, ...]:
        """Ask the next node for each key that is not found, if there is one left."""
        parts: dict[str, list[int]] = {}
        for index in indexes:
            left = [node for node in self._nodes if node not in self._tried[index] and node not in self._out]
            if index not in self._found and left:
                parts.setdefault(left[0], []).append(index)
        return tuple(self._ask(node, part, at) for node, part in parts.items())

    def _ask(self, node: str, indexes: Sequence[int], at: float) -> Request:
        for index in indexes:
            self._tried[index].add(node)
        tried = self._tried[indexes[0]]
        others_left = sum(1 for other in self._nodes if other not in tried and other not in self._out)
        asked = _Asked(node, indexes, at + max(0.0, self._until - at) / (others_left + 1))
        tag = len(self._asked)
        self._asked.append(asked)
        self._due[tag] = asked
        return Request(node, PlainCommand((b"MGET", *(self._names[index] for index in indexes))), tag)

    def next_look(self) -> float:
        """When the next node has had its time."""
        return min((asked.until for asked in self._due.values()), default=self._until)

    def is_waiting(self) -> bool:
        """Whether an answer may still come that is needed."""
        return bool(self._due or self._silent)

    def is_done(self) -> bool:
        """Whether every key is found."""
        return len(self._found) == len(self._names)

    def left(self) -> int:
        """How many keys are not found."""
        return len(self._names) - len(self._found)

    def answer(self) -> list[Found]:
        """What was found, in the order of the keys."""
        return [self._found[index] for index in range(len(self._names))]


class Confirmed(NamedTuple):
    """Records that enough copies hold, in the order of the keys.

    node: whose records they are. holders: the copies that hold all of them, or later ones. repaired: records pushed to
    lagging copies.
    """

    records: list[Record | None]
    node: str
    holders: frozenset[str]
    repaired: int
    at: float


def read_confirmed(view: ClusterView, home: str, keys: Sequence[bytes], required: int, until: float) -> Plan[Confirmed]:
    """Read what ``required`` copies besides ``home`` hold too; copies that lag get the record first.

    With one primary its record is the answer, whatever later stamp a replica holds: only the primary decides.
    With several, the latest record among those that answered is.
    """
    reading = _ConfirmedRead(view, home, keys, required)
    effect = reading.opening(until)
    while True:
        event = yield effect
        assert event is not None
        reading.take(event)
        if isinstance(event, DeadlinePassed):
            raise reading.unconfirmed("not confirmed in time")
        effect = Exchange(reading.due_requests(), until)
        if reading.records is not None and reading.is_confirmed():
            if effect.requests:
                # Enough copies hold it; the others get it too, and nobody is waited for.
                yield effect._replace(until=event.at)
            return Confirmed(reading.records, reading.source, reading.holders(), reading.repaired, event.at)
        if reading.is_lost():
            raise reading.unconfirmed("cannot be confirmed")


class _Repair(NamedTuple):
    """Stamps that a copy holds when it has taken everything, and the parts that it has not: indexes of records."""

    pushed: list[Stamp]
    parts: list[list[int]]


class _ConfirmedRead:
    """The state of one confirmed read: whose records are the answer, and which copies hold them.

    Neither an answer nor a request holds more than BATCH_BYTES, unless a single record is larger: records come, and are
    pushed to copies that lag, one part after the other. ``_arrived``: what has come of them so far.
    """

    def __init__(self, view: ClusterView, home: str, keys: Sequence[bytes], required: int) -> None:
        self.view = view
        self.home = self.source = home
        self.keys = keys
        self.names = [view.layout.data_prefix + key for key in keys]
        self.required = required
        self.records: list[Record | None] | None = None
        self.held: dict[str, list[Stamp]] = {}
        self.failed: dict[str, str] = {}
        self.repairing: dict[str, _Repair] = {}
        self.repaired = 0
        self._fetching = False
        self._arrived: list[bytes | None] = []
        self._due: list[Request] = []

    def opening(self, until: float) -> Exchange:
        """Records from home, headers from all others, at once."""
        headers = self.view.headers_call(self.names)
        requests = [Request(self.home, self.view.read_call(self.names), _RECORDS)]
        if self.required:
            requests += [Request(node, headers, _HEADERS) for node in self.view.others[self.home]]
        return Exchange(tuple(requests), until, fresh=True)

    def take(self, event: Event) -> None:
        """Take in an answer or a failure."""
        if isinstance(event, Failure):
            if event.node == self.home:
                raise Unavailable(
                    f"node {self.home!r} could not answer the read", {self.home: event.reason, **self.failed}
                )
            self._lose(event.node, event.reason)
        elif isinstance(event, Reply):
            if event.node == self.home:
                check_admitted(event.content, event.node, self.view.epoch)
            self._take_reply(event)

    def _lose(self, node: str, reason: str) -> None:
        """A copy that fails counts no more; if its record was being fetched, what else is known must do."""
        self.failed[node] = reason
        self.held.pop(node, None)
        if self._fetching and node == self.source:
            self._fetching, self.source, self._arrived = False, self.home, []

    def _take_reply(self, reply: Reply) -> None:
        node, content = reply.node, reply.content
        if isinstance(content, list) and content[0] in (b"refused", b"foreign"):
            self._lose(node, content[0].decode())
        elif isinstance(content, list) and FOREIGN in content and node != self.home:
            self._lose(node, "holds a value that redrepl did not write")
        elif reply.tag == _RECORDS:
            self._take_records(node, content[1:])
        elif reply.tag == _HEADERS:
            self.held[node] = [Stamp.parse(header[:STAMP_BYTES]) if header else NO_STAMP for header in content[1:]]
        elif content == 1 or self._reads_alike(node, content):
            self._go_on_repairing(node)
        else:
            self._lose(node, "refused the repair")

    def _take_records(self, node: str, stored: list[bytes | None]) -> None:
        self._arrived += stored
        if len(self._arrived) < len(self.names):
            start = len(self._arrived)
            following = self.names[start : start + keys_to_ask(len(stored))]
            self._due.append(Request(node, self.view.read_call(following), _RECORDS))
            return
        pairs, self._arrived = zip(self.names, self._arrived, strict=True), []
        found = [None if content is None else self.view.record_at(node, name, content) for name, content in pairs]
        self.held[node] = [record.stamp if record else NO_STAMP for record in found]
        if self.records is None:
            self.records = found
        else:
            self.records = [max(pair, key=_stamp_of) for pair in zip(self.records, found, strict=True)]
        self._fetching = False

    def _wanted(self) -> list[Stamp]:
        return [_stamp_of(record) for record in self.records or ()]

    def due_requests(self) -> tuple[Request, ...]:
        """What to send now."""
        if (source := self._node_to_fetch_from()) is not None:
            self._due.append(Request(source, self.view.read_call(self.names), _RECORDS))
        elif self.records is not None and not self._fetching:
            self._begin_repairs()
        due, self._due = tuple(self._due), []
        return due

    def _node_to_fetch_from(self) -> str | None:
        """With several primaries: a node known to hold something later than what has been read."""
        if self.view.decider is not None or self.records is None or self._fetching:
            return None
        if len(self.held) <= self.required:
            return None
        for node, stamps in self.held.items():
            if any(stamp > wanted for stamp, wanted in zip(stamps, self._wanted(), strict=True)):
                self._fetching = True
                self.source = node
                return node
        return None

    def _lacking(self, node: str) -> list[int]:
        return [i for i, wanted in enumerate(self._wanted()) if self.held[node][i] < wanted]

    def _begin_repairs(self) -> None:
        """Push the records that copies lack, to each copy once."""
        for node in self.held.keys() - self.repairing.keys():
            lacking = self._lacking(node)
            if lacking:
                self.repairing[node] = _Repair(self._wanted(), self._parts(lacking))
                self.repaired += len(lacking)
                self._push(node)

    def _parts(self, lacking: list[int]) -> list[list[int]]:
        parts: list[list[int]] = []
        room = 0
        for index in lacking:
            record = (self.records or [])[index]
            size = len(record.payload) if record else 0
            if size > room or not parts:
                parts.append([])
                room = limits.BATCH_BYTES
            parts[-1].append(index)
            room -= size
        return parts

    def _push(self, node: str) -> None:
        part = self.repairing[node].parts[0]
        records = [(self.records or [])[index] for index in part]
        encoded = [record.encode() for record in records if record is not None]
        call = self.view.write_many_call([self.keys[index] for index in part], encoded)
        self._due.append(Request(node, call, _REPAIR))

    def _reads_alike(self, node: str, content: Sequence[Any]) -> bool:
        """Whether a copy has taken what was pushed, or reads as that does without it.

        Where nothing stands a copy takes nothing that is older than the tombstones it has purged. It needs no tombstone
        then, nor what is past its deadline by the time that it tells.
        """
        for index, verdict, told in zip(content[1::3], content[2::3], content[3::3], strict=True):
            record = (self.records or [])[self.repairing[node].parts[0][index]]
            is_needless = verdict == b"expired" and record is not None and not record.is_live(int(told) // 1000)
            if not (is_needless or verdict in (b"ok", b"has")):
                return False
        return True

    def _go_on_repairing(self, node: str) -> None:
        self.repairing[node].parts.pop(0)
        if self.repairing[node].parts:
            self._push(node)
            return
        # A repaired copy now holds what was pushed, or later.
        pushed = self.repairing.pop(node).pushed
        self.held[node] = [max(pair) for pair in zip(self.held[node], pushed, strict=True)]

    def is_confirmed(self) -> bool:
        """Whether home (or whoever has the answer) and enough others hold every record."""
        return not self._fetching and len(self.holders()) > self.required

    def holders(self) -> frozenset[str]:
        """The copies known to hold every record."""
        return frozenset([node for node in self.held if not self._lacking(node)])

    def is_lost(self) -> bool:
        """Whether too few copies are left."""
        return len(self.view.ids) - len(self.failed) <= self.required

    def unconfirmed(self, what: str) -> Unavailable:
        """The error, with what each node did."""
        silent = {node: "no answer yet" for node in self.view.ids if node not in self.held and node not in self.failed}
        text = f"the read of {len(self.keys)} key(s) {what}: {self.required} copies besides {self.home!r} are required"
        return Unavailable(text, {**silent, **self.failed})


def _stamp_of(record: Record | None) -> Stamp:
    return record.stamp if record else NO_STAMP


def _failure(view: ClusterView, node: str, name: bytes, event: Event) -> str:
    if isinstance(event, Failure):
        if event.reason.startswith("WRONGTYPE"):
            raise foreign_value(view.layout, node, name)
        return event.reason
    return "no answer in time"
