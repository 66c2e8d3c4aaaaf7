"""What the blocking and the asyncio coordinator share: every operation as one plan, waiting left out.

A plan follows the cluster by itself: where a node says that the epoch has moved, the topology is read again and the
operation goes on within its own deadline.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, Protocol, TypeVar, cast

from redrepl.edges.clock import StampClock
from redrepl.edges.configuration import Configuration
from redrepl.plans.batch import Item, chunks, write_many
from redrepl.plans.read import Found, read_confirmed, read_many_from, read_one
from redrepl.plans.topology import read_topology
from redrepl.plans.update import Update, Updated, update_one
from redrepl.plans.view import ClusterView, EpochMoved
from redrepl.plans.write import WriteOrder, write_one
from redrepl.values import limits
from redrepl.values.codec import Codec
from redrepl.values.effects import Exchange, Plan
from redrepl.values.errors import RequestError, Unavailable, WriteNotConfirmed, WriteRejected
from redrepl.values.level import ConsistencyLevel, Level, parse_level, required_copies
from redrepl.values.preference import ReadPreference, candidates, parse_preference
from redrepl.values.receipt import Outcome, WriteReceipt
from redrepl.values.record import NO_DEADLINE, Record, tombstone, value_record
from redrepl.values.session import Session
from redrepl.values.stamp import NO_STAMP, Stamp
from redrepl.values.topology import Topology
from redrepl.values.validation import check_integer, check_key, check_timeout, check_ttl, check_value

K = TypeVar("K")
V = TypeVar("V")
R = TypeVar("R")

NO_TTL = -1.0
NO_KEY = -2.0

TOPOLOGY_SECONDS = 2.0
"""How long a program that only reads replicas may miss a change of members."""

BETWEEN_EPOCHS_SECONDS = 0.02
"""Pause before the topology is read again while a change of members is under way."""


class FoundRecord(NamedTuple):
    """A live value with its version. ``expires_at``: seconds since 1970, None for never."""

    value: Any
    stamp: Stamp
    expires_at: float | None
    node: str


class Driver(Protocol):
    """What the shared part needs to know of a driver."""

    def now(self) -> float:
        """The clock of deadlines."""
        ...

    def latency_seconds(self, node: str) -> float:
        """How fast a node answers."""
        ...

    def trouble(self, node: str) -> str | None:
        """What is known against a node."""
        ...


class WakeUps(Protocol):
    """Where to say that a copy has something to catch up with. Never blocks."""

    def request(self, targets: Iterable[str]) -> None:
        """Wake the workers for these nodes."""
        ...


class Limits(NamedTuple):
    """How one operation is to be carried out; None means the coordinator's default."""

    level: Level | None
    timeout_seconds: float | None


