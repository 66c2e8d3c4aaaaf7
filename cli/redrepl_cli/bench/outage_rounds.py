"""Faults in turns: in every round each subject of each group has one, on servers that are new."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from redrepl_cli.bench.outages import Outage, OutageGroup, OutageResult, OutageSpec
from redrepl_cli.bench.rounds import NotMeasured, reason_of
from redrepl_cli.bench.settings import Settings
from redrepl_cli.bench.stage import Stage
from redrepl_cli.bench.writer import Writer

LEAD_SECONDS = (0.2, 1.2)
"""Writes before the fault, different each time: it must not always meet those who watch at the same
moment.

The longest of their periods is Sentinel's, a second.
"""


class OutageResults(NamedTuple):
    """What became of each subject, and the seconds that each group took."""

    results: list[OutageResult]
    not_measured: list[NotMeasured]
    group_seconds: dict[str, float]


def measure_outages(
    groups: Sequence[OutageGroup], settings: Settings, on_outage: Callable[[int, int], None]
) -> OutageResults:
    """All rounds.

    Who fails drops out. ``on_outage`` hears how many outages are over, and of how many.
    """
    subjects = {(group.name, spec.name): (group, spec) for group in groups for spec in group.specs}
    outages: dict[tuple[str, str], list[Outage]] = {key: [] for key in subjects}
    reasons: dict[tuple[str, str], str] = {}
    seconds = {group.name: 0.0 for group in groups}
    done, total = 0, len(subjects) * settings.events
    for number in range(settings.events):
        chance = random.Random(number)
        for key in chance.sample(sorted(outages), len(outages)):
            started = time.monotonic()
            try:
                outages[key].append(
                    take_outage(*subjects[key], settings, chance.uniform(*LEAD_SECONDS))
                )
            except (
                Exception
            ) as error:  # whatever keeps one subject from being measured, the others are
                reasons[key] = reason_of(error)
                del outages[key]
                total -= settings.events - number - 1
            seconds[key[0]] += time.monotonic() - started
            done += 1
            on_outage(done, total)
    return OutageResults(
        [OutageResult(*key, tuple(outages[key])) for key in subjects if key in outages],
        [NotMeasured(*key, reasons[key]) for key in subjects if key in reasons],
        seconds,
    )


def take_outage(
    group: OutageGroup, spec: OutageSpec, settings: Settings, lead_seconds: float
) -> Outage:
    """One outage from servers' start to their end."""
    with Stage(settings) as stage:
        scene = spec.prepare(stage)
        with Writer(scene) as writer:
            writer.await_first()
            time.sleep(lead_seconds)
            began = time.monotonic()
            # Returns when the server has ended or stopped: until then it may answer.
            group.fault(scene.primary)
            writer.note_gone()
            seconds = writer.await_back() - began
        return writer.outage(seconds, settings.value_bytes)
