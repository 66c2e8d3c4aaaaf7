"""Simulated histories: the plans and the scripts as they are, under faults, checked for what the
guarantees say.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from redrepl.values.operation import OPERATIONS
from tests.simulation.results import Result, Verdict
from tests.simulation.settings import PROFILES
from tests.simulation.simulation import simulate
from tests.simulation.world import in_virtual_time

ROOT = Path(__file__).parents[2]
LENGTHY = ("logs", "storm", "liars", "crashes")

ORDINARY = [
    *((profile, 3, 4) for profile in PROFILES if profile not in ("mixed", "calm", *LENGTHY)),
    *((profile, 3, 2) for profile in LENGTHY),
    ("mixed", 5, 4),
]
"""Profile, copies and how many histories: a few of each kind with every change; `mixed` of three
has its own test.
"""

THOROUGH = [
    *(("mixed", 3, first) for first in range(0, 600, 100)),
    *((profile, 3, 0) for profile in PROFILES if profile != "mixed"),
    *((profile, 3, 100) for profile in ("purges", "members")),
    ("mixed", 5, 0),
]
"""Profile, copies and the first of a hundred histories."""

LONG = [
    *((profile, copies) for profile in PROFILES for copies in (3, 5) if profile != "unattended")
]


@pytest.fixture(autouse=True)
def _virtual_time() -> Iterator[None]:
    with in_virtual_time():
        yield


def failures(profile: str, copies: int, seeds: range) -> list[str]:
    """What to run to see the histories that failed."""
    found = []
    for seed in seeds:
        result = simulate(seed, copies, PROFILES[profile])
        if result.is_failure:
            command = (
                f"python -m tests.simulation --first {seed} --seeds 1 --copies {copies} "
                f"--profile {profile}"
            )
            found.append(f"{result.verdict.value}: {command}\n" + "\n".join(result.details))
    return found


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("profile", "copies", "count"), ORDINARY)
def test_histories_hold_what_is_promised(profile: str, copies: int, count: int) -> None:
    assert failures(profile, copies, range(count)) == []


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("profile", "copies", "first"), THOROUGH)
def test_more_histories_hold_what_is_promised(profile: str, copies: int, first: int) -> None:
    assert failures(profile, copies, range(first, first + 100)) == []


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize(("profile", "copies"), LONG)
def test_very_many_histories_hold_what_is_promised(profile: str, copies: int) -> None:
    assert failures(profile, copies, range(10_000, 14_000)) == []


@pytest.mark.million
@pytest.mark.timeout(24 * 3600)
@pytest.mark.parametrize(("profile", "copies"), LONG)
def test_a_million_histories_hold_what_is_promised(profile: str, copies: int) -> None:
    first = 1_000_000
    assert failures(profile, copies, range(first, first + 1_000_000 // len(LONG))) == []


def test_without_faults_everything_is_done() -> None:
    results = [simulate(seed, profile=PROFILES["calm"]) for seed in range(10)]
    assert {result.verdict for result in results} == {Verdict.RIGHT}
    done = sum((Counter(result.operations) for result in results), Counter[str]())
    lacking = sum(count for name, count in done.items() if not name.endswith("done"))
    assert lacking < done.total() / 20, "latency alone has a heavy tail, so that a few time out"


def test_what_is_simulated_comes_up() -> None:
    """Every kind of operation, outcome, fault and upkeep: a history that lacks it would hold for
    nothing.
    """
    results = [simulate(seed) for seed in range(40)]
    assert [result.seed for result in results if result.is_failure] == [], (
        "python -m tests.simulation --first SEED"
    )
    operations = sum((Counter(result.operations) for result in results), Counter[str]())
    faults = sum((Counter(result.faults) for result in results), Counter[str]())
    upkeep = sum((Counter(result.upkeep) for result in results), Counter[str]())
    assert set(faults) == set(PROFILES["mixed"].faults)
    assert {f"{kind} done" for kind in OPERATIONS} <= set(operations)
    assert {"set unknown", "set rejected", "get unavailable", "increment unknown"} <= set(
        operations
    )
    assert {"failover", "move", "switchover", "trim", "bring_up with full_syncs"} <= set(upkeep)
    assert {
        "bring_up with undecided_replaced",
        "bring_up with activated",
        "bring_up with records",
    } <= set(upkeep)


def fingerprint(result: Result) -> tuple[str, list[str]]:
    return result.digest, result.trace


@pytest.mark.parametrize("seed", range(3))
def test_the_same_seed_gives_the_same_history(seed: int) -> None:
    first = fingerprint(simulate(seed, is_traced=True))
    assert len(first[1]) > 100
    simulate(seed + 100)
    assert fingerprint(simulate(seed, is_traced=True)) == first


def test_different_seeds_give_different_histories() -> None:
    assert len({simulate(seed).digest for seed in range(5)}) == 5


@pytest.mark.parametrize(("profile", "hash_seed"), [("mixed", "1"), ("mixed", "2"), ("tasks", "3")])
def test_another_process_gives_the_same_history(profile: str, hash_seed: str) -> None:
    """Sets of strings are gone through in another order there."""
    code = (
        "from tests.simulation.settings import PROFILES\n"
        "from tests.simulation.simulation import simulate\n"
        "from tests.simulation.world import in_virtual_time\n"
        "with in_virtual_time():\n"
        f"    print(*(simulate(seed, profile=PROFILES[{profile!r}]).digest for seed in range(4)))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [
        simulate(seed, profile=PROFILES[profile]).digest for seed in range(4)
    ]