class CoordinatorBase(Generic[K, V]):
    """State and plans of a coordinator. See `redrepl.doors.coordinator` for the operations' meaning."""

    def __init__(
        self,
        configuration: Configuration,
        topology: Topology,
        driver: Driver,
        wake_ups: WakeUps,
        key_codec: Codec[K] | None = None,
        value_codec: Codec[V] | None = None,
        session: Session | None = None,
        clock: StampClock | None = None,
    ) -> None:
        self.configuration = configuration
        self.session = session or Session()
        self._view = ClusterView(topology)
        self._base_driver = driver
        self._wake_ups = wake_ups
        self._key_codec = key_codec
        self._value_codec = value_codec
        self._clock = clock or StampClock()
        self._turns = itertools.count()
        self._topology_read_at = driver.now()
        self._default_level = configuration.level
        self._default_timeout_seconds = configuration.timeout_seconds

    # What operations are made of -----------------------------------------------------------------------------

    @property
    def topology(self) -> Topology:
        """The members, roles and epoch as last read."""
        return self._view.topology

    def _adopt(self, topology: Topology) -> None:
        self._view = ClusterView(topology)

    def _key(self, key: K | str | bytes) -> bytes:
        if self._key_codec is not None:
            return check_key(self._key_codec.encode(cast(K, key)))
        return check_key(key)

    def _value(self, value: V | bytes) -> bytes:
        if self._value_codec is not None:
            return check_value(self._value_codec.encode(cast(V, value)))
        return check_value(value)

    def _decoded(self, payload: bytes) -> V:
        return self._value_codec.decode(payload) if self._value_codec is not None else cast(V, payload)

    def _receipt_key(self, key: K | str | bytes) -> str | bytes:
        return key if isinstance(key, (str, bytes)) else self._key(key)

    def _deadline(self, ttl: float | None) -> int:
        millis = check_ttl(ttl)
        return NO_DEADLINE if millis is None else self._clock.physical.millis() + millis

    def _home(self) -> str:
        """The node that takes this client's writes."""
        view = self._view
        if view.decider is not None:
            return view.decider
        preferred = [self.configuration.home] if self.configuration.home in view.ids else []
        order = [*preferred, *(node for node in view.ids if node not in preferred)]
        return next((node for node in order if self._base_driver.trouble(node) is None), order[0])

    def _order(self, how: Limits) -> WriteOrder:
        level = parse_level(self._default_level if how.level is None else how.level)
        required = required_copies(level, len(self._view.ids) - 1)
        timeout = self._default_timeout_seconds if how.timeout_seconds is None else check_timeout(how.timeout_seconds)
        started = self._base_driver.now()
        reach_others = level is not ConsistencyLevel.ASYNC
        return WriteOrder(self._home(), required, reach_others, started, started + timeout, level)

    def _renewed(self, order: WriteOrder) -> WriteOrder:
        """The order in the topology as it is now: its home, and what its level requires there."""
        required = order.required
        if order.level is not None:
            required = required_copies(order.level, len(self._view.ids) - 1)
        return order._replace(home=self._home(), required=required)

    def _following(self, order: WriteOrder, build: Callable[[ClusterView, WriteOrder], Plan[R]]) -> Plan[R]:
        """Carry out a plan in the current epoch, reading the topology again where the epoch has moved.

        Safe for writes: whoever says that the epoch has moved stored nothing, and the record keeps its stamp.
        """
        while True:
            try:
                return (yield from build(self._view, order))
            except EpochMoved as moved:
                if self._base_driver.now() >= order.until:
                    raise
                known = self._view.topology.epoch
                self._adopt((yield from read_topology(self._view, order.until)))
                if self._view.topology.epoch == known:
                    # Between epochs: the primary moves first, the others a moment later.
                    yield Exchange((), min(order.until, self._base_driver.now() + BETWEEN_EPOCHS_SECONDS))
                    if self._base_driver.now() >= order.until:
                        raise Unavailable(f"the cluster is between epochs: {moved.message}", moved.evidence) from moved
                order = self._renewed(order)

    def _deciding(
        self, order: WriteOrder, build: Callable[[ClusterView, WriteOrder], Plan[R]], is_rejected: Callable[[R], bool]
    ) -> Plan[R]:
        """`_following` for writes: where nothing could be sent to one of several primaries, go to the next."""
        tried: set[str] = set()
        while True:
            result = yield from self._following(order, build)
            tried.add(order.home)
            home = self._home()
            if self._view.decider is not None or home in tried or not is_rejected(result):
                return result
            order = order._replace(home=home)

    def _settle(self, receipt: WriteReceipt, reached_others: bool) -> WriteReceipt:
        """Wake the workers where a copy is behind; raise where the write is not committed."""
        if not reached_others:
            self._wake_ups.request(self._view.others[self._home()])
        elif receipt.failed and receipt.outcome is not Outcome.REJECTED:
            self._wake(receipt.failed)
        if receipt.outcome is not Outcome.COMMITTED:
            raise _failure(receipt, (receipt,))
        return receipt

    def _wake(self, behind: Iterable[str]) -> None:
        """Wake the workers for copies that answered but are behind; who cannot be reached is the tick's business."""
        if reachable := [node for node in behind if self._base_driver.trouble(node) is None]:
            self._wake_ups.request(reachable)

    # Writes --------------------------------------------------------------------------------------------------

    def _write(self, key: K | str | bytes, record: Record, how: Limits) -> Plan[WriteReceipt]:
        raw, order = self._key(key), self._order(how)
        user_key = self._receipt_key(key)
        receipt = yield from self._deciding(
            order, lambda view, order: write_one(view, order, user_key, raw, record), _is_rejected
        )
        self._note(raw, receipt)
        return self._settle(receipt, order.reach_others)

    def _note(self, key: bytes, receipt: WriteReceipt) -> None:
        """What is committed belongs to this session's past, and to its clock's."""
        self._clock.observe(receipt.stamp.micros)
        if receipt.outcome is Outcome.COMMITTED:
            self.session.note(key, receipt.stamp)

    def _set(self, key: K | str | bytes, value: V | bytes, ttl: float | None, how: Limits) -> Plan[WriteReceipt]:
        payload, deadline = self._value(value), self._deadline(ttl)
        return self._write(key, value_record(self._clock.next(), payload, deadline), how)

    def _delete(self, key: K | str | bytes, how: Limits) -> Plan[WriteReceipt]:
        return self._write(key, tombstone(self._clock.next()), how)

    def _set_many(
        self, items: Mapping[Any, V | bytes], ttl: float | None, how: Limits
    ) -> Plan[dict[Any, WriteReceipt]]:
        deadline = self._deadline(ttl)
        batch = [
            Item(self._receipt_key(key), self._key(key), value_record(NO_STAMP, self._value(value), deadline))
            for key, value in items.items()
        ]
        receipts = yield from self._write_batch(batch, how)
        return dict(zip(items, receipts, strict=True))

    def _delete_many(self, keys: Iterable[K | str | bytes], how: Limits) -> Plan[dict[Any, WriteReceipt]]:
        unique = list(dict.fromkeys(keys))
        batch = [Item(self._receipt_key(key), self._key(key), tombstone(NO_STAMP)) for key in unique]
        receipts = yield from self._write_batch(batch, how)
        return dict(zip(unique, receipts, strict=True))

    def _write_batch(self, batch: Sequence[Item], how: Limits) -> Plan[list[WriteReceipt]]:
        _check_distinct(batch)
        receipts: list[WriteReceipt] = []
        for chunk in chunks(batch):
            # Each chunk is stamped when it leaves: the primary refuses what is too old.
            stamped = [item._replace(record=item.record._replace(stamp=self._clock.next())) for item in chunk]
            receipts += yield from self._write_chunk(stamped, self._order(how))
            for item, receipt in zip(chunk, receipts[-len(chunk) :], strict=True):
                self._note(item.key, receipt)
        return self._settle_batch(receipts, how)

    def _write_chunk(self, chunk: Sequence[Item], order: WriteOrder) -> Plan[list[WriteReceipt]]:
        return self._deciding(
            order, lambda view, order: write_many(view, order, chunk), lambda receipts: _is_rejected(receipts[0])
        )

    def _settle_batch(self, receipts: list[WriteReceipt], how: Limits) -> list[WriteReceipt]:
        if not receipts:
            return receipts
        if self._order(how).reach_others:
            sent = (receipt for receipt in receipts if receipt.outcome is not Outcome.REJECTED)
            self._wake({node for receipt in sent for node in receipt.failed})
        else:
            self._wake_ups.request(self._view.others[self._home()])
        lost = [receipt for receipt in receipts if receipt.outcome is not Outcome.COMMITTED]
        if lost:
            raise _failure(lost[0], receipts)
        return receipts

    def _update(
        self, key: K | str | bytes, operation: bytes, operand: bytes, deadline: int, how: Limits
    ) -> Plan[Updated]:
        raw, order = self._key(key), self._order(how)
        user_key = self._receipt_key(key)
        update = Update(operation, self._clock.next(), operand, deadline)
        updated = yield from self._deciding(
            order,
            lambda view, order: update_one(view, order, user_key, raw, update),
            lambda updated: _is_rejected(updated.receipt),
        )
        self._note(raw, updated.receipt)
        self._settle(updated.receipt, order.reach_others or not updated.receipt.applied)
        return updated

    def _add(self, key: K | str | bytes, value: V | bytes, ttl: float | None, how: Limits) -> Plan[WriteReceipt]:
        updated = yield from self._update(key, b"add", self._value(value), self._deadline(ttl), how)
        return updated.receipt

    def _compare_and_set(
        self, key: K | str | bytes, value: V | bytes, expected: Stamp | None, ttl: float | None, how: Limits
    ) -> Plan[WriteReceipt]:
        if expected is None:
            return (yield from self._add(key, value, ttl, how))
        if not isinstance(expected, Stamp):
            raise RequestError(f"expected must be a Stamp (of a receipt or a record) or None, not {expected!r}")
        operand = expected.encode() + self._value(value)
        return (yield from self._update(key, b"compare", operand, self._deadline(ttl), how)).receipt

    def _increment(self, key: K | str | bytes, amount: int, how: Limits) -> Plan[int]:
        operand = b"%d" % check_integer("amount", amount)
        updated = yield from self._update(key, b"increment", operand, NO_DEADLINE, how)
        assert updated.record is not None
        return int(updated.record.payload)

    def _expire(self, key: K | str | bytes, ttl: float | None, how: Limits) -> Plan[WriteReceipt]:
        return (yield from self._update(key, b"expire", b"", self._deadline(ttl), how)).receipt

    # Reads ---------------------------------------------------------------------------------------------------

    def _follow_topology(self, prefer: ReadPreference | str) -> Plan[None]:
        """Reads of replicas meet no guard: look from time to time whether the replicas still are members."""
        now = self._base_driver.now()
        if prefer is ReadPreference.PRIMARY or now < self._topology_read_at + TOPOLOGY_SECONDS:
            return
        self._topology_read_at = now
        with contextlib.suppress(Unavailable):  # nobody to ask: the read itself will say so
            topology = yield from read_topology(self._view, now + self._default_timeout_seconds)
            if topology.epoch > self._view.topology.epoch:
                self._adopt(topology)

    def _candidates(self, prefer: ReadPreference | str) -> tuple[str, ...]:
        preference, home = parse_preference(prefer), self._home()
        if preference is ReadPreference.PRIMARY:
            return (home,) if self._view.decider else (home, *self._view.others[home])
        driver = self._base_driver
        found = candidates(preference, home, self._view.others[home], next(self._turns), driver.latency_seconds)
        if preference is ReadPreference.PRIMARY_PREFERRED:
            return found
        return tuple(sorted(found, key=lambda node: driver.trouble(node) is not None))

    def _record(
        self, key: K | str | bytes, level: Level, prefer: ReadPreference | str, timeout_seconds: float | None
    ) -> Plan[Found]:
        yield from self._follow_topology(prefer)
        raw, order = self._key(key), self._order(Limits(level, timeout_seconds))
        if _reads_one(order):
            nodes, at_least = self._candidates(prefer), self.session.at_least(raw)
            found = yield from read_one(self._view, raw, nodes, at_least, order.started, order.until)
        else:
            parse_preference(prefer)
            found = (yield from self._confirmed([raw], order))[0]
        if found.record is not None:
            self.session.note(raw, found.record.stamp)
            self._clock.observe(found.record.stamp.micros)
        return found

    def _confirmed(self, keys: Sequence[bytes], order: WriteOrder) -> Plan[list[Found]]:
        confirmed = yield from self._following(
            order, lambda view, order: read_confirmed(view, order.home, keys, order.required, order.until)
        )
        return [Found(record, confirmed.node) for record in confirmed.records]

    def _get(
        self, key: K | str | bytes, level: Level, prefer: ReadPreference | str, timeout_seconds: float | None
    ) -> Plan[V | None]:
        record = (yield from self._record(key, level, prefer, timeout_seconds)).record
        return None if record is None else self._live_value(record)

    def _live_value(self, record: Record) -> V | None:
        return self._decoded(record.payload) if record.is_live(self._clock.physical.millis()) else None

    def _get_record(
        self, key: K | str | bytes, level: Level, prefer: ReadPreference | str, timeout_seconds: float | None
    ) -> Plan[FoundRecord | None]:
        record, node = yield from self._record(key, level, prefer, timeout_seconds)
        if record is None or not record.is_live(self._clock.physical.millis()):
            return None
        expires_at = record.deadline_millis / 1000 if record.deadline_millis else None
        return FoundRecord(self._decoded(record.payload), record.stamp, expires_at, node)

    def _ttl(self, key: K | str | bytes, level: Level, timeout_seconds: float | None) -> Plan[float]:
        record = (yield from self._record(key, level, ReadPreference.PRIMARY, timeout_seconds)).record
        now = self._clock.physical.millis()
        if record is None or not record.is_live(now):
            return NO_KEY
        return (record.deadline_millis - now) / 1000 if record.deadline_millis else NO_TTL

    def _get_many(
        self, keys: Iterable[K | str | bytes], level: Level, prefer: ReadPreference | str, timeout_seconds: float | None
    ) -> Plan[dict[Any, V | None]]:
        yield from self._follow_topology(prefer)
        unique = list(dict.fromkeys(keys))
        raw_keys = [self._key(key) for key in unique]
        values: dict[Any, V | None] = {}
        for start in range(0, len(unique), limits.BATCH_KEYS):
            part = raw_keys[start : start + limits.BATCH_KEYS]
            order = self._order(Limits(level, timeout_seconds))
            if _reads_one(order):
                found = yield from self._read_part(part, self._candidates(prefer), order)
            else:
                found = yield from self._confirmed(part, order)
            for key, raw, (record, _) in zip(unique[start:], part, found, strict=False):
                if record is not None:
                    self.session.note(raw, record.stamp)
                    self._clock.observe(record.stamp.micros)
                values[key] = None if record is None else self._live_value(record)
        return values

    def _read_part(self, keys: Sequence[bytes], nodes: Sequence[str], order: WriteOrder) -> Plan[list[Found]]:
        """Keys from the first node that answers; what lags behind this session from the ones after it."""
        failures: dict[str, str] = {}
        found: dict[bytes, Found] = {}
        for number, node in enumerate(nodes):
            left = [key for key in keys if key not in found]
            share = (order.until - order.started) / (len(nodes) - number)
            try:
                answers = yield from read_many_from(self._view, left, node, order.started + share)
            except Unavailable as error:
                failures.update(error.evidence)
                order = order._replace(started=min(order.started + share, order.until))
                continue
            for key, answer in zip(left, answers, strict=True):
                stamp = answer.record.stamp if answer.record else NO_STAMP
                if node == self._view.decider or stamp >= self.session.at_least(key):
                    found[key] = answer
            if len(found) == len(keys):
                return [found[key] for key in keys]
        raise Unavailable(f"no copy could answer the read of {len(keys)} keys", failures)


