"""Bugs that the simulator must find: mistakes that somebody could make, each with how soon it was
found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from redrepl.edges.admission import Admission
from redrepl.plans import doubtful_clocks
from redrepl.plans.client import reads, writes
from redrepl.plans.copies import undecided
from redrepl.plans.copies.copying import Copier
from redrepl.plans.epochs import change_members, failover, fencing
from redrepl.plans.operations import batch, mending, read, write
from redrepl.values.report import NodeReport
from redrepl.values.session import Session
from redrepl.values.stamp import NO_STAMP
from tests.simulation.results import Result, Verdict
from tests.simulation.settings import PROFILES
from tests.simulation.simulation import simulate
from tests.simulation.sources import Sources, changed_sources, library_sources
from tests.simulation.world import in_virtual_time

FINDINGS = (Verdict.WRONG, Verdict.DIFFERENT, Verdict.SPLIT, Verdict.STALE)


class Bug(NamedTuple):
    """One bug. within: seeds of the profile of which one must find it; far more than it took when
    it was written.

    scripts: what the servers run. patches: (object, attribute, what to put in its place). quick:
    hunted with the ordinary tests.
    """

    name: str
    profile: str
    within: int
    scripts: Callable[[], Sources] = library_sources
    patches: tuple[tuple[Any, str, Any], ...] = ()
    quick: bool = True


class Found(NamedTuple):
    """How a bug was found. ``seeds``: how many histories that took."""

    seeds: int
    result: Result


def hunt(bug: Bug) -> Found | None:
    """Simulate with the bug planted until it shows; None where it does not within its seeds.

    A history that fails without the bug too shows nothing.
    """
    profile, sources = PROFILES[bug.profile], bug.scripts()
    with in_virtual_time():
        for seed in range(bug.within):
            with _planted(bug):
                result = simulate(seed, profile=profile, sources=sources)
            if result.verdict in FINDINGS and not simulate(seed, profile=profile).is_failure:
                return Found(seed + 1, result)
    return None


@contextmanager
def _planted(bug: Bug) -> Iterator[None]:
    kept = [(owner, name, owner.__dict__[name]) for owner, name, _ in bug.patches]
    for owner, name, new in bug.patches:
        setattr(owner, name, new)
    try:
        yield
    finally:
        for owner, name, old in kept:
            setattr(owner, name, old)


def _without_guard() -> Sources:
    return changed_sources(
        "write",
        ("if found[1] == ARGV[1] and found[2] == 'active' and ", "if "),
        ("if not admits(member) then return refusal(member) end\n", ""),
    )


def _without_restamping() -> Sources:
    return changed_sources(
        "write", ("if not decides then return nil, 'has'", "if true then return nil, 'has'")
    )


_write_one, _read_confirmed = write.write_one, read.read_confirmed
_send, _is_serving, _write_chunk = Copier.send, NodeReport.is_serving, batch.write_chunk


def _write_alone(view: Any, order: Any, *rest: Any) -> Any:
    return _write_one(view, order._replace(required=0), *rest)


def _write_group_alone(view: Any, chunk: Any) -> Any:
    return _write_chunk(view, chunk._replace(order=chunk.order._replace(required=0)))


def _read_alone(view: Any, home: str, keys: Any, _required: int, *rest: Any) -> Any:
    return _read_confirmed(view, home, keys, 0, *rest)


def _send_the_mark_alone(copier: Copier, wanted: Any, mark: Any = None) -> Any:
    return _send(copier, wanted if mark is None else {}, mark)


BUGS = (
    Bug("a write without a guard", "mixed", 1000, _without_guard, quick=False),
    Bug(
        "acknowledged by the primary alone",
        "mixed",
        1000,
        patches=((writes, "write_one", _write_alone),),
    ),
    Bug(
        "a group is acknowledged by the primary alone",
        "tasks",
        1000,
        patches=((writes, "write_chunk", _write_group_alone),),
        quick=False,
    ),
    Bug(
        "a QUORUM read without confirmation",
        "mixed",
        1000,
        patches=((mending, "read_confirmed", _read_alone),),
    ),
    Bug(
        "the primary keeps the later stamp instead of restamping",
        "clocks",
        100,
        _without_restamping,
    ),
    Bug(
        "a failover with one member",
        "mixed",
        2000,
        patches=((failover, "majority_of", lambda _: 1), (fencing, "majority_of", lambda _: 1)),
        quick=False,
    ),
    Bug(
        "a change of members that wins no epoch",
        "members",
        2000,
        patches=((change_members, "members_to_move", lambda *_: 1),),
    ),
    Bug(
        "a server that comes into a member's place without winning an epoch",
        "twins",
        300,
        patches=((change_members, "members_to_move", lambda *_: 1),),
        quick=False,
    ),
    Bug(
        "a session reads its past",
        "readers",
        100,
        patches=((Session, "at_least", lambda *_: NO_STAMP),),
    ),
    Bug(
        "programs that only read never ask who the primary is",
        "readers",
        100,
        patches=((reads, "TOPOLOGY_SECONDS", float("inf")),),
        quick=False,
    ),
    Bug(
        "the mark without the records",
        "mixed",
        300,
        patches=((Copier, "send", _send_the_mark_alone),),
    ),
    Bug(
        "restarts go unnoticed",
        "restarts",
        1000,
        patches=(
            (NodeReport, "has_restarted", property(lambda _: False)),
            (Admission, "refusal", lambda *_: None),
        ),
        quick=False,
    ),
    Bug(
        "clocks are not compared",
        "steps",
        1000,
        patches=(
            (doubtful_clocks, "clocks_off", lambda *_: {}),
            (NodeReport, "was_ahead_seconds", property(lambda _: 0.0)),
        ),
        quick=False,
    ),
    Bug(
        "a clock that stepped since the look goes unnoticed",
        "steps",
        300,
        patches=((NodeReport, "has_stepped_ahead", lambda *_: False),),
        quick=False,
    ),
    Bug(
        "undecided records count as decided",
        "network",
        300,
        patches=((undecided, "settle", lambda *_, **__: _nothing_to_settle()),),
    ),
)


def _nothing_to_settle() -> Any:
    return undecided.Settled({}, 0)
    yield
