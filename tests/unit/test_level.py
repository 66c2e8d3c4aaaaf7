"""Levels, preferences, and which copies a read goes to."""

from __future__ import annotations

from collections import Counter

import pytest

from redrepl.values.errors import RequestError
from redrepl.values.level import ConsistencyLevel, Level, parse_level, required_copies
from redrepl.values.preference import ReadPreference, candidates, parse_preference

ASYNC, ONE, QUORUM, ALL = ConsistencyLevel


@pytest.mark.parametrize(
    ("replicas", "wanted"),
    [
        (0, (0, 0, 0, 0)),
        (1, (0, 1, 1, 1)),
        (2, (0, 1, 1, 2)),
        (3, (0, 1, 2, 3)),
        (4, (0, 1, 2, 4)),
        (5, (0, 1, 3, 5)),
        (6, (0, 1, 3, 6)),
        (15, (0, 1, 8, 15)),
    ],
)
def test_the_copies_that_a_level_requires(replicas: int, wanted: tuple[int, ...]) -> None:
    assert tuple(level.required(replicas) for level in (ASYNC, ONE, QUORUM, ALL)) == wanted
    assert (
        tuple(required_copies(level, replicas) for level in ("async", "One", " QUORUM ", "all"))
        == wanted
    )


def test_no_level_has_fewer_than_no_replicas() -> None:
    with pytest.raises(RequestError, match=r"replicas.*-1"):
        QUORUM.required(-1)


@pytest.mark.parametrize("level", [QUORUM, "quorum", "QUORUM", " Quorum\n"])
def test_a_level_may_be_named(level: Level) -> None:
    assert parse_level(level) is QUORUM


@pytest.mark.parametrize("level", [2, "2", " 2 "])
def test_a_level_may_be_a_count(level: Level) -> None:
    assert parse_level(level) == 2
    assert required_copies(level, 2) == 2


@pytest.mark.parametrize("level", [3, -1, "3", "-1"])
def test_a_count_out_of_range_names_the_range(level: Level) -> None:
    with pytest.raises(RequestError, match=rf"level {level} .*2 other copies, allowed 0\.\.2"):
        required_copies(level, 2)


@pytest.mark.parametrize("level", ["most", "", "1.5", 1.0, None, True, b"quorum", ["quorum"]])
def test_anything_else_is_no_level(level: object) -> None:
    with pytest.raises(
        RequestError, match=r"level must be ASYNC, ONE, QUORUM, ALL or a count"
    ) as caught:
        parse_level(level)  # type: ignore[arg-type]  # what a caller may do
    assert repr(level) in str(caught.value)


@pytest.mark.parametrize("level", ["--1", "²"])
def test_what_only_looks_like_a_count_is_no_level(level: str) -> None:
    with pytest.raises(RequestError):
        parse_level(level)


@pytest.mark.parametrize("name", ["primary_preferred", "PRIMARY-PREFERRED", " Primary_Preferred "])
def test_a_preference_may_be_named(name: str) -> None:
    assert parse_preference(name) is ReadPreference.PRIMARY_PREFERRED
    assert parse_preference(ReadPreference.NEAREST) is ReadPreference.NEAREST


@pytest.mark.parametrize("prefer", ["secondary", "", None, 1])
def test_anything_else_is_no_preference(prefer: object) -> None:
    with pytest.raises(
        RequestError, match="prefer must be one of primary, replica, nearest, primary_preferred"
    ) as caught:
        parse_preference(prefer)  # type: ignore[arg-type]  # what a caller may do
    assert repr(prefer) in str(caught.value)


def _candidates(prefer: ReadPreference, others: str = "bcd", turn: int = 0) -> str:
    latency = {"a": 0.3, "b": 0.2, "c": 0.1, "d": 0.4}
    return "".join(candidates(prefer, "a", tuple(others), turn, latency.__getitem__))


@pytest.mark.parametrize("turn", range(5))
def test_the_primary_is_never_silently_replaced(turn: int) -> None:
    assert _candidates(ReadPreference.PRIMARY, turn=turn) == "a"


def test_reads_of_replicas_spread_evenly_with_the_primary_last() -> None:
    orders = [_candidates(ReadPreference.REPLICA, turn=turn) for turn in range(30)]
    assert Counter(order[0] for order in orders) == {"b": 10, "c": 10, "d": 10}
    assert all(order[-1] == "a" and sorted(order) == ["a", "b", "c", "d"] for order in orders)


def test_reads_that_cannot_have_the_primary_spread_evenly_too() -> None:
    orders = [_candidates(ReadPreference.PRIMARY_PREFERRED, turn=turn) for turn in range(30)]
    assert Counter(order[:2] for order in orders) == {"ab": 10, "ac": 10, "ad": 10}


def test_the_nearest_copy_comes_first() -> None:
    assert _candidates(ReadPreference.NEAREST) == "cbad"


@pytest.mark.parametrize("prefer", list(ReadPreference))
def test_a_primary_alone_is_always_asked(prefer: ReadPreference) -> None:
    assert _candidates(prefer, others="") == "a"
