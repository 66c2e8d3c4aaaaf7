"""Turning a program's keys and values into bytes and back."""

from __future__ import annotations

import json
from typing import Any, Generic, Protocol, TypeVar

from redrepl.values.errors import RequestError, UndecodableValue

T = TypeVar("T")


class Codec(Protocol[T]):
    """Encodes to bytes and decodes what it encoded.

    Whatever `encode` raises reaches the caller as the cause of a RequestError, before anything is
    sent; whatever `decode` raises, as the cause of an UndecodableValue.
    """

    def encode(self, value: T) -> bytes:
        """The bytes of a value."""
        ...

    def decode(self, data: bytes) -> T:
        """The value of bytes that `encode` gave."""
        ...


class JsonCodec(Generic[T]):
    """Values as JSON in UTF-8, compact; a dict keeps its order.

    sorts_keys: then equal dicts have equal bytes, as keys that are made of them need. Their keys
    are of one type then.
    """

    def __init__(self, sorts_keys: bool = False) -> None:
        self._sorts_keys = sorts_keys

    def encode(self, value: T) -> bytes:
        """Raises TypeError or ValueError for what JSON cannot hold."""
        try:
            return self._dump(value, escapes=False).encode()
        except UnicodeEncodeError:  # a lone surrogate, as in names of files that are no UTF-8
            return self._dump(value, escapes=True).encode()

    def _dump(self, value: T, escapes: bool) -> str:
        return json.dumps(
            value,
            ensure_ascii=escapes,
            separators=(",", ":"),
            sort_keys=self._sorts_keys,
            allow_nan=False,
        )

    def decode(self, data: bytes) -> T:
        """Raises ValueError for anything but JSON."""
        try:
            decoded: Any = json.loads(data)
        except RecursionError as error:
            raise ValueError("it is nested too deeply") from error
        value: T = decoded
        return value


def encoded(codec: Codec[T], argument: str, value: T) -> bytes:
    """The bytes of a caller's ``argument``. Raises RequestError where the codec raises anything."""
    try:
        return codec.encode(value)
    except Exception as error:
        text = (
            f"{argument} of type {type(value).__name__} cannot be encoded by {type(codec).__name__}"
        )
        raise RequestError(f"{text}: {_described(error)}") from error


def decoded(codec: Codec[T], key: object, data: bytes, fate: str = "it was left as it is") -> T:
    """The value that stands under ``key``. Raises UndecodableValue where the codec raises anything.

    fate: what became of the value, for the error.
    """
    try:
        return codec.decode(data)
    except Exception as error:
        text = (
            f"the value of key {key!r} cannot be decoded by {type(codec).__name__}: "
            f"{_described(error)}"
        )
        raise UndecodableValue(f"{text}; {fate}") from error


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
