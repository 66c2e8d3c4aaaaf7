"""Reading: from one copy by preference, or confirmed by enough copies with read repair.

See docs/protocol.md, section 4. Many keys from one copy or several: `read_many`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from redrepl.plans.operations.refusals import Refusals
from redrepl.plans.operations.replication import GRACE_SECONDS, RESEND_SECONDS
from redrepl.plans.operations.watch import watching
from redrepl.plans.scan import FOREIGN
from redrepl.plans.view import (
    WHERE_DECIDED,
    ClusterView,
    Refused,
    admitted,
    ask,
    keys_to_ask,
    not_admitted_error,
)
from redrepl.values import limits
from redrepl.values.answers.refusals import (
    Foreign,
    NotAdmitted,
    TooOld,
    parse_not_admitted,
    parse_refusal,
)
from redrepl.values.answers.writes import HasLater, Partly, Restamped, parse_write_many
from redrepl.values.effects import (
    Ask,
    DeadlinePassed,
    Event,
    Exchange,
    Failure,
    Plan,
    Reply,
    Request,
    ScriptCall,
    Wait,
)
from redrepl.values.errors import RedreplError, Unavailable
from redrepl.values.reasons import LOST
from redrepl.values.record import Record
from redrepl.values.stamp import NO_STAMP, STAMP_BYTES, Stamp

_RECORDS = 0
_HEADERS = 1
_REPAIR = 2


class Found(NamedTuple):
    """A record as one node holds it; None where nothing stands."""

    record: Record | None
    node: str


def read_decider(
    view: ClusterView, key: bytes, started: float, until: float
) -> Plan[Record | None]:
    """One plain command on the one primary, whose record is the answer whatever it is.

    Raises Unavailable, EpochMoved.
    """
    home, name = view.decider, view.layout.data_prefix + key
    assert home is not None, "asked in the mode of one primary alone"
    patient_until = started + view.patience_seconds
    is_patient = patient_until >= until
    request = Request(home, view.get_command(name))
    event = yield Ask((request,), until if is_patient else patient_until, home, is_patient)
    if type(event) is not Reply and type(event) is DeadlinePassed and not is_patient:
        event = yield from watching(view, _wait(until), started, view.others[home])
    if type(event) is Reply:
        guard, stored = event.content
        if guard != view.serving:
            view.check_serving(guard, home)
        return None if stored is None else view.record_at(home, name, stored)
    raise Unavailable(f"no copy could answer the read of {key!r}", {home: failure_of(event)})


def _wait(until: float) -> Plan[Event]:
    return (yield Wait(until))


def read_one(
    view: ClusterView,
    key: bytes,
    candidates: Sequence[str],
    at_least: Stamp,
    started: float,
    until: float,
) -> Plan[Found]:
    """One plain command on the first candidate that serves, answers and is no older than
    ``at_least``.

    Raises Unavailable when none does, EpochMoved where one is in a later epoch.
    """
    name = view.layout.data_prefix + key
    command = view.get_command(name)
    failures: dict[str, str] = {}
    refusals = Refusals(view)
    for number, node in enumerate(candidates):
        share = (until - started) / (len(candidates) - number)
        event = yield ask(node, command, min(until, started + share))
        started = event.at
        if type(event) is Reply:
            guard, stored = event.content
            if (reason := refusals.reason(node, guard)) is not None:
                failures[node] = reason
                continue
            record = None if stored is None else view.record_at(node, name, stored)
            if at_least is NO_STAMP or node == view.decider or stamp_of(record) >= at_least:
                return Found(record, node)
            failures[node] = "lags behind what this session has seen"
        else:
            failures[node] = failure_of(event)
    raise refusals.error(f"no copy could answer the read of {key!r}", failures)


class Confirmed(NamedTuple):
    """Records that enough copies hold, in the order of the keys.

    node: whose records they are. holders: the copies that hold all of them, or later ones.
    repaired: records pushed to lagging copies. shown: headers that other copies had answered by
    then.
    restored: records that ``node`` had lost and got back before it was read.
    """

    records: list[Record | None]
    node: str
    holders: frozenset[str]
    repaired: int
    at: float
    shown: Mapping[str, Sequence[bytes]]
    restored: int = 0


def read_confirmed(
    view: ClusterView,
    home: str,
    keys: Sequence[bytes],
    required: int,
    until: float,
    now_micros: int | None = None,
) -> Plan[Confirmed]:
    """Read what ``required`` copies besides ``home`` hold too; copies that lag get the record
    first.

    With one primary its record is the answer, whatever later stamp a replica holds: only the
    primary decides. With several, the latest record among those that answered is. Raises
    Unavailable; EpochMoved also where another copy than ``home`` tells so and the read cannot be
    confirmed without it.
    now_micros: the client's clock. A node whose own is ahead by more than `max_age` may have
    dropped what it is asked for, and refuses.
    """
    reading = _ConfirmedRead(view, home, keys, required, now_micros)
    effect: Exchange = reading.opening(until)
    while True:
        event = yield effect
        reading.take(event)
        if isinstance(event, DeadlinePassed) and event.at >= until:
            raise reading.unconfirmed("not confirmed in time")
        requests = reading.due_requests(event.at)
        effect = Wait(reading.next_look(until), requests)
        if reading.records is not None and reading.is_confirmed():
            if requests:
                # Enough copies hold it; the others get it too, and nobody is waited for.
                yield effect._replace(until=event.at, is_deadline=False)
            holders = reading.holders()
            return Confirmed(
                reading.records, reading.source, holders, reading.repaired, event.at, reading.shown
            )
        if reading.is_lost():
            raise reading.unconfirmed("cannot be confirmed")


class _Repair(NamedTuple):
    """Stamps that a copy holds when it has taken everything, and the parts that it has not: indexes
    of records.
    """

    pushed: list[Stamp]
    parts: list[list[int]]


class _ConfirmedRead:
    """The state of one confirmed read: whose records are the answer, and which copies hold them.

    Neither an answer nor a request holds more than BATCH_BYTES, unless a single record is larger:
    records come, and are pushed to copies that lag, one part after the other. ``_arrived``: what
    has come of them so far.
    ``_waiting``: copies that are asked again at ``_ask_again_at``, and why. ``_moved``: a copy is
    in a later epoch.
    ``_has_left``: a copy is no member, so that this may be the view of an epoch that is over.
    """

    def __init__(
        self,
        view: ClusterView,
        home: str,
        keys: Sequence[bytes],
        required: int,
        now_micros: int | None = None,
    ) -> None:
        self.view = view
        self.now_micros = now_micros
        self.home = self.source = home
        self.keys = keys
        self.names = [view.layout.data_prefix + key for key in keys]
        self.required = required
        self.records: list[Record | None] | None = None
        self.held: dict[str, list[Stamp]] = {}
        self.shown: dict[str, Sequence[bytes]] = {}
        self.failed: dict[str, str] = {}
        self.repairing: dict[str, _Repair] = {}
        self.repaired = 0
        self._fetching = False
        self._arrived: list[bytes | None] = []
        self._due: list[Request] = []
        self._headers = view.headers_call(self.names)
        self._waiting: dict[str, str] = {}
        self._ask_again_at = 0.0
        self._grace_until: float | None = None
        self._moved: RedreplError | None = None
        self._has_left = False

    def _read_call(self, names: Sequence[bytes]) -> ScriptCall:
        return self.view.read_call(names, WHERE_DECIDED, self.now_micros)

    def opening(self, until: float) -> Ask:
        """Records from home, headers from all others, at once."""
        requests = [Request(self.home, self._read_call(self.names), _RECORDS)]
        if self.required:
            requests += [
                Request(node, self._headers, _HEADERS) for node in self.view.others[self.home]
            ]
        return Ask(tuple(requests), until)

    def take(self, event: Event) -> None:
        """Take in an answer or a failure."""
        if isinstance(event, Failure):
            if event.node == self.home:
                raise Unavailable(
                    f"node {self.home!r} could not answer the read",
                    {self.home: event.reason, **self.failed},
                )
            self._take_failure(event)
        elif isinstance(event, Reply):
            if event.node == self.home:
                admitted(parse_not_admitted(event.content), event.node, self.view.epoch)
            self._take_reply(event)

    def _take_failure(self, event: Failure) -> None:
        """Another copy that could not be reached; for a moment it is asked again: to read twice
        does no harm.
        """
        if self._grace_until is None:
            self._grace_until = event.at + GRACE_SECONDS
        if event.at < self._grace_until and (LOST in event.reason or not event.sent):
            self._wait_for(event.node, event.reason, event.at)
        else:
            self._lose(event.node, event.reason)

    def _wait_for(self, node: str, reason: str, at: float) -> None:
        """Ask a copy again in a moment, from the beginning."""
        self._lose(node, reason)
        self._waiting[node] = self.failed.pop(node)
        self._ask_again_at = at + RESEND_SECONDS

    def _lose(self, node: str, reason: str) -> None:
        """A copy that fails counts no more; if its record was being fetched, what else is known
        must do.
        """
        self.failed[node] = reason
        self.held.pop(node, None)
        self.repairing.pop(node, None)
        if self._fetching and node == self.source:
            self._fetching, self.source, self._arrived = False, self.home, []

    def _take_reply(self, reply: Reply) -> None:
        node, content = reply.node, reply.content
        if (refused := parse_not_admitted(content)) is not None:
            self._take_refusal(reply, refused)
        elif reply.tag == _REPAIR and isinstance(parse_refusal(content), Foreign):
            self._lose(node, "foreign")
        elif isinstance(content, list) and FOREIGN in content and node != self.home:
            self._lose(node, "holds a value that redrepl did not write")
        elif reply.tag == _RECORDS:
            self._take_records(node, content[1:])
        elif reply.tag == _HEADERS:
            self.shown[node] = headers = content[1:]
            self.held[node] = [
                Stamp.parse(header[:STAMP_BYTES]) if header else NO_STAMP for header in headers
            ]
        elif node not in self.repairing:
            return  # it was lost meanwhile
        elif content == 1 or self._reads_alike(node, content):
            self._go_on_repairing(node)
        else:
            self._lose(node, "refused the repair")

    def _take_refusal(self, reply: Reply, refused: NotAdmitted) -> None:
        """Another copy is in another epoch, or does not serve.

        One that is behind comes to this epoch in a moment.
        """
        node, epoch = reply.node, self.view.epoch
        if refused.is_behind(epoch):
            self._wait_for(node, refused.reason, reply.at)
            return
        self._lose(node, refused.reason)
        self._has_left |= not refused.epoch
        if refused.epoch and int(refused.epoch) > int(epoch):
            self._moved = not_admitted_error(refused, node, epoch)

    def _take_records(self, node: str, stored: list[bytes | None]) -> None:
        self._arrived += stored
        if len(self._arrived) < len(self.names):
            start = len(self._arrived)
            following = self.names[start : start + keys_to_ask(len(stored))]
            self._due.append(Request(node, self._read_call(following), _RECORDS))
            return
        pairs, self._arrived = zip(self.names, self._arrived, strict=True), []
        found = [
            None if content is None else self.view.record_at(node, name, content)
            for name, content in pairs
        ]
        self.held[node] = [record.stamp if record else NO_STAMP for record in found]
        if self.records is None:
            self.records = found
        else:
            self.records = [
                max(pair, key=stamp_of) for pair in zip(self.records, found, strict=True)
            ]
        self._fetching = False

    def _wanted(self) -> list[Stamp]:
        return [stamp_of(record) for record in self.records or ()]

    def next_look(self, until: float) -> float:
        """When to go on if nothing happens."""
        return min(until, self._ask_again_at) if self._waiting else until

    def due_requests(self, at: float) -> tuple[Request, ...]:
        """What to send now."""
        if self._waiting and at >= self._ask_again_at:
            self._due += [Request(node, self._headers, _HEADERS) for node in self._waiting]
            self._waiting.clear()
        if (source := self._node_to_fetch_from()) is not None:
            self._due.append(Request(source, self._read_call(self.names), _RECORDS))
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
        call = self.view.write_many_call(
            [self.keys[index] for index in part], encoded, are_decided=True
        )
        self._due.append(Request(node, call, _REPAIR))

    def _reads_alike(self, node: str, content: Sequence[Any]) -> bool:
        """Whether a copy has taken what was pushed, or reads as that does without it.

        Where nothing stands a copy takes nothing that is older than the tombstones it has purged.
        It needs no tombstone then, nor what is past its deadline by the time that it tells.
        """
        answer = parse_write_many(content)
        if not isinstance(answer, Partly):
            return False
        for place, verdict in answer.exceptions.items():
            record = (self.records or [])[self.repairing[node].parts[0][place]]
            is_needless = (
                isinstance(verdict, TooOld)
                and record is not None
                and not record.is_live(int(verdict.now) // 1000)
            )
            if not (is_needless or isinstance(verdict, (Restamped, HasLater))):
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

    def unconfirmed(self, what: str) -> RedreplError:
        """The error, with what each node did. Where one is in a later epoch, that is why."""
        if self._moved is not None:
            return self._moved
        silent = {
            node: "no answer yet"
            for node in self.view.ids
            if node not in self.held and node not in self.failed
        }
        text = (
            f"the read of {len(self.keys)} key(s) {what}: {self.required} copies besides "
            f"{self.home!r} are required"
        )
        kind = Refused if self._has_left else Unavailable
        return kind(text, {**silent, **self._waiting, **self.failed})


def stamp_of(record: Record | None) -> Stamp:
    """The stamp that stands, the earliest of all where nothing does."""
    return record.stamp if record else NO_STAMP


def failure_of(event: Event) -> str:
    """Why a node gave no record."""
    return event.reason if isinstance(event, Failure) else "no answer in time"
