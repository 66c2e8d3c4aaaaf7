"""What the log says of each fact: to which logger, at which level, and without secrets."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from redrepl import LoggingObserver, Outcome
from redrepl.logging_observer import SHOWN_KEY_CHARACTERS, is_logged
from redrepl.observe import Part, Source
from tests.support.recorder import FACTS

CLIENT, MONITOR, TICK = (Source("shop", 3, part) for part in (Part.CLIENT, Part.MONITOR, Part.TICK))
WRITE: dict[str, Any] = {"node": "a", "keys": ("user:1",), "stamp": "0661"}

SAID: list[tuple[str, Source, dict[str, Any], str, int, str]] = [
    (
        "connection_opened",
        CLIENT,
        {"node": "a", "address": "h:1"},
        "connection",
        10,
        "node a: connection to h:1 opened",
    ),
    (
        "connection_lost",
        CLIENT,
        {"node": "a", "why": "reset"},
        "connection",
        10,
        "node a: connection lost: reset",
    ),
    (
        "node_unavailable",
        CLIENT,
        {"node": "a", "why": "it is down"},
        "connection",
        30,
        "node a: unavailable: it is down",
    ),
    (
        "node_unavailable",
        TICK,
        {"node": "a", "why": "it is down"},
        "connection",
        10,
        "node a: unavailable: it is down",
    ),
    (
        "node_available",
        CLIENT,
        {"node": "a", "away_seconds": 2.04},
        "connection",
        20,
        "available again, after 2.0 s",
    ),
    (
        "node_available",
        MONITOR,
        {"node": "a", "away_seconds": 2.04},
        "connection",
        10,
        "available again, after 2.0 s",
    ),
    (
        "epoch_changed",
        CLIENT,
        {"old": 2, "new": 3, "primary": "b", "members": ("a", "b")},
        "cluster",
        20,
        "epoch 2 -> 3: primary b, members a, b",
    ),
    (
        "epoch_changed",
        MONITOR,
        {"old": 2, "new": 3, "primary": None, "members": ("a",)},
        "cluster",
        20,
        "epoch 2 -> 3: several primaries, members a",
    ),
    (
        "epoch_changed",
        TICK,
        {"old": 2, "new": 3, "primary": "b", "members": ("a",)},
        "cluster",
        10,
        "epoch 2 -> 3",
    ),
    (
        "epoch_changed",
        CLIENT,
        {"old": 0, "new": 3, "primary": "b", "members": ("a",)},
        "cluster",
        10,
        "epoch 0 -> 3",
    ),
    (
        "member_state_changed",
        TICK,
        {"node": "a", "old": "active", "new": "silent", "why": "refuses"},
        "cluster",
        10,
        "node a: active -> silent: refuses",
    ),
    (
        "failover_begun",
        MONITOR,
        {"primary": "a", "to": None, "why": "it is away"},
        "failover",
        20,
        "failover begun: from a to the fittest member: it is away",
    ),
    (
        "failover_step",
        MONITOR,
        {"step": "fenced in epoch 4: b, c", "done": 2, "total": 3},
        "failover",
        10,
        "failover: fenced in epoch 4: b, c: 2 of 3",
    ),
    (
        "failover_decided",
        MONITOR,
        {"primary": "b", "previous": "a", "new_epoch": 4, "serving": ("b", "c"), "seconds": 0.0125},
        "failover",
        20,
        "failover decided: b takes over from a in epoch 4, serving: b, c, after 0.013 s",
    ),
    (
        "failover_refused",
        MONITOR,
        {"primary": "a", "why": "no majority"},
        "failover",
        30,
        "failover refused: a keeps the role: no majority",
    ),
    (
        "resync_began",
        TICK,
        {"node": "b", "why": "it is syncing"},
        "sync",
        10,
        "node b: resync began: it is syncing",
    ),
    (
        "resync_progress",
        TICK,
        {"node": "b", "stage": "a to b", "done": 5, "total": 9},
        "sync",
        10,
        "node b: resync: a to b: 5 of 9",
    ),
    (
        "resync_progress",
        TICK,
        {"node": "b", "stage": "a to b", "done": 5, "total": None},
        "sync",
        10,
        "node b: resync: a to b: 5",
    ),
    (
        "resync_ended",
        TICK,
        {"node": "b", "finished": True, "entries": 7, "records": 3, "admitted": True, "why": ""},
        "sync",
        10,
        "node b: resync ended: 7 log entries, 3 records, it serves again",
    ),
    (
        "resync_ended",
        TICK,
        {
            "node": "b",
            "finished": False,
            "entries": 7,
            "records": 3,
            "admitted": False,
            "why": "b fell silent",
        },
        "sync",
        10,
        "node b: resync stopped, with more to do: 7 log entries, 3 records: b fell silent",
    ),
    (
        "write_in_doubt",
        CLIENT,
        {**WRITE, "why": "lost"},
        "client",
        10,
        "node a: write of 'user:1', 0661: in doubt: lost",
    ),
    ("write_looked_up", CLIENT, WRITE, "client", 10, "node a: write of 'user:1', 0661: looked up"),
    (
        "write_sent_again",
        CLIENT,
        WRITE,
        "client",
        10,
        "node a: write of 'user:1', 0661: sent again",
    ),
    (
        "write_resolved",
        CLIENT,
        {
            "keys": (b"k", b"l", b"m"),
            "stamp": "0661",
            "outcome": Outcome.UNKNOWN,
            "why": "a: reset",
        },
        "client",
        10,
        "write of b'k' and 2 more, 0661: unknown: a: reset",
    ),
    (
        "read_repaired",
        CLIENT,
        {"node": "a", "records": 2},
        "client",
        10,
        "a read sent 2 of its records",
    ),
    (
        "record_restored",
        CLIENT,
        {"node": "a", "records": 2},
        "client",
        30,
        "node a: it had lost 2 records",
    ),
    (
        "wake_up_failed",
        CLIENT,
        {"queue": "q:1", "why": "reset"},
        "client",
        30,
        "the queue on q:1 is away (reset)",
    ),
    ("facts_dropped", CLIENT, {"count": 4}, "client", 30, "4 facts were dropped"),
]


@pytest.mark.parametrize(("fact", "source", "named", "area", "level", "text"), SAID)
def test_what_is_said(
    fact: str,
    source: Source,
    named: dict[str, Any],
    area: str,
    level: int,
    text: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.DEBUG, "redrepl"):
        getattr(LoggingObserver(), fact)(source, **named)
    (record,) = caplog.records
    assert (record.name, record.levelno) == (f"redrepl.{area}", level)
    message = record.getMessage()
    assert message.startswith(f"[shop, epoch 3, {source.part}] ")
    assert text in message
    assert record.args, "formatted when it is shown, and not before"


def test_every_fact_is_said() -> None:
    assert {fact for fact, *_ in SAID} == set(FACTS)


@pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR])
def test_whether_a_fact_may_be_logged_is_known_by_levels(
    level: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(level, "redrepl"):
        for fact in FACTS:
            levels = [said for name, _, _, _, said, _ in SAID if name == fact]
            assert is_logged(fact) == (level <= max(levels)), fact


def test_one_area_can_be_heard_alone(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "redrepl"), caplog.at_level(logging.DEBUG, "redrepl.sync"):
        assert [fact for fact in FACTS if is_logged(fact)] == [
            "resync_began",
            "resync_progress",
            "resync_ended",
        ]


def test_a_long_key_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "redrepl"):
        LoggingObserver().write_looked_up(CLIENT, node="a", keys=("k" * 5000,), stamp="0661")
    assert SHOWN_KEY_CHARACTERS < len(caplog.messages[0]) < 2 * SHOWN_KEY_CHARACTERS


def test_keys_show_at_debug_alone(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "redrepl"):
        for fact, source, named, *_ in SAID:
            if "keys" in named:
                getattr(LoggingObserver(), fact)(source, **named)
    assert caplog.records == []


def test_nothing_is_said_where_logging_is_not_configured() -> None:
    """Without a handler of its own, a warning would go to standard error."""
    handlers = logging.getLogger("redrepl").handlers
    assert any(isinstance(handler, logging.NullHandler) for handler in handlers)
