"""Invented runs, for tests of what is made of them."""

from __future__ import annotations

from pathlib import Path

from redrepl.embedded import ServerBinary
from redrepl.testing.history import Operation, Outcome
from redrepl.testing.model import Content
from redrepl.values.operation import GET, SET
from redrepl_cli.chaos.run import JUDGE, Act, Run
from redrepl_cli.chaos.stage import Settings

SECOND = 1_000_000_000
MILLI = 1_000_000
SETTINGS = Settings(ServerBinary(Path("/nowhere"), "valkey", (9, 1, 2)), seed=7)


def write(
    at_seconds: float,
    value: str,
    millis: float = 1.0,
    outcome: Outcome = Outcome.OK,
    key: str = "key-0",
) -> Operation:
    """A set that was begun at this time and took so long."""
    invoked = round(at_seconds * SECOND)
    return Operation("c0", key, SET, invoked, value, None, invoked + round(millis * MILLI), outcome)


def read(at_seconds: float, answer: Content, key: str = "key-0", client: str = JUDGE) -> Operation:
    """A read that took a millisecond."""
    invoked = round(at_seconds * SECOND)
    return Operation(client, key, GET, invoked, None, None, invoked + MILLI, Outcome.OK, answer)


def act(name: str, node: str, at_seconds: float) -> Act:
    """A fault one second after this time, for three seconds; all is over five seconds later."""
    started = round(at_seconds * SECOND)
    return Act(
        name,
        node,
        name.partition(":")[2],
        started,
        began_ns=started + SECOND,
        healed_ns=started + 4 * SECOND,
        back_ns=started + 4 * SECOND + 250 * MILLI,
        paused_ns=started + 5 * SECOND,
        settled_ns=started + 5 * SECOND + 500 * MILLI,
        ended_ns=started + 6 * SECOND,
        epochs=(1, 2),
        primaries=("a", "b"),
    )


def good_run() -> Run:
    """Two faults. During the first no write is committed for two seconds."""
    times = [time / 10 for time in range(1, 15)] + [
        time / 10 for time in range(35, 110) if not 50 <= time < 61
    ]
    operations = [write(time, f"v{number}") for number, time in enumerate(times)]
    operations += [
        write(2.0, "lost", 900, Outcome.UNKNOWN),
        write(3.0, "refused", 1, Outcome.REJECTED),
    ]
    first, second = act("kill:primary", "a", 0.0), act("queue", "", 6.0)
    first.reads = [read(5.6, f"v{times.index(4.9)}")]
    second.reads = [read(11.6, f"v{len(times) - 1}")]
    return Run(
        SETTINGS, "valkey 9.1.2", [first, second], [*operations, *first.reads, *second.reads], []
    )
