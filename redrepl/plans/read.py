"""Reading: from one copy by preference, or confirmed by enough copies with read repair (protocol, section 4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from redrepl.plans.scan import FOREIGN
from redrepl.plans.view import ClusterView, ask, check_admitted, expect_reply, foreign_value
from redrepl.values.effects import (
    DeadlinePassed,
    Event,
    Exchange,
    Failure,
    PlainCommand,
    Plan,
    Reply,
    Request,
    ScriptCall,
)
from redrepl.values.errors import Unavailable
from redrepl.values.record import Record
from redrepl.values.stamp import NO_STAMP, STAMP_BYTES, Stamp

_RECORDS = 0
_HEADERS = 1
_REPAIR = 2


class Found(NamedTuple):
    """A record as one node holds it; None where nothing stands."""

    record: Record | None
    node: str


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


def read_many_from(view: ClusterView, keys: Sequence[bytes], node: str, until: float) -> Plan[list[Found]]:
    """One plain MGET on one node."""
    names = [view.layout.data_prefix + key for key in keys]
    reply = expect_reply((yield ask(node, PlainCommand((b"MGET", *names)), until)), node, f"reading {len(keys)} keys")
    pairs = zip(names, reply.content, strict=True)
    return [Found(None if stored is None else view.record_at(node, name, stored), node) for name, stored in pairs]


class Confirmed(NamedTuple):
    """Records that enough copies hold, in the order of the keys; ``repaired``: records pushed to lagging copies."""

    records: list[Record | None]
    node: str
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
        effect = Exchange((), until)
        assert event is not None
        reading.take(event)
        if isinstance(event, DeadlinePassed):
            raise reading.unconfirmed("not confirmed in time")
        if (source := reading.node_to_fetch_from()) is not None:
            effect = Exchange((Request(source, view.read_call(reading.names), _RECORDS),), until)
        elif reading.records is not None:
            effect = Exchange(reading.repairs(), until)
            if reading.is_confirmed():
                if effect.requests:
                    # Enough copies hold it; the others get it too, and nobody is waited for.
                    yield effect._replace(until=event.at)
                return Confirmed(reading.records, reading.source, reading.repaired, event.at)
        if reading.is_lost():
            raise reading.unconfirmed("cannot be confirmed")


class _ConfirmedRead:
    """The state of one confirmed read: whose records are the answer, and which copies hold them."""

    def __init__(self, view: ClusterView, home: str, keys: Sequence[bytes], required: int) -> None:
        self.view = view
        self.home = self.source = home
        self.keys = keys
        self.names = [view.layout.data_prefix + key for key in keys]
        self.required = required
        self.records: list[Record | None] | None = None
        self.held: dict[str, list[Stamp]] = {}
        self.failed: dict[str, str] = {}
        self.repairing: dict[str, list[Stamp]] = {}
        self.repaired = 0
        self._fetching = False

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
            self._fetching, self.source = False, self.home

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
        elif content == 1 or all(verdict in (b"ok", b"has") for verdict in content[2::3]):
            # A repaired copy now holds what was pushed, or later.
            pushed = self.repairing.pop(node)
            self.held[node] = [max(pair) for pair in zip(self.held[node], pushed, strict=True)]
        else:
            self._lose(node, "refused the repair")

    def _take_records(self, node: str, stored: list[bytes | None]) -> None:
        pairs = zip(self.names, stored, strict=True)
        found = [None if content is None else self.view.record_at(node, name, content) for name, content in pairs]
        self.held[node] = [record.stamp if record else NO_STAMP for record in found]
        if self.records is None:
            self.records = found
        else:
            self.records = [max(pair, key=_stamp_of) for pair in zip(self.records, found, strict=True)]
        self._fetching = False

    def _wanted(self) -> list[Stamp]:
        return [_stamp_of(record) for record in self.records or ()]

    def node_to_fetch_from(self) -> str | None:
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

    def repairs(self) -> tuple[Request, ...]:
        """Pushes of the records that copies lack, each copy once."""
        requests = []
        for node in self.held.keys() - self.repairing.keys():
            lacking = self._lacking(node)
            if lacking and not self._fetching:
                self.repairing[node] = self._wanted()
                self.repaired += len(lacking)
                requests.append(Request(node, self._push(lacking), _REPAIR))
        return tuple(requests)

    def _push(self, lacking: list[int]) -> ScriptCall:
        records = [(self.records or [])[index] for index in lacking]
        encoded = [record.encode() for record in records if record is not None]
        return self.view.write_many_call([self.keys[index] for index in lacking], encoded)

    def is_confirmed(self) -> bool:
        """Whether home (or whoever has the answer) and enough others hold every record."""
        if self._fetching:
            return False
        return sum(1 for node in self.held if not self._lacking(node)) > self.required

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
