"""What goes on beside the measuring of a large cluster, as processes of their own.

    python -m redrepl_cli.bench.large_child load FILE KEYS RATE BYTES
    python -m redrepl_cli.bench.large_child refill FILE NODE

`load` writes so many records a second until its standard input ends, and then prints how many.
`refill` does a worker's jobs for a node until it serves, and prints the seconds, and its resident
memory meanwhile, as JSON.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from contextlib import suppress

from redrepl import Administration, Coordinator, load_configuration
from redrepl.values.effects import Progress
from redrepl.values.errors import RedreplError, Unavailable
from redrepl_cli.bench.memory import resident_bytes
from redrepl_cli.bench.settings import PREFIX

SLICE_SECONDS = 0.02
READING_SECONDS = 0.5
RETRY_SECONDS = 0.2


def load(file: str, keys: int, rate: float, value_bytes: int) -> int:
    """Write records at this rate, over all keys in turn; answers how many."""
    ended = threading.Event()

    def await_end() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=await_end, daemon=True).start()
    written, share, value = 0, max(1, int(rate * SLICE_SECONDS)), b"y" * value_bytes
    due = time.monotonic()
    with Coordinator[str, bytes](load_configuration(file)) as store:
        while not ended.is_set():
            names = [f"{PREFIX}{(written + number) * 7919 % keys}" for number in range(share)]
            with suppress(RedreplError):
                store.set_many(dict.fromkeys(names, value), level="quorum")
                written += share
            # What a busy machine kept it from writing is not made up for.
            due = max(due + SLICE_SECONDS, time.monotonic() - 1.0)
            ended.wait(max(0.0, due - time.monotonic()))
    return written


def refill(file: str, node: str) -> dict[str, object]:
    """Bring the node up, however many jobs that takes."""
    readings: list[int] = []
    began = read_at = time.monotonic()

    def note(_: Progress) -> None:
        nonlocal read_at
        if time.monotonic() >= read_at:
            readings.append(resident_bytes())
            read_at = time.monotonic() + READING_SECONDS

    with Administration(load_configuration(file)) as administration:
        while True:
            try:
                if administration.bring_up(node, on_progress=note).finished:
                    break
            except Unavailable as error:
                sys.stderr.write(f"{error}\n")
                time.sleep(RETRY_SECONDS)
    return {"seconds": time.monotonic() - began, "rss_bytes": readings}


def main(arguments: list[str]) -> None:
    """Run one of the two."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    what, file, *rest = arguments
    if what == "load":
        sys.stdout.write(f"{load(file, int(rest[0]), float(rest[1]), int(rest[2]))}\n")
    else:
        sys.stdout.write(f"{json.dumps(refill(file, rest[0]))}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
