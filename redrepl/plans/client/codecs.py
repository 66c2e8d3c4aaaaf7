"""Keys and values as callers give them, and as bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Generic, cast

from typing_extensions import TypeVar

from redrepl.values.codec import Codec, decoded, encoded
from redrepl.values.operation import Before
from redrepl.values.record import NO_DEADLINE, VALUE, Record
from redrepl.values.validation import check_key, check_value

K = TypeVar("K", default=str)
"""The type of keys; without a codec str, and bytes are taken too."""

V = TypeVar("V", default=bytes)
"""The type of values; without a codec bytes."""


class Codecs(Generic[K, V]):
    """Turns keys and values into bytes and back. Raises RequestError for what cannot be encoded.

    value_codec: None where values are bytes already.
    """

    def __init__(
        self, key_codec: Codec[K] | None = None, value_codec: Codec[V] | None = None
    ) -> None:
        self._key_codec = key_codec
        self.value_codec = value_codec

    def key(self, key: K | str | bytes) -> bytes:
        """A key as bytes."""
        if self._key_codec is not None:
            return check_key(encoded(self._key_codec, "key", cast(K, key)))
        return check_key(key)

    def keys(self, keys: Iterable[Any]) -> list[bytes]:
        """Keys as bytes."""
        return list(map(check_key if self._key_codec is None else self.key, keys))

    def value(self, value: V | bytes) -> bytes:
        """A value as bytes."""
        if self.value_codec is not None:
            return check_value(encoded(self.value_codec, "value", cast(V, value)))
        return check_value(value)

    def values(self, values: Iterable[V | bytes]) -> list[bytes]:
        """Values as bytes."""
        return list(map(check_value if self.value_codec is None else self.value, values))

    def decoded(self, key: Any, payload: bytes) -> V:
        """The value of these bytes. Raises UndecodableValue, naming the key as it was given."""
        return (
            cast(V, payload)
            if self.value_codec is None
            else decoded(self.value_codec, key, payload)
        )

    def value_before(self, key: Any, before: Before) -> V | None:
        """The value that an operation replaced, None where the key was absent.

        Raises as `decoded`.
        """
        if before.payload is None or self.value_codec is None:
            return cast(V | None, before.payload)
        return decoded(self.value_codec, key, before.payload, "it is replaced all the same")

    def live_value(self, key: Any, record: Record, now_millis: int) -> V | None:
        """The value of a record; None where it is deleted or past its deadline."""
        if record.deadline_millis == NO_DEADLINE:
            return self.decoded(key, record.payload) if record.kind == VALUE else None
        return self.decoded(key, record.payload) if record.is_live(now_millis) else None

    def receipt_key(self, key: K | str | bytes) -> str | bytes:
        """The key that stands in a receipt: as it was given where that is a text or bytes, else as
        bytes.
        """
        return key if isinstance(key, (str, bytes)) else self.key(key)

    def receipt_keys(self, keys: Iterable[Any], raw_keys: Sequence[bytes]) -> list[str | bytes]:
        """The same for many, whose bytes are known."""
        return [
            key if isinstance(key, (str, bytes)) else raw
            for key, raw in zip(keys, raw_keys, strict=True)
        ]
