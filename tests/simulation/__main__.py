"""Simulates histories of many seeds, and shows what fails.

python -m tests.simulation --seeds 1000 [--first N] [--copies 3|5] [--profile mixed] [--jobs 2]
python -m tests.simulation --first 1512 --seeds 1 --trace
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.results import Result
from tests.simulation.settings import PROFILES
from tests.simulation.simulation import simulate
from tests.simulation.world import in_virtual_time

PART = 25
"""Seeds that one process takes at a time."""

MOST_SHOWN = 5
MOST_TRACE_LINES = 400


def main(arguments: list[str] | None = None) -> int:
    """Run the command; answers its exit code: 1 where a history failed."""
    options = _options(arguments)
    started, failures, total = time.monotonic(), list[Result](), _Totals()
    for result in _results(options):
        total.take(result)
        if result.is_failure:
            failures.append(result)
            _say(f"seed {result.seed}: {result.verdict.value}")
    seconds = time.monotonic() - started
    for result in failures[:MOST_SHOWN]:
        _show(result, options)
    total.show(seconds)
    return 1 if failures else 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many histories")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--copies", type=int, default=3, choices=(3, 5))
    parser.add_argument("--profile", default="mixed", choices=list(PROFILES))
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument(
        "--trace", action="store_true", help="show everything that happened, failed or not"
    )
    return parser.parse_args(arguments)


def _results(options: argparse.Namespace) -> Iterator[Result]:
    seeds = range(options.first, options.first + options.seeds)
    parts = [seeds[start : start + PART] for start in range(0, len(seeds), PART)]
    if options.trace or options.jobs == 1:
        for part in parts:
            for result in _simulate(part, options.copies, options.profile, options.trace):
                if options.trace:
                    _say("\n".join([*result.trace, repr(result.settings), *result.details]))
                yield result
        return
    with ProcessPoolExecutor(options.jobs) as pool:
        waiting = [pool.submit(_simulate, part, options.copies, options.profile) for part in parts]
        for future in waiting:
            yield from future.result()


def _simulate(seeds: range, copies: int, profile: str, is_traced: bool = False) -> list[Result]:
    with in_virtual_time():
        return [simulate(seed, copies, PROFILES[profile], is_traced=is_traced) for seed in seeds]


class _Totals:
    """What all histories came to."""

    def __init__(self) -> None:
        self._verdicts: Counter[str] = Counter()
        self._counts: dict[str, Counter[str]] = {
            "operations": Counter(),
            "faults": Counter(),
            "upkeep": Counter(),
        }

    def take(self, result: Result) -> None:
        """One more."""
        self._verdicts[result.verdict.value] += 1
        for name, counter in self._counts.items():
            counter.update(getattr(result, name))

    def show(self, seconds: float) -> None:
        """Print it."""
        count = self._verdicts.total()
        for name, counter in self._counts.items():
            _say(
                f"{name}: "
                + ", ".join(f"{what} {number}" for what, number in sorted(counter.items()))
            )
        _say(f"{count} histories in {seconds:.1f} s, {count / max(seconds, 1e-9):.1f} a second")
        _say(", ".join(f"{what}: {number}" for what, number in self._verdicts.most_common()))


def _show(result: Result, options: argparse.Namespace) -> None:
    """A failed history, once more with its trace."""
    command = (
        f"python -m tests.simulation --first {result.seed} --seeds 1 --copies {options.copies}"
    )
    with in_virtual_time():
        again = simulate(result.seed, options.copies, PROFILES[options.profile], is_traced=True)
    lines = [line for line in again.trace if _is_of_interest(line)]
    if len(lines) > MOST_TRACE_LINES:
        half = MOST_TRACE_LINES // 2
        lines = [*lines[:half], f"... {len(lines) - 2 * half} lines left out ...", *lines[-half:]]
    _say(
        "\n".join(["", f"=== seed {result.seed}: {result.verdict.value}", *lines, *result.details])
    )
    _say(f"{result.settings}\nto replay: {command} --profile {options.profile} --trace\n")


def _is_of_interest(line: str) -> bool:
    """Without the questions that keepers ask all the time."""
    return not any(
        what in line for what in ("INFO server", " inspect ", "topology topology", "-> a headers")
    )


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