def _reads_one(order: WriteOrder) -> bool:
    """Whether a read at this level asks one copy only."""
    return order.level in (ConsistencyLevel.ONE, ConsistencyLevel.ASYNC)


def _is_rejected(receipt: WriteReceipt) -> bool:
    return receipt.outcome is Outcome.REJECTED


def _check_distinct(batch: Sequence[Item]) -> None:
    """One batch holds a key once: "a" and b"a" are the same key on a node."""
    seen: set[bytes] = set()
    for item in batch:
        if item.key in seen:
            raise RequestError(f"key {item.user_key!r} is given twice in one batch (as str and as bytes?)")
        seen.add(item.key)


def _failure(receipt: WriteReceipt, receipts: Sequence[WriteReceipt]) -> WriteNotConfirmed | WriteRejected:
    failed = sum(1 for each in receipts if each.outcome is not Outcome.COMMITTED)
    what = f"write of {receipt.key!r}" if len(receipts) == 1 else f"write of {failed} of {len(receipts)} keys"
    if receipt.outcome is Outcome.REJECTED:
        return WriteRejected(f"{what} was rejected: nothing was sent", receipt, receipts=receipts)
    held = ", ".join(sorted(receipt.acked)) or "no copy"
    needed = f"needs {receipt.required} {'copy' if receipt.required == 1 else 'copies'} besides the primary"
    text = f"{what} is not confirmed: it {needed}, confirmed by {held}; the outcome is unknown"
    evidence = {**dict.fromkeys(receipt.pending, "no answer yet"), **receipt.failed}
    return WriteNotConfirmed(text, receipt, evidence, receipts)
