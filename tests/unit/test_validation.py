"""Checks of arguments: the error names the argument, what was given and what is allowed."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from redrepl.values import limits
from redrepl.values.errors import RequestError
from redrepl.values.validation import (
    check_integer,
    check_key,
    check_name,
    check_timeout,
    check_ttl,
    check_value,
)


def _refused(check: Callable[[object], object], given: object, *said: str) -> None:
    with pytest.raises(RequestError) as caught:
        check(given)
    assert isinstance(caught.value, ValueError)
    for part in said:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("key", "encoded"), [("k", b"k"), ("ü", "ü".encode()), (b"\x00\xff", b"\x00\xff"), (" ", b" ")]
)
def test_keys(key: object, encoded: bytes) -> None:
    assert check_key(key) == encoded


def test_keys_are_measured_in_bytes() -> None:
    assert len(check_key(b"k" * limits.MAX_KEY_BYTES)) == limits.MAX_KEY_BYTES
    _refused(check_key, b"k" * (limits.MAX_KEY_BYTES + 1), "key", "1 to 32768 bytes", "32769")
    _refused(check_key, "ü" * (limits.MAX_KEY_BYTES // 2 + 1), "key", "32770")


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("", "not 0"),
        (b"", "not 0"),
        (1, "not int"),
        (None, "not NoneType"),
        ("\ud800", "UTF-8"),
        (bytearray(b"k"), "not bytearray"),
    ],
)
def test_what_is_no_key(key: object, said: str) -> None:
    _refused(check_key, key, "key", said)


@pytest.mark.parametrize("value", [b"", b"v", bytearray(b"v"), memoryview(b"v")])
def test_values(value: bytes) -> None:
    assert check_value(value) == bytes(value)
    assert type(check_value(value)) is bytes


@pytest.mark.parametrize("value", ["text", 1, None, [b"v"], object()])
def test_what_is_no_value(value: object) -> None:
    _refused(check_value, value, "value must be bytes", type(value).__name__, "value_codec")


def test_a_value_of_too_many_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_VALUE_BYTES", 10)
    assert check_value(b"v" * 10) == b"v" * 10
    _refused(check_value, b"v" * 11, "value", "at most 10", "not 11")


@pytest.mark.parametrize(
    ("ttl", "millis"),
    [
        (None, None),
        (60, 60_000),
        (0.001, 1),
        (0.0011, 2),
        (1.5, 1500),
        (limits.MAX_TTL_SECONDS, limits.MAX_TTL_SECONDS * 1000),
    ],
)
def test_times_to_live(ttl: float | None, millis: int | None) -> None:
    assert check_ttl(ttl) == millis


@pytest.mark.parametrize(
    "ttl", [0, -1, 0.0009, limits.MAX_TTL_SECONDS + 1, math.nan, math.inf, -math.inf]
)
def test_times_to_live_out_of_range(ttl: float) -> None:
    _refused(check_ttl, ttl, "ttl", repr(ttl), "0.001..3153600000")


@pytest.mark.parametrize("ttl", ["60", True, b"1", [1]])
def test_what_is_no_time_to_live(ttl: object) -> None:
    _refused(check_ttl, ttl, "ttl must be a number of seconds or None", type(ttl).__name__)


@pytest.mark.parametrize("timeout", [0.001, 1, limits.MAX_TIMEOUT_SECONDS])
def test_timeouts(timeout: float) -> None:
    assert check_timeout(timeout) == timeout
    assert type(check_timeout(timeout)) is float


@pytest.mark.parametrize("timeout", [0, -1, 25.1, math.nan, math.inf])
def test_timeouts_out_of_range(timeout: float) -> None:
    _refused(
        check_timeout, timeout, "timeout_seconds", repr(timeout), "more than 0 and at most 25.0"
    )


@pytest.mark.parametrize("timeout", ["1", None, True])
def test_what_is_no_timeout(timeout: object) -> None:
    _refused(check_timeout, timeout, "timeout_seconds must be a number", type(timeout).__name__)


@pytest.mark.parametrize("number", [0, -1, (1 << 53) - 1, -(1 << 53) + 1])
def test_whole_numbers(number: int) -> None:
    assert check_integer("amount", number) == number


@pytest.mark.parametrize("number", [1 << 53, -(1 << 53), 10**30])
def test_whole_numbers_out_of_range(number: int) -> None:
    _refused(lambda given: check_integer("amount", given), number, "amount", str(number), "2**53")


@pytest.mark.parametrize("number", [1.0, "1", None, True])
def test_what_is_no_whole_number(number: object) -> None:
    _refused(lambda given: check_integer("amount", given), number, "amount", type(number).__name__)


@pytest.mark.parametrize("name", ["a", "A1", "0", "a-b_c", "x" * limits.MAX_NAME_CHARACTERS])
def test_names(name: str) -> None:
    assert check_name("node id", name) == name


@pytest.mark.parametrize(
    "name", ["", "-a", "_a", "a b", "a:b", "a\n", "\na", "ü", "a*", "x" * 65, None, 1, b"a"]
)
def test_what_is_no_name(name: object) -> None:
    _refused(
        lambda given: check_name("node id", given),
        name,
        "node id",
        repr(name),
        "1 to 64 letters, digits",
    )
