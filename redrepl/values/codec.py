"""Turning a program's keys and values into bytes and back."""

from __future__ import annotations

import json
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")


class Codec(Protocol[T]):
    """Encodes to bytes and decodes what it encoded."""

    def encode(self, value: T) -> bytes:
        """The bytes of a value."""
        ...

    def decode(self, data: bytes) -> T:
        """The value of bytes that `encode` gave."""
        ...


class JsonCodec(Generic[T]):
    """Values as JSON in UTF-8: compact, keys of objects sorted so that equal values have equal bytes."""

    def encode(self, value: T) -> bytes:
        """Raises TypeError or ValueError for what JSON cannot hold."""
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False).encode()

    def decode(self, data: bytes) -> T:
        """Raises ValueError for anything but JSON."""
        decoded: Any = json.loads(data)
        value: T = decoded
        return value
