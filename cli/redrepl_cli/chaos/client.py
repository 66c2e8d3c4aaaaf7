"""A client process of a chaos run: does what the workload says, and logs all of it.

    python -m redrepl_cli.chaos.client CONFIGURATION LOG NAME SEED KEYS

It reads orders from its standard input, a line each, and answers each with a line: "go", "pause"
(answered when nothing is under way), "skew SECONDS" (its clock then reads so much more than it
should). It ends when the input does.
"""

from __future__ import annotations

import random
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from redrepl import Coordinator, RedreplError, Stamp, Unavailable, WriteRejected, load_configuration
from redrepl.testing.calls import answer_of, call
from redrepl.testing.history import Operation, Outcome, begun_line, ended_line
from redrepl.testing.model import Content, Step, content_of
from redrepl.values.operation import ADD, Condition, Way
from redrepl_cli.chaos.workload import names_of_keys, steps

LEVEL = "quorum"

BETWEEN_SECONDS = 0.001
"""After an operation. Clients, servers, proxies and workers share the processors of one machine."""

AFTER_FAILURE_SECONDS = 0.05
"""After an operation that failed: unknown writes in great numbers make histories hard to judge, and
prove no more.
"""

CONNECT_AGAIN_SECONDS = 0.1

DEADLINE_SECONDS = 86_400.0
"""Of what is stored without a condition, or expires.

After the end of any run, and before that of a node whose clock steps ahead by more.
"""

Store = Coordinator[Any, bytes]


class Recorder:
    """Carries out steps on a store and says what came of them. Used by one thread."""

    def __init__(self, store: Store, client: str, log: TextIO | None = None) -> None:
        self._store = store
        self._client = client
        self._log = log
        self._versions: dict[str, tuple[Stamp, Content]] = {}

    def carry_out(self, step: Step) -> Operation:
        """One operation from its invocation to its outcome, both logged.

        Never raises what the operation raises.
        """
        stamp, expected = self._versions.pop(step.key, (None, None))
        is_of_version = step.kind.condition is Condition.VERSION
        kind = ADD if is_of_version and stamp is None else step.kind
        expected = expected if is_of_version else None
        operation = Operation(
            self._client, step.key, kind, time.monotonic_ns(), step.argument, expected
        )
        self._write(begun_line(operation))
        try:
            answer = self._send(operation, stamp)
        except RedreplError as error:
            # Of a read that failed nothing is known, whatever the error.
            is_rejected = isinstance(error, WriteRejected)
            operation = _ended(
                operation, Outcome.REJECTED if is_rejected else Outcome.UNKNOWN, error=error
            )
        except Exception as error:  # whatever it is, the write may have left
            operation = _ended(operation, Outcome.UNKNOWN, error=error)
        else:
            operation = _ended(operation, Outcome.OK, answer)
        self._write(ended_line(operation))
        return operation

    def _send(self, operation: Operation, stamp: Stamp | None) -> Content:
        kind, key = operation.kind, operation.key
        if kind.way is Way.READ:
            return self._read(key)
        has_deadline = kind.condition in (Condition.NONE, Condition.PRESENT)
        ttl = DEADLINE_SECONDS if has_deadline else None
        return answer_of(
            kind, call(self._store, kind, key, operation.argument, stamp, ttl, level=LEVEL)
        )

    def _read(self, key: str) -> Content:
        found = self._store.get_record(key, level=LEVEL)
        if found is None:
            return None
        content = content_of(found.value)
        self._versions[key] = (found.stamp, content)
        return content

    def _write(self, line: str) -> None:
        if self._log is not None:
            self._log.write(line)
            self._log.flush()  # what was written outlives a kill


def _ended(
    operation: Operation, outcome: Outcome, answer: Content = None, error: Exception | None = None
) -> Operation:
    text = None if error is None else f"{type(error).__name__}: {error}"
    return replace(
        operation, returned=time.monotonic_ns(), outcome=outcome, answer=answer, error=text
    )


class Orders:
    """What the owner wants, read by a thread of its own."""

    def __init__(self, source: TextIO, answers: TextIO) -> None:
        self._source = source
        self._answers = answers
        self._condition = threading.Condition()
        self._may_go = False
        self._is_busy = False
        self.skew_seconds = 0.0
        self.is_over = False
        threading.Thread(target=self._read, name="orders", daemon=True).start()

    def wait_for_turn(self) -> bool:
        """Wait until the next operation may begin; False when there is none any more."""
        with self._condition:
            self._is_busy = False
            self._condition.notify_all()
            self._condition.wait_for(lambda: self._may_go or self.is_over)
            self._is_busy = not self.is_over
            return self._is_busy

    def _read(self) -> None:
        for line in self._source:
            self._follow(*line.split())
            self._answers.write(line)
            self._answers.flush()
        with self._condition:
            self.is_over = True
            self._condition.notify_all()

    def _follow(self, order: str, *arguments: str) -> None:
        with self._condition:
            if order == "skew":
                self.skew_seconds = float(arguments[0])
            else:
                self._may_go = order == "go"
                self._condition.notify_all()
                self._condition.wait_for(lambda: self._may_go or not self._is_busy)


def _connected(file: Path, orders: Orders) -> Store | None:
    """A coordinator, as soon as there is a cluster to connect to; None where the orders end
    before.
    """
    configuration = load_configuration(file, environment={})
    while not orders.is_over:
        try:
            return Coordinator(configuration)
        except Unavailable:
            time.sleep(CONNECT_AGAIN_SECONDS)
    return None


def _run(store: Store, orders: Orders, log: TextIO, name: str, seed: str, keys: int) -> None:
    recorder = Recorder(store, name, log)
    clock: Any = store._store.cluster.clock.physical  # moved as no program can move its own
    right_micros = clock.offset_micros
    plan = steps(name, names_of_keys(keys), random.Random(f"{seed} {name}"))
    while orders.wait_for_turn():
        clock.offset_micros = right_micros + round(orders.skew_seconds * 1_000_000)
        done = recorder.carry_out(next(plan))
        time.sleep(BETWEEN_SECONDS if done.outcome is Outcome.OK else AFTER_FAILURE_SECONDS)


def main(arguments: list[str]) -> None:
    """Run until the owner goes away."""
    # Ctrl-C is for the owner, whose end is this process's end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    file, log_file, name, seed, keys = arguments
    orders = Orders(sys.stdin, sys.stdout)
    store = _connected(Path(file), orders)
    if store is None:
        return
    with store, Path(log_file).open("a", encoding="utf-8") as log:
        _run(store, orders, log, name, seed, int(keys))


if __name__ == "__main__":
    main(sys.argv[1:])
