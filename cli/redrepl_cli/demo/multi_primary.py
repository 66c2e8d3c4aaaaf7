"""Three primaries, two of them cut from each other while clients on both sides write the same
keys.
"""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from redrepl import Coordinator, Stamp
from redrepl_cli.demo.narrator import Narrator
from redrepl_cli.demo.stage import Stage, cut_off, everything_arrived
from redrepl_cli.demo.workload import library_files

KEYS = 200
ROUNDS = 5
SIDES = ("a", "b")


class Contest:
    """For each key the acknowledged write with the latest stamp: what must be found everywhere in
    the end.
    """

    def __init__(self) -> None:
        self.winner: dict[str, tuple[Stamp, bytes | None]] = {}
        self.acked = 0
        self.deletes = 0

    def note(self, key: str, stamp: Stamp, value: bytes | None) -> None:
        """An acknowledged write on either side."""
        self.acked += 1
        self.deletes += value is None
        if key not in self.winner or self.winner[key][0] < stamp:
            self.winner[key] = (stamp, value)


def run(stage: Stage, narrator: Narrator) -> dict[str, Any]:
    """The whole story; answers what `demo --format json` prints."""
    narrator.headline(f"Three primaries ({stage.engine}), each takes writes")
    documents = dict(list(library_files().items())[:KEYS])
    with Coordinator[str, bytes](stage.configuration) as coordinator:
        coordinator.set_many(documents, level="all")
        narrator.say(f"{len(documents)} files of Python's standard library stored on all three")
        contest = _write_on_both_sides(stage, narrator, documents)
        narrator.headline("The cut heals, the worker starts")
        started = time.monotonic()
        stage.start_worker()
        stage.wait_for("everything exchanged", everything_arrived)
        report = stage.administration.verify()
        seconds = time.monotonic() - started
        narrator.say(f"all logs exchanged and compared after {seconds:.2f} s")
        return _judge(narrator, coordinator, contest, report, seconds)


def _write_on_both_sides(stage: Stage, narrator: Narrator, documents: dict[str, bytes]) -> Contest:
    narrator.headline("a and b are cut from each other; clients on both sides write the same keys")
    contest, choose = Contest(), random.Random(7)
    with _closed_port() as dead_url:
        sides = {
            side: Coordinator[str, bytes](cut_off(stage.configuration, side, dead_url))
            for side in SIDES
        }
        for number in range(ROUNDS):
            for key in documents:
                side = choose.choice(SIDES)
                value = None if choose.random() < 0.2 else f"{side}, round {number}".encode()
                _write(sides[side], contest, key, value)
        for coordinator in sides.values():
            coordinator.close()
    narrator.say(
        f"{contest.acked} writes acknowledged by one primary each (level ASYNC), "
        f"{contest.deletes} of them deletes"
    )
    differing = stage.administration.verify()
    narrator.say(f"{len(differing.mismatches)} differences between the copies now")
    return contest


def _write(
    coordinator: Coordinator[str, bytes], contest: Contest, key: str, value: bytes | None
) -> None:
    receipt = (
        coordinator.delete(key, level="async")
        if value is None
        else coordinator.set(key, value, level="async")
    )
    contest.note(key, receipt.stamp, value)


@contextmanager
def _closed_port() -> Iterator[str]:
    """An address where nobody listens, held so that nobody else comes to listen there."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"redis://127.0.0.1:{held.getsockname()[1]}"


def _judge(
    narrator: Narrator,
    coordinator: Coordinator[str, bytes],
    contest: Contest,
    report: Any,
    seconds: float,
) -> dict[str, Any]:
    wrong = 0
    for node in coordinator.topology.ids:
        found = _values_on(coordinator, node, list(contest.winner))
        wrong += sum(1 for key, (_, value) in contest.winner.items() if found[key] != value)
    narrator.verdict(
        wrong == 0,
        f"{len(contest.winner)} keys on three copies: {wrong} without the later acknowledged write",
    )
    narrator.verdict(
        report.consistent,
        f"{report.keys_checked} records compared on every copy: {len(report.mismatches)} differ",
    )
    return {
        "schema_version": 1,
        "mode": "multi-primary",
        "writes_acked": contest.acked,
        "deletes_acked": contest.deletes,
        "acked_writes_lost": wrong,
        "converged": report.consistent,
        "convergence_seconds": round(seconds, 3),
        "keys_checked": report.keys_checked,
        "seconds": round(narrator.elapsed_seconds, 2),
    }


def _values_on(
    coordinator: Coordinator[str, bytes], node: str, keys: list[str]
) -> dict[str, bytes | None]:
    """What one node answers, read through a client whose home it is."""
    from dataclasses import replace

    with Coordinator[str, bytes](
        replace(coordinator.configuration, home=node, queue_url=None)
    ) as reader:
        return reader.get_many(keys)
