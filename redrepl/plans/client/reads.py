"""The operations that read, each as one plan."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from redrepl.observe import Observer
from redrepl.plans.client.cluster_state import ClusterState
from redrepl.plans.client.codecs import Codecs, K, V
from redrepl.plans.client.following import EpochFollower, as_unavailable
from redrepl.plans.client.options import CallOptions
from redrepl.plans.client.topology_watch import TOPOLOGY_SECONDS, TopologyWatch
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
from redrepl.values.record import Record
from redrepl.values.session import Session
from redrepl.values.stamp import Stamp
from redrepl.values.validation import check_keys

R = TypeVar("R")

NO_TTL = -1.0
NO_KEY = -2.0


class FoundRecord(NamedTuple, Generic[V]):
    """A live value with its version. ``expires_at``: seconds since 1970, None for never."""

    value: V
    stamp: Stamp
    expires_at: float | None
    node: str


class Walk(NamedTuple):
    """How far a walk over the primary's keys has come.

    A cursor means nothing on another server, or after a restart: in another epoch the walk begins
    again.
    """

    epoch: int = 0
    cursor: bytes = SCAN_START
    is_over: bool = False


class Reader(Generic[K, V]):
    """Plans of reads from one copy, and of those that other copies confirm."""

    def __init__(
        self,
        cluster: ClusterState,
        watch: TopologyWatch,
        follower: EpochFollower,
        codecs: Codecs[K, V],
        session: Session,
    ) -> None:
        self._cluster = cluster
        self._watch = watch
        self._follower = follower
        self._codecs = codecs
        self._session = session
        self._turns = itertools.count()

    def reading_at_one(
        self, order: WriteOrder, build: Callable[[ClusterView, WriteOrder], Plan[R]]
    ) -> Plan[R]:
        """`_reading` of one node, in a topology that is not old."""
        if order.started >= self._watch.read_at + TOPOLOGY_SECONDS:
            yield from self._watch.renew(order.until)
            order = self._cluster.renewed(order)

        def undisputed(view: ClusterView, order: WriteOrder) -> Plan[R]:
            # Also where members were asked again since this read began.
            self._watch.check_undisputed()
            return build(view, order)

        return (yield from self._follower.reading(order, undisputed))

    def _candidates(self, prefer: ReadPreference | str) -> tuple[str, ...]:
        preference, home = parse_preference(prefer), self._cluster.home()
        if preference is ReadPreference.PRIMARY:
            return (
                (home,) if self._cluster.view.decider else (home, *self._cluster.view.others[home])
            )
        driver = self._cluster.driver
        found = candidates(
            preference,
            home,
            self._cluster.view.others[home],
            next(self._turns),
            driver.latency_seconds,
        )
        if preference is ReadPreference.PRIMARY_PREFERRED:
            return found
        return tuple(sorted(found, key=lambda node: driver.trouble(node) is not None))

    def _record(
        self,
        key: K | str | bytes,
        level: Level,
        prefer: ReadPreference | str,
        timeout_seconds: float | None,
    ) -> Plan[Found]:
        raw, order = self._codecs.key(key), self._cluster.order(CallOptions(level, timeout_seconds))
        if _reads_one(order):
            found = yield from self.reading_at_one(
                order, lambda view, order: self._read_one(view, order, raw, prefer)
            )
        else:
            parse_preference(prefer)
            found = (yield from self.confirmed([raw], order))[0]
        if found.record is not None:
            self._session.note(raw, found.record.stamp)
            self._cluster.clock.observe(found.record.stamp.micros)
        return found

    def _read_one(
        self, view: ClusterView, order: WriteOrder, raw: bytes, prefer: ReadPreference | str
    ) -> Plan[Found]:
        nodes, at_least, now = (
            self._candidates(prefer),
            self._session.at_least(raw),
            self._cluster.driver.now(),
        )
        return read_one(view, raw, nodes, at_least, now, order.until)

    def confirmed(self, keys: Sequence[bytes], order: WriteOrder) -> Plan[list[Found]]:
        """Records of the primary that as many other copies confirm as the order asks for, in the
        order of the keys.
        """
        confirmed = yield from self._follower.reading(
            order, lambda view, order: self._read_in_time(view, keys, order)
        )
        node, reporter = confirmed.node, self._cluster.reporter
        if confirmed.restored:
            reporter.note(Observer.record_restored, node=node, records=confirmed.restored)
        if confirmed.repaired:
            reporter.note(Observer.read_repaired, node=node, records=confirmed.repaired)
        return [Found(record, confirmed.node) for record in confirmed.records]

    def _read_in_time(
        self, view: ClusterView, keys: Sequence[bytes], order: WriteOrder
    ) -> Plan[Confirmed]:
        """A confirmed read; where this program's clock has jumped back, again by the time that the
        nodes tell.
        """
        how, physical = (
            (view, order.home, keys, order.required, order.until),
            self._cluster.clock.physical,
        )
        try:
            return (yield from read_mended(*how, physical.micros(), compares=True))
        except ClocksDiffer:
            yield from self._cluster.set_clock(order.until)
        return (yield from read_mended(*how, physical.micros()))

    def get(
        self,
        key: K | str | bytes,
        level: Level,
        prefer: ReadPreference | str,
        timeout_seconds: float | None,
    ) -> Plan[V | None]:
        """The value of a key; None where it reads as absent."""
        if (
            level is ConsistencyLevel.ONE
            and prefer is ReadPreference.PRIMARY
            and self._cluster.view.decider is not None
        ):
            # Nearly every read: no layer more than needed around it.
            raw, view, now = self._codecs.key(key), self._cluster.view, self._cluster.driver.now()
            until = now + self._cluster.timeout(timeout_seconds)
            if now >= self._watch.read_at + TOPOLOGY_SECONDS:
                yield from self._watch.renew(until)
                view, now = self._cluster.view, self._cluster.driver.now()
            try:
                record = yield from read_decider(view, raw, now, until)
            except (EpochMoved, Unavailable) as error:
                record = yield from self._read_again(view, raw, until, error)
            if record is None:
                return None
            self._session.note(raw, record.stamp)
            self._cluster.clock.observe(record.stamp.micros)
        else:
            record = (yield from self._record(key, level, prefer, timeout_seconds)).record
        return None if record is None else self._live_value(key, record)

    def _read_again(
        self, view: ClusterView, raw: bytes, until: float, error: EpochMoved | Unavailable
    ) -> Plan[Record | None]:
        """A read that the primary did not answer in this view: from another one, where it takes
        over in time.
        """
        assert view.decider is not None, "there is one primary"
        if not (yield from self._follower.await_reader(view, error, view.decider, until)):
            raise as_unavailable(error) from error
        order = self._cluster.order(CallOptions(ConsistencyLevel.ONE, None))._replace(until=until)
        primary = ReadPreference.PRIMARY
        return (
            yield from self.reading_at_one(
                order, lambda view, o: self._read_one(view, o, raw, primary)
            )
        ).record

    def _live_value(self, key: Any, record: Record) -> V | None:
        return self._codecs.live_value(key, record, self._cluster.clock.physical.millis())

    def get_record(
        self,
        key: K | str | bytes,
        level: Level,
        prefer: ReadPreference | str,
        timeout_seconds: float | None,
    ) -> Plan[FoundRecord[V] | None]:
        """The value of a key with version, deadline and the node it came from; None where it reads
        as absent.
        """
        record, node = yield from self._record(key, level, prefer, timeout_seconds)
        if record is None or not record.is_live(self._cluster.clock.physical.millis()):
            return None
        expires_at = record.deadline_millis / 1000 if record.deadline_millis else None
        return FoundRecord(
            self._codecs.decoded(key, record.payload), record.stamp, expires_at, node
        )

    def ttl(self, key: K | str | bytes, level: Level, timeout_seconds: float | None) -> Plan[float]:
        """Seconds that a value has left; NO_TTL without a deadline, NO_KEY where the key reads as
        absent.
        """
        record = (
            yield from self._record(key, level, ReadPreference.PRIMARY, timeout_seconds)
        ).record
        now = self._cluster.clock.physical.millis()
        if record is None or not record.is_live(now):
            return NO_KEY
        return (record.deadline_millis - now) / 1000 if record.deadline_millis else NO_TTL

    def keys_page(
        self, start: bytes, walk: Walk, timeout_seconds: float | None
    ) -> Plan[tuple[Walk, list[bytes]]]:
        """The next names of keys that start with this and read as present on the primary, and where
        to go on.
        """
        order = self._cluster.order(CallOptions(ConsistencyLevel.ASYNC, timeout_seconds))
        now_millis = self._cluster.clock.physical.millis()

        def page(view: ClusterView, order: WriteOrder) -> Plan[tuple[Walk, list[bytes]]]:
            epoch = view.topology.epoch
            cursor = walk.cursor if walk.epoch == epoch else SCAN_START
            steps = Steps(self._cluster.driver.now(), no_later_than=order.until)
            following, names = yield from scan_names(
                view, order.home, start, cursor, now_millis, steps
            )
            return Walk(epoch, following, following == SCAN_START), names

        return (yield from self.reading_at_one(order, page))

    def get_many(
        self,
        keys: Iterable[K | str | bytes],
        level: Level,
        prefer: ReadPreference | str,
        timeout_seconds: float | None,
    ) -> Plan[dict[Any, V | None]]:
        """The values of many keys; None for those that read as absent."""
        unique = list(dict.fromkeys(check_keys(keys)))
        raw_keys = [self._codecs.key(key) for key in unique]
        values: dict[Any, V | None] = {}
        for start in range(0, len(unique), limits.BATCH_KEYS):
            part = raw_keys[start : start + limits.BATCH_KEYS]
            records = yield from self.read_part(
                part, prefer, self._cluster.order(CallOptions(level, timeout_seconds))
            )
            for key, record in zip(unique[start:], records, strict=False):
                values[key] = None if record is None else self._live_value(key, record)
        return values

    def read_part(
        self, keys: Sequence[bytes], prefer: ReadPreference | str, order: WriteOrder
    ) -> Plan[list[Record | None]]:
        """The records of many keys, None where nothing stands; at ONE from the copies that
        ``prefer`` names.
        """
        preference = parse_preference(prefer)
        if _reads_one(order):
            found = yield from self.reading_at_one(
                order, lambda view, o: self._read_many_at_one(view, o, keys, preference)
            )
        else:
            found = yield from self.confirmed(keys, order)
        for key, (record, _) in zip(keys, found, strict=True):
            if record is not None:
                self._session.note(key, record.stamp)
                self._cluster.clock.observe(record.stamp.micros)
        return [record for record, _ in found]

    def _read_many_at_one(
        self,
        view: ClusterView,
        order: WriteOrder,
        keys: Sequence[bytes],
        preference: ReadPreference,
    ) -> Plan[list[Found]]:
        nodes, at_least = (
            self._candidates(preference),
            [self._session.at_least(key) for key in keys],
        )
        driver = self._cluster.driver
        width = width_of(
            preference, nodes, len(keys), order.home, driver.trouble, driver.latency_seconds
        )
        return read_many_from(view, keys, nodes, at_least, driver.now(), order.until, width)


def _reads_one(order: WriteOrder) -> bool:
    """Whether a read at this level asks one copy only."""
    return order.level in (ConsistencyLevel.ONE, ConsistencyLevel.ASYNC)
