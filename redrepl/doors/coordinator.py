"""The blocking coordinator: a replicated store behind ordinary method calls."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Generic, Never, Self, cast

from typing_extensions import TypeVar

from redrepl.doors.administration import Administration
from redrepl.doors.batch import Batch
from redrepl.doors.opening import client_store, is_about_clocks, wake_ups_of
from redrepl.doors.reaching import OnProgress
from redrepl.doors.transaction import Transaction, run_transactions
from redrepl.edges.admission import Purpose
from redrepl.edges.cluster import find_cluster, open_driver
from redrepl.edges.configuration import Configuration, configuration_of, load_configuration
from redrepl.edges.member_access import MemberAccess
from redrepl.edges.reporter import Dispatcher, Reporter
from redrepl.observe import Observer, Part
from redrepl.plans.client.codecs import Codecs, K, V
from redrepl.plans.client.options import CallOptions
from redrepl.plans.client.reads import FoundRecord, Walk
from redrepl.plans.copies.verify import VerifyReport
from redrepl.plans.epochs.failover import FailedOver
from redrepl.plans.recovery.bring_up import BroughtUp
from redrepl.values import limits
from redrepl.values.codec import Codec
from redrepl.values.effects import Plan
from redrepl.values.errors import RedreplError, RequestError
from redrepl.values.level import ConsistencyLevel, Level
from redrepl.values.preference import ReadPreference
from redrepl.values.receipt import WriteReceipt
from redrepl.values.session import Session, check_session
from redrepl.values.stamp import Stamp
from redrepl.values.status import ClusterStatus, ReplicationStats
from redrepl.values.topology import Node, Topology
from redrepl.values.validation import check_prefix

R = TypeVar("R")

OwnK = TypeVar("OwnK", default=str)
OwnV = TypeVar("OwnV", default=bytes)
"""The types of keys and values where a class method gets the codecs: some type checkers take the
class' own for decided there.
"""


class Coordinator(Generic[K, V]):
    """Reads and writes a replicated store; safe to share between threads.

    Keys are str or bytes and values bytes, unless codecs are given. Common arguments:

    observer: told what happens (default: the log, see `LoggingObserver`).
    level: copies besides the primary that must confirm: a `ConsistencyLevel`, its name, or a
        count. Writes default to the configuration's level, reads to ONE (one copy, see ``prefer``).
    timeout_seconds: for the whole operation; default from the configuration.

    Every operation raises RequestError for bad arguments, and for what a codec cannot encode,
    before anything is sent; reads raise UndecodableValue, naming the key, for what the value codec
    cannot decode. Writes return a receipt when the required copies have confirmed; else they raise
    WriteNotConfirmed (outcome unknown) or WriteRejected (no effect), both with the receipt. An
    unknown write is never sent again by itself with a new stamp: it cannot take effect twice.
    """

    def __init__(
        self,
        configuration: Configuration,
        *,
        key_codec: Codec[K] | None = None,
        value_codec: Codec[V] | None = None,
        session: Session | None = None,
        observer: Observer | None = None,
    ) -> None:
        reporter = Reporter(Dispatcher(observer), configuration.cluster, Part.CLIENT)
        found = find_cluster(configuration)
        access = MemberAccess.found(configuration, found)
        self.configuration = configuration
        self._reporter = reporter
        self._reached_in_seconds = found.reached_in_seconds
        self._driver = open_driver(configuration, access.endpoints, Purpose.SERVE, reporter)
        self._queue = wake_ups_of(configuration, reporter)
        codecs, checked = Codecs(key_codec, value_codec), check_session(session)
        self._store = client_store(
            configuration, found, self._driver, access, self._queue, codecs, checked, reporter
        )
        self._is_closed = False

    def __repr__(self) -> str:
        state = "closed" if self._is_closed else "open"
        return f"<{type(self).__name__} {self._store.cluster.view} {state}>"

    def __reduce__(self) -> Never:
        """Connections and threads go to no other process."""
        raise RequestError(
            f"a {type(self).__name__} cannot be pickled or copied: open one in each process"
        )

    @property
    def topology(self) -> Topology:
        """The members, roles and epoch as last read."""
        return self._store.cluster.view.topology

    @property
    def reached_in_seconds(self) -> float:
        """How long the slowest node that answered took when the cluster was found, connecting
        included.
        """
        return self._reached_in_seconds

    @property
    def session(self) -> Session:
        """What this coordinator has written and read, so that it never reads its past."""
        return self._store.session

    @classmethod
    def from_config(
        cls,
        path: str | os.PathLike[str] | None = None,
        *,
        key_codec: Codec[OwnK] | None = None,
        value_codec: Codec[OwnV] | None = None,
        session: Session | None = None,
        observer: Observer | None = None,
    ) -> Coordinator[OwnK, OwnV]:
        """Open the cluster of a configuration file.

        path: by default that of REDREPL_CONFIG, or else ./redrepl.toml.
        """
        kind = cast(type[Coordinator[OwnK, OwnV]], cls)
        return kind(
            load_configuration(path),
            key_codec=key_codec,
            value_codec=value_codec,
            session=session,
            observer=observer,
        )

    @classmethod
    def connect(
        cls,
        urls: Sequence[str],
        cluster: str,
        *,
        key_codec: Codec[OwnK] | None = None,
        value_codec: Codec[OwnV] | None = None,
        session: Session | None = None,
        observer: Observer | None = None,
        **settings: Any,
    ) -> Coordinator[OwnK, OwnV]:
        """Open a cluster from the urls of some of its nodes.

        settings: the fields of `Configuration`; ``connect_urls`` says for members, by id, at which
        url this program reaches them in place of the cluster's; ``tls`` is a mapping with the keys
        of the configuration's `[tls]` table. Raises RequestError or ConfigError, naming the
        setting.
        """
        configuration = configuration_of(urls, cluster, settings)
        kind = cast(type[Coordinator[OwnK, OwnV]], cls)
        return kind(
            configuration,
            key_codec=key_codec,
            value_codec=value_codec,
            session=session,
            observer=observer,
        )

    def close(self) -> None:
        """Close the connections; wake-ups not yet sent get a moment to leave.

        Operations are refused from then on.
        """
        self._is_closed = True
        self._queue.close()
        self._driver.close()
        self._reporter.finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # The cluster ----------------------------------------------------------------------------------

    def health(self) -> ClusterStatus:
        """How every node and the cluster are, with lags and the conditions of correctness."""
        with self._administration() as administration:
            return administration.status()

    def stats(self) -> ReplicationStats:
        """Counts of replicas and data, and the largest lag."""
        return self.health().stats

    def nodes(self) -> list[Node]:
        """The members with role, state and lag."""
        now = time.time()
        return [status.as_node(now) for status in self.health().nodes]

    def sync(
        self, node: str | None = None, on_progress: OnProgress | None = None
    ) -> list[BroughtUp]:
        """Bring one replica, or all, to the primary's state exactly; waits until it is done."""
        with self._administration() as administration:
            return administration.sync(node, on_progress)

    def verify(self, repair: bool = False, on_progress: OnProgress | None = None) -> VerifyReport:
        """Compare every copy with the primary; with ``repair``, make them equal."""
        with self._administration() as administration:
            return administration.verify(repair, on_progress)

    def failover(self, to: str | None = None) -> FailedOver:
        """Give the primary's role to ``to``, or to the node that has seen most, where the present
        primary is away.

        No acknowledged QUORUM write is lost; for a planned move, which loses nothing at all, see
        `switchover`. This coordinator goes on with the new primary. Raises RequestError for what
        cannot be, Unavailable where too few members can take part or somebody else moved the
        cluster meanwhile.
        """
        with self._administration() as administration:
            done = administration.failover(to)
            self._store.cluster.take_up(administration.inspect()[0])
        return done

    def switchover(self, to: str, on_progress: OnProgress | None = None) -> FailedOver:
        """Give the primary's role to ``to`` without losing anything: writes pause for a moment, and
        none fails.

        This coordinator goes on with the new primary. Raises as `failover` does, and Unavailable
        where the node lags and does not catch up.
        """
        with self._administration() as administration:
            done = administration.switchover(to, on_progress)
            self._store.cluster.take_up(administration.inspect()[0])
        return done

    def _administration(self) -> Administration:
        self._check_open()
        reporter = self._reporter.beside(Part.ADMINISTRATION)
        administration = Administration(self.configuration, reporter=reporter)
        try:
            administration.find_members()
        except BaseException:
            administration.close()
            raise
        return administration

    def _run(self, plan: Plan[R]) -> R:
        if self._is_closed:
            self._check_open()
        try:
            return self._driver.run(plan)
        except RedreplError as error:
            if is_about_clocks(error):
                self._driver.run(self._store.compare_clocks_plan())
            raise

    def _check_open(self) -> None:
        if self._is_closed:
            raise RequestError("this coordinator is closed")

    # Writes ---------------------------------------------------------------------------------------

    def set(
        self,
        key: K | str | bytes,
        value: V | bytes,
        *,
        ttl: float | None = None,
        level: Level | None = None,
        timeout_seconds: float | None = None,
    ) -> WriteReceipt:
        """Store a value. ``ttl`` in seconds: every copy forgets it at the same moment."""
        return self._run(self._store.set_plan(key, value, ttl, CallOptions(level, timeout_seconds)))

    def delete(
        self,
        key: K | str | bytes,
        *,
        level: Level | None = None,
        timeout_seconds: float | None = None,
    ) -> WriteReceipt:
        """Delete a key: a write like any other, also where the key does not exist."""
        return self._run(self._store.delete_plan(key, CallOptions(level, timeout_seconds)))

    def set_many(
        self,
        items: Mapping[Any, V | bytes],
        *,
        ttl: float | None = None,
        level: Level | None = None,
        timeout_seconds: float | None = None,
    ) -> dict[Any, WriteReceipt]:
        """Store many values, in chunks of one round trip each; a receipt per key.

        The time-out is each chunk's. Where keys are not confirmed, WriteNotConfirmed (or
        WriteRejected, where none may take effect) is raised after the last chunk, or once the
        primary cannot be reached. What else the primary refuses a chunk with (NotAReplicatedRecord,
        ClockSkew) is raised as it is, after the chunks under way have ended; no more leave. Each of
        these errors has in ``receipts`` one for every key, in the order of ``items``, whose outcome
        says whether it was committed, may take effect or was not sent.
        """
        return self._run(self._store.set_many_plan(items, ttl, CallOptions(level, timeout_seconds)))

    def delete_many(
        self,
        keys: Iterable[K | str | bytes],
        *,
        level: Level | None = None,
        timeout_seconds: float | None = None,
    ) -> dict[Any, WriteReceipt]:
        """Delete many keys as `set_many` stores them."""
        return self._run(self._store.delete_many_plan(keys, CallOptions(level, timeout_seconds)))

    def add(
        self,
        key: K | str | bytes,
        value: V | bytes,
        *,
        ttl: float | None = None,
        level: Level | None = None,
        timeout_seconds: float | None = None,
    ) -> WriteReceipt:
        """Store a value where the key reads as absent: ``receipt.applied`` says whether it did."""
        return self._run(self._store.add_plan(key, value, ttl, CallOptions(level, timeout_seconds)))

    def compare_and_set(
        self,
        key: K | str | bytes,
        value: V | bytes,
        *,
        expected: Stamp | None,
        ttl: float | None = None,
        level: Level | None = None,
        timeout_seconds: float | None = None,
    ) -> WriteReceipt:
        """Store a value where the version ``expected`` still stands (None: where the key reads as
        absent).

        ``receipt.applied`` says whether it did; if not, ``receipt.stamp`` is the version that
        stands.
        """
        return self._run(
            self._store.compare_and_set_plan(
                key, value, expected, ttl, CallOptions(level, timeout_seconds)
            )
        )

    def increment(
        self,
        key: K | str | bytes,
        amount: int = 1,
        *,
        level: Level | None = None,
        timeout_seconds: float | None = None,
    ) -> int:
        """Add to a whole number, an absent key counting as 0, and answer the sum.

        A deadline that stands stays.

        With several primaries, increments on different primaries at the same time are lost but for
        one.
        """
        return self._run(
            self._store.increment_plan(key, amount, CallOptions(level, timeout_seconds))
        )

    def append(
        self,
        key: K | str | bytes,
        value: V | bytes,
        *,
        level: Level | None = None,
        timeout_seconds: float | None = None,
    ) -> int:
        """Put bytes behind a value, an absent key counting as empty; returns the new length in
        bytes.

        A deadline that is stored stays. With a value codec the encoding of ``value`` is put behind
        the one that is stored, which JSON for example cannot decode: RequestError unless the codec
        has a true attribute ``can_append``. So it is where the value would exceed MAX_VALUE_BYTES.
        The other copies get the whole value. With several primaries, of appends on different ones
        at the same time all but one are lost.
        """
        return self._run(self._store.append_plan(key, value, CallOptions(level, timeout_seconds)))

    def expire(
        self,
        key: K | str | bytes,
        ttl: float | None,
        *,
        level: Level | None = None,
        timeout_seconds: float | None = None,
    ) -> WriteReceipt:
        """Give a value ``ttl`` more seconds from now, or no deadline with None; not applied where
        the key is absent.
        """
        return self._run(self._store.expire_plan(key, ttl, CallOptions(level, timeout_seconds)))

    def get_and_set(
        self,
        key: K | str | bytes,
        value: V | bytes,
        *,
        ttl: float | None = None,
        level: Level | None = None,
        timeout_seconds: float | None = None,
    ) -> V | None:
        """Store a value; returns the one before it, None where the key was absent.

        ``ttl`` as in `set`.

        The primary decides it, so of several programs at once each value is returned to one alone.
        Where the answer is lost, so is the value before: WriteNotConfirmed, also if the new one is
        found to be stored. What cannot be decoded (UndecodableValue) is replaced all the same. With
        several primaries, one may return what another replaces too.
        """
        return self._run(
            self._store.get_and_set_plan(key, value, ttl, CallOptions(level, timeout_seconds))
        )

    def batch(
        self, level: Level | None = None, timeout_seconds: float | None = None
    ) -> Batch[K, V]:
        """Queue operations of any kind and send them in few round trips, each key on its own; see
        `Batch`.
        """
        return Batch(self._store, self._run, level, timeout_seconds)

    def transaction(
        self, level: Level | None = None, timeout_seconds: float | None = None
    ) -> Transaction[K, V]:
        """Several writes, all or none, if what was read still stands; see `Transaction`."""
        return Transaction(self._store, self._run, level, timeout_seconds)

    def transact(
        self,
        function: Callable[[Transaction[K, V]], R],
        attempts: int = limits.TRANSACTION_ATTEMPTS,
        *,
        level: Level | None = None,
        timeout_seconds: float | None = None,
    ) -> R:
        """Call ``function`` with a transaction and commit it; answers what the function answered.

        On a conflict both are repeated with a new transaction, ``attempts`` times in all; then
        TransactionConflict is raised. The function may be called several times, so it should do
        nothing else. Other errors end it at once: an unknown outcome is not repeated.
        """
        return run_transactions(
            lambda: self.transaction(level, timeout_seconds), function, attempts, self._run
        )

    # Reads ----------------------------------------------------------------------------------------

    def get(
        self,
        key: K | str | bytes,
        *,
        level: Level = ConsistencyLevel.ONE,
        prefer: ReadPreference | str = ReadPreference.PRIMARY,
        timeout_seconds: float | None = None,
    ) -> V | None:
        """The value, None where the key is absent, deleted or past its deadline.

        At ONE one copy answers, chosen by ``prefer``. Above, the primary's record is confirmed by
        that many other copies, and pushed to those that lack it; ``prefer`` then has no effect.
        """
        return self._run(self._store.get_plan(key, level, prefer, timeout_seconds))

    def get_record(
        self,
        key: K | str | bytes,
        *,
        level: Level = ConsistencyLevel.ONE,
        prefer: ReadPreference | str = ReadPreference.PRIMARY,
        timeout_seconds: float | None = None,
    ) -> FoundRecord[V] | None:
        """The value with its version, deadline and the node that answered."""
        return self._run(self._store.get_record_plan(key, level, prefer, timeout_seconds))

    def get_many(
        self,
        keys: Iterable[K | str | bytes],
        *,
        level: Level = ConsistencyLevel.ONE,
        prefer: ReadPreference | str = ReadPreference.PRIMARY,
        timeout_seconds: float | None = None,
    ) -> dict[Any, V | None]:
        """The values of many keys, None for those that are absent.

        At ONE with ``prefer`` REPLICA or NEAREST the keys are divided among the replicas, or the
        copies near by, and asked for at once; what one does not answer in time, or has older than
        this session has seen, others are asked.
        """
        return self._run(self._store.get_many_plan(keys, level, prefer, timeout_seconds))

    def ttl(
        self,
        key: K | str | bytes,
        *,
        level: Level = ConsistencyLevel.ONE,
        timeout_seconds: float | None = None,
    ) -> float:
        """Seconds the value has left; -1 if it has no deadline, -2 if the key is absent (as Redis
        answers).
        """
        return self._run(self._store.ttl_plan(key, level, timeout_seconds))

    def keys(
        self, prefix: str | bytes = b"", *, timeout_seconds: float | None = None
    ) -> Iterator[bytes]:
        """Keys that start with ``prefix`` and read as present on the primary, in no order; each
        once.
        """
        return self._walk_keys(check_prefix(prefix), timeout_seconds)

    def _walk_keys(self, start: bytes, timeout_seconds: float | None) -> Iterator[bytes]:
        walk, seen = Walk(), set[bytes]()
        while not walk.is_over:
            walk, names = self._run(self._store.keys_page_plan(start, walk, timeout_seconds))
            for name in names:
                if name not in seen:
                    seen.add(name)
                    yield self._store.cluster.view.layout.user_key(name)
