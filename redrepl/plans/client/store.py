"""A client of a replicated store: every operation of a coordinator as one plan, waiting left
out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Generic

from redrepl.plans.client.cluster_state import ClusterState
from redrepl.plans.client.codecs import Codecs, K, V
from redrepl.plans.client.environment import WakeUps
from redrepl.plans.client.following import EpochFollower
from redrepl.plans.client.options import CallOptions
from redrepl.plans.client.outcomes import OutcomeResolver
from redrepl.plans.client.reads import FoundRecord, Reader, Walk
from redrepl.plans.client.topology_watch import TopologyWatch
from redrepl.plans.client.updates import Updater
from redrepl.plans.client.writes import PendingWrite, Writer
from redrepl.values.effects import Plan
from redrepl.values.level import ConsistencyLevel, Level
from redrepl.values.operation import ADD, APPEND, COMPARE_AND_SET, EXPIRE, GET_AND_SET, INCREMENT
from redrepl.values.preference import ReadPreference
from redrepl.values.receipt import WriteReceipt
from redrepl.values.record import Record
from redrepl.values.session import Session
from redrepl.values.stamp import Stamp


class ClientStore(Generic[K, V]):
    """Puts a client together from its parts, and offers its operations as plans.

    A method that ends in ``_plan`` returns a plan: nothing happens before a driver runs it. See
    `redrepl.Coordinator` for what the operations mean; ``options`` hold level and time-out of the
    call.

    cluster: members, epoch, clock. codecs, session: of this client. reader, writer, updater,
    outcomes: its parts.
    """

    def __init__(
        self,
        cluster: ClusterState,
        wake_ups: WakeUps,
        codecs: Codecs[K, V],
        session: Session,
        is_in_doubt: bool = False,
    ) -> None:
        self.cluster = cluster
        self.codecs = codecs
        self.session = session
        self.watch = TopologyWatch(cluster, is_in_doubt)
        self.follower = EpochFollower(cluster, self.watch)
        self.outcomes = OutcomeResolver(cluster, self.watch, self.follower)
        self.reader = Reader(cluster, self.watch, self.follower, codecs, session)
        self.writer = Writer(cluster, self.follower, self.outcomes, codecs, session, wake_ups)
        self.updater = Updater(cluster, self.follower, self.outcomes, self.writer, codecs)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.cluster.view}>"

    # Writes ---------------------------------------------------------------------------------------

    def set_plan(
        self, key: K | str | bytes, value: V | bytes, ttl: float | None, options: CallOptions
    ) -> Plan[WriteReceipt]:
        """Store a value."""
        return self.writer.set(key, value, ttl, options)

    def delete_plan(self, key: K | str | bytes, options: CallOptions) -> Plan[WriteReceipt]:
        """Delete a key."""
        return self.writer.delete(key, options)

    def write_group_plan(
        self, writes: Sequence[PendingWrite], options: CallOptions
    ) -> Plan[list[WriteReceipt | Exception]]:
        """Writes of different keys that came together; a receipt or an error for each."""
        return self.writer.write_group(writes, options)

    def resolved(self, options: CallOptions) -> CallOptions:
        """The same options with the defaults filled in, as those that a group of writes has in
        common.
        """
        cluster = self.cluster
        level, _ = cluster.view.resolve_level(
            cluster.default_level if options.level is None else options.level
        )
        return CallOptions(level, cluster.timeout(options.timeout_seconds))

    def set_many_plan(
        self, items: Mapping[Any, V | bytes], ttl: float | None, options: CallOptions
    ) -> Plan[dict[Any, WriteReceipt]]:
        """Store many values."""
        return self.writer.set_many(items, ttl, options)

    def delete_many_plan(
        self, keys: Iterable[K | str | bytes], options: CallOptions
    ) -> Plan[dict[Any, WriteReceipt]]:
        """Delete many keys."""
        return self.writer.delete_many(keys, options)

    def add_plan(
        self, key: K | str | bytes, value: V | bytes, ttl: float | None, options: CallOptions
    ) -> Plan[WriteReceipt]:
        """Store a value where the key reads as absent."""
        return self.updater.change(ADD, key, value, ttl, options)

    def compare_and_set_plan(
        self,
        key: K | str | bytes,
        value: V | bytes,
        expected: Stamp | None,
        ttl: float | None,
        options: CallOptions,
    ) -> Plan[WriteReceipt]:
        """Store a value where this version is current; None: where the key reads as absent."""
        if expected is None:
            return self.updater.change(ADD, key, value, ttl, options)
        return self.updater.change(COMPARE_AND_SET, key, (expected, value), ttl, options)

    def increment_plan(self, key: K | str | bytes, amount: int, options: CallOptions) -> Plan[int]:
        """Add to a whole number; returns the sum."""
        return self.updater.number(INCREMENT, key, amount, options)

    def append_plan(
        self, key: K | str | bytes, value: V | bytes, options: CallOptions
    ) -> Plan[int]:
        """Put bytes behind a value; returns its length."""
        return self.updater.number(APPEND, key, value, options)

    def expire_plan(
        self, key: K | str | bytes, ttl: float | None, options: CallOptions
    ) -> Plan[WriteReceipt]:
        """Give a value another deadline."""
        return self.updater.change(EXPIRE, key, None, ttl, options)

    def get_and_set_plan(
        self, key: K | str | bytes, value: V | bytes, ttl: float | None, options: CallOptions
    ) -> Plan[V | None]:
        """Store a value; returns the one before it."""
        return self.updater.value_before(GET_AND_SET, key, value, ttl, options)

    # Reads ----------------------------------------------------------------------------------------

    def get_plan(
        self,
        key: K | str | bytes,
        level: Level = ConsistencyLevel.ONE,
        prefer: ReadPreference | str = ReadPreference.PRIMARY,
        timeout_seconds: float | None = None,
    ) -> Plan[V | None]:
        """The value of a key."""
        return self.reader.get(key, level, prefer, timeout_seconds)

    def get_record_plan(
        self,
        key: K | str | bytes,
        level: Level = ConsistencyLevel.ONE,
        prefer: ReadPreference | str = ReadPreference.PRIMARY,
        timeout_seconds: float | None = None,
    ) -> Plan[FoundRecord[V] | None]:
        """The value of a key with its version."""
        return self.reader.get_record(key, level, prefer, timeout_seconds)

    def get_many_plan(
        self,
        keys: Iterable[K | str | bytes],
        level: Level = ConsistencyLevel.ONE,
        prefer: ReadPreference | str = ReadPreference.PRIMARY,
        timeout_seconds: float | None = None,
    ) -> Plan[dict[Any, V | None]]:
        """The values of many keys."""
        return self.reader.get_many(keys, level, prefer, timeout_seconds)

    def ttl_plan(
        self,
        key: K | str | bytes,
        level: Level = ConsistencyLevel.ONE,
        timeout_seconds: float | None = None,
    ) -> Plan[float]:
        """Seconds that a value has left."""
        return self.reader.ttl(key, level, timeout_seconds)

    def keys_page_plan(
        self, start: bytes, walk: Walk, timeout_seconds: float | None
    ) -> Plan[tuple[Walk, list[bytes]]]:
        """The next page of a walk over the keys that begin with ``start``."""
        return self.reader.keys_page(start, walk, timeout_seconds)

    def live_value(self, key: Any, record: Record) -> V | None:
        """The value of a record by the time that it is now; None where it is deleted or past its
        deadline.
        """
        return self.codecs.live_value(key, record, self.cluster.clock.physical.millis())

    # Clocks ---------------------------------------------------------------------------------------

    def compare_clocks_plan(self) -> Plan[None]:
        """After a refusal for its clock: set this client's by the nodes'."""
        return self.cluster.compare_clocks()
