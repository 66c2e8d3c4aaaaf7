"""The operations that read, each as one plan."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, NamedTuple

from redrepl.doors.following import Following, as_unavailable
from redrepl.doors.foundation import K, Limits, R, V
from redrepl.doors.looking import TOPOLOGY_SECONDS
from redrepl.plans.operations.mending import read_mended
from redrepl.plans.operations.read import Confirmed, Found, read_decider, read_one
from redrepl.plans.operations.read_many import read_many_from, width_of
from redrepl.plans.operations.write import WriteOrder
from redrepl.plans.scan import SCAN_START, scan_names
from redrepl.plans.steps import Steps
from redrepl.plans.view import ClocksDiffer, ClusterView, EpochMoved
from redrepl.values import limits
from redrepl.values.effects import Plan
from redrepl.values.errors import (
    Unavailable,
)
from redrepl.values.level import ConsistencyLevel, Level
from redrepl.values.preference import ReadPreference, candidates, parse_preference
from redrepl.values.record import NO_DEADLINE, VALUE, Record
from redrepl.values.stamp import Stamp
from redrepl.values.validation import check_keys

NO_TTL = -1.0
NO_KEY = -2.0


class FoundRecord(NamedTuple, Generic[V]):
    """A live value with its version. ``expires_at``: seconds since 1970, None for never."""

    value: V
    stamp: Stamp
    expires_at: float | None
    node: str


class Walk(NamedTuple):
    """How far a walk over the primary's keys has come. A cursor means nothing on another server, or after a restart: in
    another epoch the walk begins again."""

    epoch: int = 0
    cursor: bytes = SCAN_START
    is_over: bool = False


class Reads(Following[K, V]):
    """Plans of reads from one copy, and of those that others confirm."""

    def _reading_at_one(self, order: WriteOrder, build: Callable[[ClusterView, WriteOrder], Plan[R]]) -> Plan[R]:
        """`_reading` of one node, in a topology that is not old."""
        if order.started >= self._topology_read_at + TOPOLOGY_SECONDS:
            yield from self._renew_topology(order.until)
            order = self._renewed(order)

        def undisputed(view: ClusterView, order: WriteOrder) -> Plan[R]:
            self._check_undisputed()  # also where members were asked again since this read began
            return build(view, order)

        return (yield from self._reading(order, undisputed))

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
        raw, order = self._key(key), self._order(Limits(level, timeout_seconds))
        if _reads_one(order):
            found = yield from self._reading_at_one(order, lambda view, order: self._read_one(view, order, raw, prefer))
        else:
            parse_preference(prefer)
            found = (yield from self._confirmed([raw], order))[0]
        if found.record is not None:
            self.session.note(raw, found.record.stamp)
            self._clock.observe(found.record.stamp.micros)
        return found

    def _read_one(self, view: ClusterView, order: WriteOrder, raw: bytes, prefer: ReadPreference | str) -> Plan[Found]:
        nodes, at_least, now = self._candidates(prefer), self.session.at_least(raw), self._base_driver.now()
        return read_one(view, raw, nodes, at_least, now, order.until)

    def _confirmed(self, keys: Sequence[bytes], order: WriteOrder) -> Plan[list[Found]]:
        confirmed = yield from self._reading(order, lambda view, order: self._read_in_time(view, keys, order))
        return [Found(record, confirmed.node) for record in confirmed.records]

    def _read_in_time(self, view: ClusterView, keys: Sequence[bytes], order: WriteOrder) -> Plan[Confirmed]:
        """A confirmed read; where this program's clock has jumped back, again by the time that the nodes tell."""
        how, physical = (view, order.home, keys, order.required, order.until), self._clock.physical
        try:
            return (yield from read_mended(*how, physical.micros(), compares=True))
        except ClocksDiffer:
            yield from self._set_clock(order.until)
        return (yield from read_mended(*how, physical.micros()))

    def _get(
        self, key: K | str | bytes, level: Level, prefer: ReadPreference | str, timeout_seconds: float | None
    ) -> Plan[V | None]:
        if level is ConsistencyLevel.ONE and prefer is ReadPreference.PRIMARY and self._view.decider is not None:
            # Nearly every read: no layer more than needed around it.
            raw, view, now = self._key(key), self._view, self._base_driver.now()
            until = now + self._timeout(timeout_seconds)
            if now >= self._topology_read_at + TOPOLOGY_SECONDS:
                yield from self._renew_topology(until)
                view, now = self._view, self._base_driver.now()
            try:
                record = yield from read_decider(view, raw, now, until)
            except (EpochMoved, Unavailable) as error:
                record = yield from self._read_again(view, raw, until, error)
            if record is None:
                return None
            self.session.note(raw, record.stamp)
            self._clock.observe(record.stamp.micros)
        else:
            record = (yield from self._record(key, level, prefer, timeout_seconds)).record
        return None if record is None else self._live_value(key, record)

    def _read_again(
        self, view: ClusterView, raw: bytes, until: float, error: EpochMoved | Unavailable
    ) -> Plan[Record | None]:
        """A read that the primary did not answer in this view: from another one, where it takes over in time."""
        assert view.decider is not None, "there is one primary"
        if not (yield from self._await_reader(view, error, view.decider, until)):
            raise as_unavailable(error) from error
        order = self._order(Limits(ConsistencyLevel.ONE, None))._replace(until=until)
        primary = ReadPreference.PRIMARY
        return (yield from self._reading_at_one(order, lambda view, o: self._read_one(view, o, raw, primary))).record

    def _live_value(self, key: Any, record: Record) -> V | None:
        if record.deadline_millis == NO_DEADLINE:
            return self._decoded(key, record.payload) if record.kind == VALUE else None
        return self._decoded(key, record.payload) if record.is_live(self._clock.physical.millis()) else None

    def _get_record(
        self, key: K | str | bytes, level: Level, prefer: ReadPreference | str, timeout_seconds: float | None
    ) -> Plan[FoundRecord[V] | None]:
        record, node = yield from self._record(key, level, prefer, timeout_seconds)
        if record is None or not record.is_live(self._clock.physical.millis()):
            return None
        expires_at = record.deadline_millis / 1000 if record.deadline_millis else None
        return FoundRecord(self._decoded(key, record.payload), record.stamp, expires_at, node)

    def _ttl(self, key: K | str | bytes, level: Level, timeout_seconds: float | None) -> Plan[float]:
        record = (yield from self._record(key, level, ReadPreference.PRIMARY, timeout_seconds)).record
        now = self._clock.physical.millis()
        if record is None or not record.is_live(now):
            return NO_KEY
        return (record.deadline_millis - now) / 1000 if record.deadline_millis else NO_TTL

    def _keys_page(self, start: bytes, walk: Walk, timeout_seconds: float | None) -> Plan[tuple[Walk, list[bytes]]]:
        """The next names of keys that start with this and read as present on the primary, and where to go on."""
        order = self._order(Limits(ConsistencyLevel.ASYNC, timeout_seconds))
        now_millis = self._clock.physical.millis()

        def page(view: ClusterView, order: WriteOrder) -> Plan[tuple[Walk, list[bytes]]]:
            epoch = view.topology.epoch
            cursor = walk.cursor if walk.epoch == epoch else SCAN_START
            steps = Steps(self._base_driver.now(), no_later_than=order.until)
            following, names = yield from scan_names(view, order.home, start, cursor, now_millis, steps)
            return Walk(epoch, following, following == SCAN_START), names

        return (yield from self._reading_at_one(order, page))

    def _get_many(
        self, keys: Iterable[K | str | bytes], level: Level, prefer: ReadPreference | str, timeout_seconds: float | None
    ) -> Plan[dict[Any, V | None]]:
        unique = list(dict.fromkeys(check_keys(keys)))
        raw_keys = [self._key(key) for key in unique]
        values: dict[Any, V | None] = {}
        for start in range(0, len(unique), limits.BATCH_KEYS):
            part = raw_keys[start : start + limits.BATCH_KEYS]
            records = yield from self._read_part(part, prefer, self._order(Limits(level, timeout_seconds)))
            for key, record in zip(unique[start:], records, strict=False):
                values[key] = None if record is None else self._live_value(key, record)
        return values

    def _read_part(
        self, keys: Sequence[bytes], prefer: ReadPreference | str, order: WriteOrder
    ) -> Plan[list[Record | None]]:
        """The records of many keys, None where nothing stands; at ONE from the copies that ``prefer`` names."""
        preference = parse_preference(prefer)
        if _reads_one(order):
            found = yield from self._reading_at_one(
                order, lambda view, o: self._read_many_at_one(view, o, keys, preference)
            )
        else:
            found = yield from self._confirmed(keys, order)
        for key, (record, _) in zip(keys, found, strict=True):
            if record is not None:
                self.session.note(key, record.stamp)
                self._clock.observe(record.stamp.micros)
        return [record for record, _ in found]

    def _read_many_at_one(
        self, view: ClusterView, order: WriteOrder, keys: Sequence[bytes], preference: ReadPreference
    ) -> Plan[list[Found]]:
        nodes, at_least = self._candidates(preference), [self.session.at_least(key) for key in keys]
        driver = self._base_driver
        width = width_of(preference, nodes, len(keys), order.home, driver.trouble, driver.latency_seconds)
        return read_many_from(view, keys, nodes, at_least, driver.now(), order.until, width)


def _reads_one(order: WriteOrder) -> bool:
    """Whether a read at this level asks one copy only."""
    return order.level in (ConsistencyLevel.ONE, ConsistencyLevel.ASYNC)
