"""A cache on a replicated store: JSON or bytes values, one deadline on every copy, a namespace that can be cleared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from redrepl.doors.coordinator import Coordinator
from redrepl.edges.locks import new_lock
from redrepl.values.codec import JsonCodec, decoded, encoded
from redrepl.values.errors import RequestError
from redrepl.values.level import ConsistencyLevel, Level
from redrepl.values.preference import ReadPreference
from redrepl.values.receipt import WriteReceipt
from redrepl.values.validation import check_key, check_ttl

_SEPARATOR = ":"
_CLEAR_PAGE = 500


@dataclass(frozen=True, slots=True)
class CacheStatistics:
    """What this object has done since it was made. hit_rate: hits per read, 0.0 before the first read."""

    hits: int
    misses: int
    sets: int
    deletes: int

    @property
    def hit_rate(self) -> float:
        """Hits divided by reads."""
        reads = self.hits + self.misses
        return self.hits / reads if reads else 0.0


class ReplicatedCache:
    """Get, set and forget, on several copies.

    coordinator: where the data goes; keep its key and value codecs unset.
    namespace: stands before every key; `clear` forgets exactly the keys of this namespace.
    default_ttl: seconds for `set` without one; None keeps values until they are deleted.
    values: "json" (whatever JSON holds) or "bytes" (as they are).
    level, prefer: of writes and reads.
    """

    def __init__(
        self,
        coordinator: Coordinator[Any, Any],
        *,
        namespace: str = "cache",
        default_ttl: float | None = None,
        values: Literal["json", "bytes"] = "json",
        level: Level | None = None,
        prefer: ReadPreference | str = ReadPreference.PRIMARY,
    ) -> None:
        if not isinstance(coordinator, Coordinator):
            raise RequestError(f"ReplicatedCache needs a Coordinator, not {type(coordinator).__name__}")
        if values not in ("json", "bytes"):
            raise RequestError(f'values must be "json" or "bytes", not {values!r}')
        if not namespace or _SEPARATOR in namespace:
            raise RequestError(f"namespace must be a text without {_SEPARATOR!r}, not {namespace!r}")
        check_ttl(default_ttl)
        self._coordinator = coordinator
        self._start = namespace.encode() + _SEPARATOR.encode()
        self._default_ttl = default_ttl
        self._codec: JsonCodec[Any] | None = JsonCodec() if values == "json" else None
        self._level = level
        self._prefer = prefer
        self._lock = new_lock()
        self._hits = self._misses = self._sets = self._deletes = 0

    def get(self, key: str | bytes, default: Any = None, *, level: Level = ConsistencyLevel.ONE) -> Any:
        """The value, ``default`` where there is none or it has expired.

        Raises UndecodableValue for what is no JSON.
        """
        stored = self._coordinator.get(self._name(key), level=level, prefer=self._prefer)
        self._count(hits=stored is not None, misses=stored is None)
        return default if stored is None else self._decode(key, stored)

    def get_many(self, keys: Iterable[str | bytes], *, level: Level = ConsistencyLevel.ONE) -> dict[str | bytes, Any]:
        """The values of those keys that have one."""
        names = {self._name(key): key for key in keys}
        found = self._coordinator.get_many(names, level=level, prefer=self._prefer)
        values = {
            names[name]: self._decode(names[name], stored) for name, stored in found.items() if stored is not None
        }
        self._count(hits=len(values), misses=len(names) - len(values))
        return values

    def set(self, key: str | bytes, value: Any, *, ttl: float | None = None) -> WriteReceipt:
        """Keep a value for ``ttl`` seconds (default: ``default_ttl``)."""
        receipt = self._coordinator.set(self._name(key), self._encode(value), ttl=self._ttl(ttl), level=self._level)
        self._count(sets=1)
        return receipt

    def set_many(self, items: Mapping[Any, Any], *, ttl: float | None = None) -> dict[str | bytes, WriteReceipt]:
        """Keep many values, in few round trips."""
        names = {self._name(key): key for key in items}
        encoded = {name: self._encode(items[key]) for name, key in names.items()}
        receipts = self._coordinator.set_many(encoded, ttl=self._ttl(ttl), level=self._level)
        self._count(sets=len(receipts))
        return {names[name]: receipt for name, receipt in receipts.items()}

    def delete(self, key: str | bytes) -> WriteReceipt:
        """Forget a key."""
        receipt = self._coordinator.delete(self._name(key), level=self._level)
        self._count(deletes=1)
        return receipt

    def clear(self) -> int:
        """Forget every key of the namespace, on every copy; answers how many there were.

        Keys that others set meanwhile may stay.
        """
        names, cleared = list(self._coordinator.keys(self._start)), 0
        for start in range(0, len(names), _CLEAR_PAGE):
            cleared += len(self._coordinator.delete_many(names[start : start + _CLEAR_PAGE], level=self._level))
        self._count(deletes=cleared)
        return cleared

    def statistics(self) -> CacheStatistics:
        """Hits, misses, sets and deletes of this object."""
        with self._lock:
            return CacheStatistics(self._hits, self._misses, self._sets, self._deletes)

    def _name(self, key: str | bytes) -> bytes:
        return self._start + check_key(key)

    def _ttl(self, ttl: float | None) -> float | None:
        return self._default_ttl if ttl is None else ttl

    def _encode(self, value: Any) -> bytes:
        if self._codec is None:
            return value  # type: ignore[no-any-return]  # the coordinator refuses anything but bytes
        return encoded(self._codec, "value", value)

    def _decode(self, key: str | bytes, stored: bytes) -> Any:
        return stored if self._codec is None else decoded(self._codec, key, stored)

    def _count(self, hits: int = 0, misses: int = 0, sets: int = 0, deletes: int = 0) -> None:
        with self._lock:
            self._hits += hits
            self._misses += misses
            self._sets += sets
            self._deletes += deletes
