"""Interleaved timing: every subject takes its turn in every round, so that all meet the same
noise.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NamedTuple

from redrepl_cli.bench.figures import Result, summarise
from redrepl_cli.bench.settings import Settings
from redrepl_cli.bench.stage import Stage
from redrepl_cli.bench.subjects import Group, TakeTurn, Turn

WARM_UP_SHARE = 0.25
"""Of a turn's calls, in the round before those that count: connections, scripts and caches are
there then.
"""


class NotMeasured(NamedTuple):
    """A subject without figures, and why."""

    group: str
    name: str
    reason: str


class Taker(NamedTuple):
    """How a subject takes its turn, and how many calls that is."""

    take_turn: TakeTurn
    calls: int

    def take(self, warm_up: bool) -> Turn:
        """Take a turn."""
        return self.take_turn(max(1, round(self.calls * WARM_UP_SHARE)) if warm_up else self.calls)


class GroupResult(NamedTuple):
    """What became of each subject of a group."""

    results: list[Result]
    not_measured: list[NotMeasured]


def measure_group(group: Group, settings: Settings, on_round: Callable[[int], None]) -> GroupResult:
    """Open the group's stage, take all rounds, and close it.

    ``on_round`` hears how many rounds are over.
    """
    takers: dict[str, Taker] = {}
    reasons: dict[str, str] = {}
    with Stage(settings) as stage:
        for spec in group.specs:
            try:
                takers[spec.name] = Taker(spec.prepare(stage), spec.calls(settings.operations))
            except (
                Exception
            ) as error:  # whatever keeps one subject from being measured, the others are
                reasons[spec.name] = reason_of(error)
        turns = take_rounds(takers, settings.rounds, reasons, on_round)
    return GroupResult(
        [summarise(group.name, spec, turns) for spec in group.specs if spec.name in turns],
        [
            NotMeasured(group.name, spec.name, reasons[spec.name])
            for spec in group.specs
            if spec.name in reasons
        ],
    )


def take_rounds(
    takers: dict[str, Taker], rounds: int, reasons: dict[str, str], on_round: Callable[[int], None]
) -> dict[str, list[Turn]]:
    """Turns by subject, one per round.

    Who fails drops out, and its reason is noted in ``reasons``.
    """
    turns: dict[str, list[Turn]] = {name: [] for name in takers}
    for number in range(rounds + 1):
        # Another order each round, so that nobody always follows the same neighbour; the same
        # orders in each run.
        for name in random.Random(number).sample(sorted(turns), len(turns)):
            try:
                turn = takers[name].take(warm_up=number == 0)
            except Exception as error:
                reasons[name] = reason_of(error)
                del turns[name]
                continue
            if number:
                turns[name].append(turn)
        if turns:
            on_round(number)
    return turns


def reason_of(error: BaseException) -> str:
    """An error as one line."""
    if isinstance(error, BaseExceptionGroup):
        return reason_of(error.exceptions[0])
    text = str(error).partition("\n")[0].strip() or type(error).__name__
    evidence = getattr(error, "evidence", None) or {}
    return text + "".join(f"; {node}: {what}" for node, what in sorted(evidence.items()))
