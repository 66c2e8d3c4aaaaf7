"""Operations that wait to be sent together: what batches and transactions share.

Bad input is refused here.
"""

from __future__ import annotations

from typing import Any, Generic, Self

from redrepl.plans.client.codecs import K, V
from redrepl.plans.client.options import CallOptions
from redrepl.plans.client.store import ClientStore
from redrepl.values.level import Level, required_copies
from redrepl.values.operation import (
    ADD,
    APPEND,
    DELETE,
    EXPIRE,
    INCREMENT,
    SET,
    Operation,
    OperationKind,
)
from redrepl.values.validation import check_timeout, check_ttl


class OperationQueue(Generic[K, V]):
    """Operations that wait.

    Methods mean what the coordinator's mean; a ``ttl`` (seconds) begins when they leave.

    Belongs to one thread or task. Raises RequestError for bad arguments.
    """

    def __init__(
        self, store: ClientStore[K, V], level: Level | None, timeout_seconds: float | None
    ) -> None:
        self._store = store
        self._options = CallOptions(level, timeout_seconds)
        self._operations: list[Operation] = []
        # Refused now and not when it is sent; an asyncio coordinator that is not open yet says so
        # too.
        others = len(store.cluster.view.ids) - 1
        required_copies(store.cluster.default_level if level is None else level, others)
        if timeout_seconds is not None:
            check_timeout(timeout_seconds)

    def __len__(self) -> int:
        """Operations that wait."""
        return len(self._operations)

    def __bool__(self) -> bool:
        """True, also while nothing waits: this is no container."""
        return True

    def __repr__(self) -> str:
        cluster = self._store.cluster.view.topology.cluster
        return f"<{type(self).__name__} {cluster} queued={len(self._operations)}>"

    def set(self, key: K | str | bytes, value: V | bytes, ttl: float | None = None) -> Self:
        """Store a value."""
        return self._queue(key, SET, value, ttl)

    def delete(self, key: K | str | bytes) -> Self:
        """Delete a key."""
        return self._queue(key, DELETE)

    def add(self, key: K | str | bytes, value: V | bytes, ttl: float | None = None) -> Self:
        """Store a value where the key reads as absent."""
        return self._queue(key, ADD, value, ttl)

    def increment(self, key: K | str | bytes, amount: int = 1) -> Self:
        """Add to a whole number, an absent key counting as 0. A deadline that stands stays."""
        return self._queue(key, INCREMENT, amount)

    def append(self, key: K | str | bytes, value: V | bytes) -> Self:
        """Put bytes behind a value, an absent key counting as empty.

        A deadline that is stored stays.
        """
        return self._queue(key, APPEND, value)

    def expire(self, key: K | str | bytes, ttl: float | None) -> Self:
        """Give a value ``ttl`` more seconds, or no deadline with None."""
        return self._queue(key, EXPIRE, ttl=ttl)

    def _queue(
        self,
        key: K | str | bytes,
        kind: OperationKind,
        argument: Any = None,
        ttl: float | None = None,
    ) -> Self:
        codecs = self._store.codecs
        operand = kind.argument.encode(codecs, argument)
        operation = Operation(
            key, codecs.receipt_key(key), codecs.key(key), kind, operand, check_ttl(ttl)
        )
        self._take(operation)
        return self

    def _take(self, operation: Operation) -> None:
        self._operations.append(operation)
