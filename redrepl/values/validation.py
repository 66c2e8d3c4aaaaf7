"""Checks of a caller's arguments.

Each raises RequestError naming the argument, what was given and what is allowed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from redrepl.values import limits
from redrepl.values.errors import RequestError
from redrepl.values.reading import shown

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


def check_key(key: object) -> bytes:
    """The bytes of a user's key: str (UTF-8) or bytes, 1 to MAX_KEY_BYTES long."""
    if isinstance(key, str):
        try:
            encoded = key.encode()
        except UnicodeEncodeError as error:
            raise RequestError(
                f"key {shown(key)} cannot be encoded as UTF-8: {error.reason}"
            ) from error
    elif isinstance(key, bytes):
        encoded = key
    else:
        raise RequestError(f"key must be str or bytes, not {type(key).__name__}")
    if not 0 < len(encoded) <= limits.MAX_KEY_BYTES:
        raise RequestError(f"key must have 1 to {limits.MAX_KEY_BYTES} bytes, not {len(encoded)}")
    return encoded


def check_prefix(prefix: object) -> bytes:
    """The bytes that keys are to start with: str (UTF-8) or bytes, empty for all."""
    return b"" if prefix in ("", b"") else check_key(prefix)


def check_items(items: object) -> Mapping[Any, Any]:
    """Keys and their values."""
    if not isinstance(items, Mapping):
        raise RequestError(f"items must be a mapping of keys to values, not {type(items).__name__}")
    return items


def check_value(value: object) -> bytes:
    """The bytes of a value: bytes, at most MAX_VALUE_BYTES long; empty is a value like any
    other.
    """
    if isinstance(value, (bytearray, memoryview)):
        value = bytes(value)
    if not isinstance(value, bytes):
        raise RequestError(
            f"value must be bytes, not {type(value).__name__}; encode it or give a value_codec"
        )
    if len(value) > limits.MAX_VALUE_BYTES:
        raise RequestError(
            f"value must have at most {limits.MAX_VALUE_BYTES} bytes, not {len(value)}"
        )
    return value


def check_keys(keys: object) -> Iterable[Any]:
    """Several keys: any iterable but a single key, whose characters or bytes would be taken for
    keys.
    """
    if isinstance(keys, (str, bytes, bytearray, memoryview)) or not isinstance(keys, Iterable):
        raise RequestError(
            f"keys must be a list or another iterable of keys, not {type(keys).__name__}"
        )
    return keys


def check_ttl(ttl: object) -> int | None:
    """A time to live in seconds as milliseconds, rounded up; None means no deadline."""
    if ttl is None:
        return None
    if isinstance(ttl, bool) or not isinstance(ttl, (int, float)):
        raise RequestError(f"ttl must be a number of seconds or None, not {type(ttl).__name__}")
    if not limits.MIN_TTL_SECONDS <= ttl <= limits.MAX_TTL_SECONDS:
        raise RequestError(
            f"ttl must lie in {limits.MIN_TTL_SECONDS}..{limits.MAX_TTL_SECONDS} seconds, not "
            f"{shown(ttl)}"
        )
    return -int(-ttl * 1000 // 1)


def check_timeout(timeout_seconds: object) -> float:
    """A time-out of one operation, in seconds."""
    if isinstance(timeout_seconds, bool) or not isinstance(timeout_seconds, (int, float)):
        raise RequestError(
            f"timeout_seconds must be a number, not {type(timeout_seconds).__name__}"
        )
    if not 0 < timeout_seconds <= limits.MAX_TIMEOUT_SECONDS:
        allowed = f"more than 0 and at most {limits.MAX_TIMEOUT_SECONDS}"
        raise RequestError(f"timeout_seconds must be {allowed}, not {shown(timeout_seconds)}")
    return float(timeout_seconds)


def check_integer(name: str, value: object) -> int:
    """A whole number that Lua holds exactly: within 2**53 of zero."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise RequestError(f"{name} must be a whole number, not {type(value).__name__}")
    if not -limits.EXACT_UP_TO < value < limits.EXACT_UP_TO:
        raise RequestError(f"{name} must lie within 2**53 of zero, not {shown(value)}")
    return value


def check_name(what: str, name: object) -> str:
    """A cluster name or node id: letters, digits, `_` and `-` (they stand in job ids), starting
    with no sign.
    """
    if (
        not isinstance(name, str)
        or not _NAME.fullmatch(name)
        or len(name) > limits.MAX_NAME_CHARACTERS
    ):
        allowed = (
            f"1 to {limits.MAX_NAME_CHARACTERS} letters, digits, '_' or '-', starting with "
            "a letter or digit"
        )
        raise RequestError(f"{what} must have {allowed}, not {shown(name)}")
    return name
