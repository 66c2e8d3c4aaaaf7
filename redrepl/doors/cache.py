"""A cache on a replicated store: JSON or bytes values, one deadline on every copy, a namespace that
can be cleared.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from redrepl.doors.coordinator import Coordinator
from redrepl.edges.locks import new_lock
from redrepl.values.codec import JsonCodec, decoded, encoded
from redrepl.values.errors import RequestError, UndecodableValue
from redrepl.values.level import ConsistencyLevel, Level
from redrepl.values.preference import ReadPreference
from redrepl.values.receipt import WriteReceipt
from redrepl.values.validation import check_items, check_key, check_keys, check_ttl

_SEPARATOR = ":"
_NOTHING = object()
_log = logging.getLogger("redrepl.client")
_CLEAR_PAGE = 500


@dataclass(frozen=True, slots=True)
class CacheStatistics:
    """What this object has done since it was made. hit_rate: hits per read, 0.0 before the first
    read.

    undecodable: misses where something stands that is no JSON.
    """

    hits: int
    misses: int
    sets: int
    deletes: int
    undecodable: int = 0

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
            raise RequestError(
                f"ReplicatedCache needs a Coordinator, not {type(coordinator).__name__}"
            )
        if values not in ("json", "bytes"):
            raise RequestError(f'values must be "json" or "bytes", not {values!r}')
        if not isinstance(namespace, str) or not namespace or _SEPARATOR in namespace:
            raise RequestError(
                f"namespace must be a text without {_SEPARATOR!r}, not {namespace!r}"
            )
        check_ttl(default_ttl)
        self._coordinator = coordinator
        self._start = namespace.encode() + _SEPARATOR.encode()
        self._default_ttl = default_ttl
        self._codec: JsonCodec[Any] | None = JsonCodec() if values == "json" else None
        self._level = level
        self._prefer = prefer
        self._lock = new_lock()
        self._hits = self._misses = self._sets = self._deletes = self._undecodable = 0

    def __repr__(self) -> str:
        namespace = self._start.decode().removesuffix(_SEPARATOR)
        return f"<{type(self).__name__} {namespace} on {self._coordinator!r}>"

    def get(
        self, key: str | bytes, default: Any = None, *, level: Level = ConsistencyLevel.ONE
    ) -> Any:
        """The value, ``default`` where there is none or it has expired.

        What is no JSON, from another version of the program perhaps, is a miss: the next `set` puts
        it right.
        """
        stored = self._coordinator.get(self._name(key), level=level, prefer=self._prefer)
        found = _NOTHING if stored is None else self._decode(key, stored)
        self._count(hits=found is not _NOTHING, misses=found is _NOTHING)
        return default if found is _NOTHING else found

    def get_many(
        self, keys: Iterable[str | bytes], *, level: Level = ConsistencyLevel.ONE
    ) -> dict[str | bytes, Any]:
        """The values of those keys that have one."""
        names = {key: self._name(key) for key in check_keys(keys)}
        stored = self._coordinator.get_many(set(names.values()), level=level, prefer=self._prefer)
        found = {
            key: self._decode(key, value)
            for key, name in names.items()
            if (value := stored[name]) is not None
        }
        values = {key: value for key, value in found.items() if value is not _NOTHING}
        self._count(hits=len(values), misses=len(names) - len(values))
        return values

    def set(self, key: str | bytes, value: Any, *, ttl: float | None = None) -> WriteReceipt:
        """Keep a value for ``ttl`` seconds (default: ``default_ttl``)."""
        receipt = self._coordinator.set(
            self._name(key), self._encode(value), ttl=self._ttl(ttl), level=self._level
        )
        self._count(sets=1)
        return receipt

    def set_many(
        self, items: Mapping[Any, Any], *, ttl: float | None = None
    ) -> dict[str | bytes, WriteReceipt]:
        """Keep many values, in few round trips."""
        encoded = {
            key: (self._name(key), self._encode(value)) for key, value in check_items(items).items()
        }
        receipts: dict[str | bytes, WriteReceipt] = {}
        while left := {key: item for key, item in encoded.items() if key not in receipts}:
            # "k" and b"k" are one key: the second is written after the first.
            names = dict(reversed([(name, key) for key, (name, _) in left.items()]))
            written = {name: left[key][1] for name, key in names.items()}
            done = self._coordinator.set_many(written, ttl=self._ttl(ttl), level=self._level)
            receipts.update((names[name], receipt) for name, receipt in done.items())
        self._count(sets=len(receipts))
        return {key: receipts[key] for key in encoded}

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
            cleared += len(
                self._coordinator.delete_many(names[start : start + _CLEAR_PAGE], level=self._level)
            )
        self._count(deletes=cleared)
        return cleared

    def statistics(self) -> CacheStatistics:
        """Hits, misses, sets and deletes of this object."""
        with self._lock:
            return CacheStatistics(
                self._hits, self._misses, self._sets, self._deletes, self._undecodable
            )

    def _name(self, key: str | bytes) -> bytes:
        return self._start + check_key(key)

    def _ttl(self, ttl: float | None) -> float | None:
        return self._default_ttl if ttl is None else ttl

    def _encode(self, value: Any) -> bytes:
        if self._codec is None:
            return value  # type: ignore[no-any-return]  # the coordinator refuses anything but bytes
        return encoded(self._codec, "value", value)

    def _decode(self, key: str | bytes, stored: bytes) -> Any:
        """The value, or _NOTHING for what is no JSON: one such entry costs itself, and no other."""
        if self._codec is None:
            return stored
        try:
            return decoded(self._codec, key, stored)
        except UndecodableValue as error:
            with self._lock:
                is_first, self._undecodable = self._undecodable == 0, self._undecodable + 1
            if is_first:
                _log.warning("%s; it counts as a miss, and so do others (said once)", error.message)
            return _NOTHING

    def _count(self, hits: int = 0, misses: int = 0, sets: int = 0, deletes: int = 0) -> None:
        with self._lock:
            self._hits += hits
            self._misses += misses
            self._sets += sets
            self._deletes += deletes
